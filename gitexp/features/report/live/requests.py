"""Requests of the live page, and which of them are answered.

Others on the machine, and pages of other sites in the user's browser, can reach the port. So the
path begins with a secret; the host must be this machine by name, which a foreign name that points
here is not; and what changes something must come from the page itself.
"""

import hmac
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from gitexp.core.errors import GitexpError

MOST_BYTES: Final = 64 << 10
"""Bytes of what a reader says about a run, at most."""

LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
"""Names of this machine. A port forwarded by ssh may have another number."""

SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its headers."""

    status: HTTPStatus
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """A request that is not answered."""

    def __init__(self, status: HTTPStatus, what: str) -> None:
        super().__init__(what)
        self.answer = refusal(status, what)


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of a request that decide whether it is answered."""

    path: str
    host: str | None
    origin: str | None
    site: str | None
    """What the browser says about the page that asks: `Sec-Fetch-Site`."""

    def check_host(self) -> None:
        """Refuse a name that is not this machine's. Raises `Refusal`."""
        name = (self.host or "").rpartition(":")[0] or self.host
        if name not in LOCAL_NAMES:
            raise Refusal(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 and localhost")

    def check_reader(self) -> None:
        """Refuse to hand data to a page of another site. Raises `Refusal`."""
        is_own = self.origin in (None, f"http://{self.host}")
        if not is_own or self.site not in (None, "same-origin", "none"):
            raise Refusal(HTTPStatus.FORBIDDEN, "another site may not ask for this")

    def check_writer(self, kind: str | None) -> None:
        """Refuse a change that does not come from the page. Raises `Refusal`."""
        if self.origin != f"http://{self.host}" or self.site not in (None, "same-origin"):
            raise Refusal(HTTPStatus.FORBIDDEN, "only the page itself may change something")
        if (kind or "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")

    def option(self, name: str) -> str:
        """Return a field of the query; empty when it is not there."""
        return parse_qs(self.path.partition("?")[2]).get(name, [""])[0]

    def name(self, secret: str) -> str:
        """Return what is asked for behind the secret. Raises `Refusal` without the secret."""
        path = self.path.partition("?")[0]
        given, slash, name = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(given.encode(errors="replace"), secret.encode()) or not slash:
            raise Refusal(HTTPStatus.NOT_FOUND, "not found: use the address git exp ui printed")
        return name


def length_of(text: str | None, encoding: str | None) -> int:
    """Return the length of a body. Raises `Refusal` when it is not given or too large."""
    if encoding is not None or text is None or not text.isascii() or not text.isdigit():
        raise Refusal(HTTPStatus.LENGTH_REQUIRED, "say how long it is")
    length = int(text[:20])
    if length > MOST_BYTES:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES:,} bytes")
    return length


def parse_body(body: bytes) -> object:
    """Parse a body. Raises `Refusal`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "this is not JSON") from None


def json_answer(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with a document."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Answer(status, body, "application/json")


def refusal(status: HTTPStatus, what: str) -> Answer:
    """Answer with one sentence."""
    return json_answer({"error": what}, status)


def error_answer(error: GitexpError) -> Answer:
    """Answer with what the command line would print."""
    document = {"error": error.what, "because": error.why, "hints": list(error.hints)}
    return json_answer(document, HTTPStatus.CONFLICT)
