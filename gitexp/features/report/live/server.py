"""The server of the live page: on 127.0.0.1 only, by the standard library."""

import gzip
import hmac
import queue
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.features.report.live.changes import record_change
from gitexp.features.report.live.requests import (
    SAFE_HEADERS,
    Answer,
    Asked,
    Refusal,
    error_answer,
    json_answer,
    length_of,
    parse_body,
    refusal,
)
from gitexp.features.report.live.watcher import Watcher
from gitexp.storage.workspace import Workspace

ADDRESS: Final = "127.0.0.1"

BEAT_S: Final = 5.0
"""Seconds after which a reader hears that the server is there, when nothing else happens."""

PATIENCE_S: Final = 30.0
"""Seconds that a client may take to send its request or to take the answer."""

MOST_CONNECTIONS: Final = 128

ENDING_S: Final = 10.0
"""Seconds that a change in progress is waited for at the end."""


@dataclass(slots=True)
class Page:
    """What the server serves."""

    shell: bytes
    """The page without data."""
    policy: str
    watcher: Watcher
    make_workspace: Callable[[], Workspace]
    fitting: Callable[[Workspace, str, str], Mapping[str, Any]]
    """The runs that fit a filter, in an order."""
    read_only: bool = False
    on_bug: Callable[[Exception], None] = lambda _error: None
    secret: str = field(default_factory=clock.new_secret)
    once: str = field(default_factory=clock.new_secret)
    """Opens the page one time: programs that start a browser show their arguments to others."""
    changing: threading.Lock = field(default_factory=threading.Lock)
    reading: threading.Lock = field(default_factory=threading.Lock)
    workspace: Workspace | None = None
    """Where filters are answered; threads take turns."""


class PageServer(ThreadingHTTPServer):
    """Answers the requests of the page, each connection in a thread."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, page: Page, port: int) -> None:
        """Listen on a port, 0 for a free one. Raises `OSError`."""
        self.page = page
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((ADDRESS, port), Conversation)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/{self.page.secret}/"

    @property
    def url_once(self) -> str:
        """An address that leads to the page, one time."""
        return f"http://{ADDRESS}:{self.server_port}/open/{self.page.once}"

    def end(self) -> None:
        """End all connections, after a change in progress."""
        self.page.watcher.end()
        self.shutdown()
        self.server_close()
        if self.page.changing.acquire(timeout=ENDING_S):
            self.page.changing.release()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or close the connection when there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the place of the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say nothing of a client that went away; report a bug."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.page.on_bug(error)

    def server_bind(self) -> None:
        """Bind the socket. Asks no name server for the name of this machine."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = ADDRESS, self.server_address[1]


class Conversation(BaseHTTPRequestHandler):
    """One connection."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "gitexp"
    sys_version = ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """Hand over the page, its data, or its events."""
        self._answer_with(self._get)

    def do_POST(self) -> None:
        """Record what a reader says about a run."""
        self._answer_with(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request, or one by another method."""
        del message, explain  # they may repeat the path, which holds the secret
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            answer = refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and POST are known here")
            headers: tuple[tuple[str, str], ...] = (("Allow", "GET, POST"),)
        else:
            answer, headers = refusal(HTTPStatus(code), "this is no request of the page"), ()
        self._send(Answer(answer.status, answer.body, answer.kind, headers))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Log nothing: paths hold the secret."""

    # --- answers ------------------------------------------------------------------------------

    def _answer_with(self, act: Callable[[Asked], Answer | None]) -> None:
        headers = self.headers
        asked = Asked(
            self.path, headers.get("Host"), headers.get("Origin"), headers.get("Sec-Fetch-Site")
        )
        try:
            asked.check_host()
            answer = act(asked)
        except Refusal as refused:
            self.close_connection = True  # a body may be unread
            answer = refused.answer
        except GitexpError as error:
            answer = error_answer(error)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - the page says that it failed
            self.server.page.on_bug(error)
            answer = refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR, "this is a bug; the terminal says more"
            )
        if answer is not None:
            self._send(answer)

    def _get(self, asked: Asked) -> Answer | None:
        page = self.server.page
        if asked.path.startswith("/open/"):
            return self._open(asked.path.removeprefix("/open/"))
        match asked.name(page.secret):
            case "":
                policy = (("Content-Security-Policy", page.policy),)
                return Answer(HTTPStatus.OK, page.shell, "text/html; charset=utf-8", policy)
            case "data":
                asked.check_reader()
                return self._newest()
            case "rows":
                asked.check_reader()
                return self._fitting(asked)
            case "events":
                asked.check_reader()
                self._send_events()
                return None
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such page")

    def _open(self, given: str) -> Answer:
        page = self.server.page
        once, page.once = page.once, ""
        if not once or not hmac.compare_digest(given.encode(errors="replace"), once.encode()):
            page.once = once
            what = "this address worked once: use the one that git exp ui printed"
            raise Refusal(HTTPStatus.GONE, what)
        where = (("Location", f"/{page.secret}/"),)
        return Answer(HTTPStatus.SEE_OTHER, headers=where)

    def _newest(self) -> Answer:
        watcher = self.server.page.watcher
        version = watcher.version()
        if version is None:
            fault = watcher.fault or {"error": "git exp ui has ended"}
            return json_answer(fault, HTTPStatus.SERVICE_UNAVAILABLE)
        headers: tuple[tuple[str, str], ...] = (("X-Version", str(version.number)),)
        if "gzip" not in self.headers.get("Accept-Encoding", ""):
            body = gzip.decompress(version.packed)
            return Answer(HTTPStatus.OK, body, "application/json", headers)
        headers = (*headers, ("Content-Encoding", "gzip"))
        return Answer(HTTPStatus.OK, version.packed, "application/json", headers)

    def _fitting(self, asked: Asked) -> Answer:
        page = self.server.page
        where, sort = asked.option("where"), asked.option("sort")
        with page.reading:
            page.workspace = page.workspace or page.make_workspace()
            return json_answer(page.fitting(page.workspace, where, sort))

    def _post(self, asked: Asked) -> Answer:
        page = self.server.page
        name = asked.name(page.secret)
        asked.check_writer(self.headers.get("Content-Type"))
        headers = self.headers
        length = length_of(headers.get("Content-Length"), headers.get("Transfer-Encoding"))
        if name != "say":
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no such page")
        if page.read_only:
            raise Refusal(HTTPStatus.FORBIDDEN, "nothing is recorded: the page is read-only")
        change = parse_body(self.rfile.read(length))
        with page.changing:
            try:
                return json_answer(record_change(page.make_workspace, change))
            except OSError as error:
                raise GitexpError("cannot record it", why=error.strerror) from error

    # --- sending ------------------------------------------------------------------------------

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {**SAFE_HEADERS, **dict(answer.headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _send_events(self) -> None:
        """Send events until the reader leaves or the server ends."""
        subscribers = self.server.page.watcher.subscribers
        subscription = self.server.page.watcher.join()
        if subscription is None:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open")
        self.close_connection = True
        try:
            self.send_response(HTTPStatus.OK)
            for name, value in SAFE_HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            while True:
                try:
                    event = subscription.get(BEAT_S)
                except queue.Empty:
                    event = ("beat", b"{}")
                if event is None:
                    return
                self.wfile.write(b"event: %b\ndata: %b\n\n" % (event[0].encode(), event[1]))
        finally:
            subscribers.leave(subscription)
