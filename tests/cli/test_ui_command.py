"""`git exp ui` as a process: it says where the page is, and Ctrl-C leaves nothing."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Done, Exp


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, running, and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gitexp", "ui", "--no-browser", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its own processes are those of its group
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def files_of(folder: Path) -> set[str]:
    """All files but those of the cache."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "index.sqlite" not in name}


def test_ctrl_c_ends_it_and_leaves_nothing(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.2", "first")
    exp("list")
    folder = exp.repo.path
    before, refs = files_of(folder), exp.repo.git("for-each-ref")
    with started(folder, "--port", "0") as (process, url):
        address = urlsplit(url)
        assert address.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
        connection.request("GET", f"{address.path}data")
        with connection.getresponse() as reply:
            assert (reply.status, b'"mode":"live"' in reply.read()) == (200, True)
        connection.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "Ctrl-C ends it\nended\n")
    assert files_of(folder) == before
    assert exp.repo.git("for-each-ref") == refs
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", address.port or 0), 5)


def test_a_port_in_use_is_said(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.2", "first")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = exp("ui", "--no-browser", "--port", str(port), check=128)
    assert f"error: cannot listen on port {port}" in done.err
    assert "because: Address already in use, perhaps by another `git exp ui`" in done.err
    assert "hint: `git exp ui --port 0` takes a free one" in done.err


def test_what_cannot_be_shown_is_refused_before_the_page_opens(
    exp: Exp,
    train: Callable[..., Done],
) -> None:
    train("0.2", "first")
    assert "nothing" in exp("ui", "--select", "nothing > 1", check=128).err
    assert "no run has a metric 'nothing'" in exp("ui", "--metric", "nothing", check=128).err
    assert "at most 65535" in exp("ui", "--port", "70000", check=129).err
