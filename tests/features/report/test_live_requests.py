"""The server of the live page: what it answers, to whom, and what it refuses."""

import base64
import gzip
import hashlib
import re
import socket
from collections.abc import Iterator

import pytest

from gitexp.features.report.live.requests import MOST_BYTES
from gitexp.features.report.page import read_program, read_static, read_style
from tests.browser.conftest import make_repository
from tests.conftest import RepoBuilder
from tests.features.report.live_server import Live, serving, small_search


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> RepoBuilder:
    """A repository with three runs."""
    made = make_repository(tmp_path_factory.mktemp("live") / "petrel")
    small_search(made)
    return made


@pytest.fixture(scope="module")
def live(repo: RepoBuilder) -> Iterator[Live]:
    """The page of this repository."""
    with serving(repo) as found:
        yield found


def test_the_page_is_served_under_a_policy_of_hashes(live: Live) -> None:
    reply = live.get()
    assert reply.status == 200
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'; frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    text = reply.body.decode()
    for part in (
        read_program(is_live=True),
        read_static("uplot/uPlot.js"),
        read_style(is_live=True),
    ):
        assert f">{part}</" in text
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert 'id="payload"></script>' in text, "the data are asked for"
    assert live.secret not in text
    for name, value in (
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ):
        assert reply.headers[name] == value
    assert "Python" not in reply.headers["Server"]


def test_the_data_are_those_of_the_report(live: Live) -> None:
    reply = live.get("data")
    document = reply.document
    assert (document["mode"], document["n"], document["read_only"]) == ("live", 3, False)
    assert document["metrics"][0]["best"]["row"] == 2
    packed = live.get("data", **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == reply.body
    assert reply.headers["X-Version"] == "1"


@pytest.mark.parametrize(
    "host",
    ["example.org", "example.org:7878", "127.0.0.1.example.org", "", "[::1]:80", "127.0.0.2"],
)
def test_a_foreign_name_that_points_here_gets_nothing(live: Live, host: str) -> None:
    """DNS rebinding: the browser believes the page of a foreign name to be its own."""
    for path in ("", "data", "events"):
        assert live.get(path, Host=host).status == 403
    before = live.tip()
    reply = live.say({"kind": "note", "text": "x"}, Host=host, Origin=f"http://{host}")
    assert (reply.status, live.tip()) == (403, before)


def test_a_forwarded_port_may_have_another_number(live: Live) -> None:
    for host in ("localhost:9999", "127.0.0.1:80", "127.0.0.1"):
        assert live.get("data", Host=host, Origin=f"http://{host}").status == 200


def test_without_the_secret_there_is_nothing(live: Live) -> None:
    right = live.secret
    wrong = ("x" * len(right), right[:-1], right + "x", right.upper(), "", "%2e%2e")
    paths = [f"/{secret}/{name}" for secret in wrong for name in ("", "data", "events", "say")]
    paths += ["/", "/data", f"/x/../{right}/data", f"/{right}", "*", "/open/"]
    for path in paths:
        assert live.ask("GET", path).status in (404, 410), path


@pytest.mark.parametrize(
    "path",
    [
        "../data",
        "..%2f..%2fetc/passwd",
        "static/main.js",
        "data/",
        "./data",
        "data%00",
        "say",
        ".git/config",
    ],
)
def test_no_path_leads_to_a_file(live: Live, path: str) -> None:
    assert live.get(path).status == 404


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_other_methods_are_refused(live: Live, method: str) -> None:
    reply = live.ask(method, f"/{live.secret}/data")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, POST")


def test_another_site_reads_nothing(live: Live) -> None:
    for headers in (
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for name in ("data", "events"):
            assert live.get(name, **headers).status == 403, headers


def test_only_the_page_itself_changes_something(live: Live) -> None:
    """Cross-site requests: other sites, forms, and programs that do not know better."""
    before = live.tip()
    run = live.get("data").document["columns"]["id"]["raw"][0]
    change = {"kind": "note", "run": run, "text": "not by the reader"}
    for headers, status in (
        ({"Origin": "https://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://localhost:{live.server.server_port}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain"}, 415),
    ):
        assert live.say(change, **headers).status == status, headers
    path = f"/{live.secret}/say"
    assert live.ask("POST", path, b"{}", {"Content-Type": "application/json"}).status == 403
    assert live.tip() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[" * 60_000, 400), (b"\xff\xfe", 400), (b" " * (MOST_BYTES + 1), 413)],
)
def test_a_body_that_is_no_change_is_refused(live: Live, body: bytes, status: int) -> None:
    assert live.say(body).status == status


@pytest.mark.parametrize(
    "header",
    ["Transfer-Encoding: chunked", "Content-Length: -1", "Content-Length: 9" + "9" * 30, "X: y"],
)
def test_a_body_of_unknown_length_is_not_read(live: Live, header: str) -> None:
    with socket.create_connection(("127.0.0.1", live.server.server_port), 60) as end:
        end.sendall(
            f"POST /{live.secret}/say HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"
            f"Content-Type: application/json\r\n{header}\r\n\r\n".encode()
        )
        reply = end.makefile("rb").read().decode()
    assert re.match(r"HTTP/1.1 (411|413) ", reply), reply


def test_what_is_no_request_gets_one_sentence(live: Live) -> None:
    for sent in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", live.server.server_port), 60) as end:
            end.sendall(sent)
            end.shutdown(socket.SHUT_WR)
            reply = end.makefile("rb").read()
        assert b"Traceback" not in reply
        assert b"<" not in reply


def test_the_address_for_the_browser_works_once(live: Live) -> None:
    """Every user of the machine sees the arguments of the program that starts the browser."""
    path = live.server.url_once.removeprefix(live.origin)
    assert live.secret not in path
    assert live.ask("GET", path + "x").status == 410
    reply = live.ask("GET", path)
    assert (reply.status, reply.headers["Location"]) == (303, f"/{live.secret}/")
    assert live.ask("GET", path).status == 410


def test_nothing_that_is_asked_is_logged(live: Live, capfd: pytest.CaptureFixture[str]) -> None:
    """Terminals are copied into reports of bugs, and the path holds the secret."""
    live.get("data")
    live.get("nothing")
    live.ask("BREW", f"/{live.secret}/data")
    assert capfd.readouterr() == ("", "")


def test_only_this_machine_is_listened_to(live: Live) -> None:
    assert live.server.socket.getsockname()[0] == "127.0.0.1"
