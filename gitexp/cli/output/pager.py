"""Long answers go through the user's pager, as git's own do.

Imported only where standard output is a terminal. Which pager: `GIT_PAGER`, `pager.exp`,
`core.pager`, `PAGER`, else what git was built with. When git started us through a pager, standard
output is no terminal, and nothing happens here.
"""

import os
import sys
from typing import TYPE_CHECKING

from gitexp.cli.output.errors import discard

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

    from gitexp.adapters.git.repository import Repo

_SHELL = "|&;<>()$`\\\"' \t\n*?[#~=%"
_OFF = ("false", "no", "off", "0")
_ON = ("true", "yes", "on", "1", "")
_DEFAULTS = {"LESS": "FRX", "LV": "-c"}
"""What git gives to pagers that the user has said nothing to."""


class _Pager:
    """A pager that reads what we print, until `end`."""

    def __init__(self, process: "Popen[bytes]") -> None:
        self._process = process
        self._before = {name: os.environ.get(name) for name in ("GIT_PAGER_IN_USE", "COLUMNS")}
        self._kept = {1: os.dup(1)}
        if os.isatty(2):
            self._kept[2] = os.dup(2)
        assert process.stdin is not None  # noqa: S101 - opened with a pipe
        sys.stdout.flush()
        sys.stderr.flush()
        for number in self._kept:
            os.dup2(process.stdin.fileno(), number)
        process.stdin.close()

    def end(self) -> None:
        """Give the terminal back when the reader has seen enough."""
        import contextlib

        for number, kept in self._kept.items():
            stream = sys.stdout if number == 1 else sys.stderr
            with contextlib.suppress(BrokenPipeError):
                stream.flush()
            discard(number)
            stream.flush()  # what a reader who has left did not take is not for the terminal either
            os.dup2(kept, number)
            os.close(kept)
        while True:
            try:
                self._process.wait()
            except KeyboardInterrupt:  # it is for the pager, which stays
                continue
            break
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_running: _Pager | None = None


def begin(repo: "Repo") -> None:
    """From now on print to the pager, if there is one and the user wants it."""
    global _running  # noqa: PLW0603 - there is one terminal
    pager = find_pager(repo)
    if _running is not None or pager is None:
        return
    from shutil import get_terminal_size

    from gitexp.adapters.system.command import open_reader

    columns = str(get_terminal_size().columns)
    env = {**_DEFAULTS, **os.environ, "GIT_PAGER_IN_USE": "true", "COLUMNS": columns}
    argv = ["sh", "-c", pager] if _needs_shell(pager) else [pager]
    _running = _Pager(open_reader(argv, env))
    # Git tells the programs it pages the same, so that they colour and fit to the width.
    os.environ.update(GIT_PAGER_IN_USE="true", COLUMNS=columns)


def end() -> None:
    """Wait until the reader has left the pager, if there is one."""
    global _running
    if _running is not None:
        pager, _running = _running, None
        pager.end()


def find_pager(repo: "Repo") -> str | None:
    """The pager's command; `None` when output is not to be paged."""
    own = repo.config().get("pager.exp")
    if "GIT_PAGER" not in os.environ and own is not None and own.lower() not in _ON:
        pager = "" if own.lower() in _OFF else own
    elif own is not None and own.lower() in _OFF:
        pager = ""
    else:
        pager = repo.git("var", "GIT_PAGER", check=False).text.strip()
    if pager in ("", "cat") or not _exists(pager):
        return None
    return pager


def _needs_shell(pager: str) -> bool:
    return any(letter in _SHELL for letter in pager)


def _exists(pager: str) -> bool:
    """False when it is plain that there is no such program, as `less` in a small container."""
    if _needs_shell(pager):
        return True
    import shutil

    return shutil.which(pager) is not None
