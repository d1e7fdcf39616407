"""Send long answers through the user's pager, as git does.

Imported only if standard output is a terminal. The pager is the first of `GIT_PAGER`, `pager.exp`,
`core.pager`, `PAGER` and git's compiled default. If git started gitexp through a pager, standard
output is a pipe and this module is not used.
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
"""Environment that git sets for a pager unless the user has set it."""


class _Pager:
    """A pager process that receives standard output, and standard error of a terminal, until `end`.

    Restores the descriptors and the environment in `end`.
    """

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
        """Wait for the pager to exit and restore the terminal as output."""
        import contextlib

        for number, kept in self._kept.items():
            stream = sys.stdout if number == 1 else sys.stderr
            with contextlib.suppress(BrokenPipeError):
                stream.flush()
            discard(number)
            stream.flush()  # drop text that the pager did not read: it must not reach the terminal
            os.dup2(kept, number)
            os.close(kept)
        while True:
            try:
                self._process.wait()
            except KeyboardInterrupt:  # Ctrl-C is meant for the pager, which keeps running
                continue
            break
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_running: _Pager | None = None


def begin(repo: "Repo") -> None:
    """Start the pager and send output to it. No-op without a pager, or if one runs already."""
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
    # As git does for the programs it pages, so that they use colour and the terminal's width.
    os.environ.update(GIT_PAGER_IN_USE="true", COLUMNS=columns)


def end() -> None:
    """Wait until the user quits the pager. No-op without a pager."""
    global _running
    if _running is not None:
        pager, _running = _running, None
        pager.end()


def find_pager(repo: "Repo") -> str | None:
    """Return the pager's command; `None` if output is not paged."""
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
    """Return False if the program is not on PATH, as `less` in a small container.

    A shell command counts as existing: only the shell can resolve it.
    """
    if _needs_shell(pager):
        return True
    import shutil

    return shutil.which(pager) is not None
