"""Sessions: whose runs `last` means, and what the next run of a session goes on from.

A session is one work tree, or what `GITEXP_SESSION` names. Its id is random and says nothing about
the machine; it is kept in the work tree's own git directory, so that linked work trees of one
repository have different ones. The state beside it is local and may be deleted.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import ObjectId, RunId, parse_run_id

VARIABLE: Final = "GITEXP_SESSION"
"""Names the session instead of the work tree, for several writers in one work tree."""

_FOLDER: Final = "sessions"
_OWN: Final = "worktree"
"""The file with the id of the work tree's own session."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Applied(NamedTuple):
    """A run whose code `git exp apply` put into the work tree."""

    run: RunId
    clock: int
    """The highest logical time at that moment; a later run has a higher one."""
    head: ObjectId
    """Where HEAD was."""


class Session:
    """The session of this work tree, or the one that the environment names."""

    def __init__(self, name: str, folder: Path) -> None:
        self.id = name
        self._folder = folder

    @classmethod
    def find(cls, repo: Repo, environ: Mapping[str, str] = os.environ) -> "Session | None":
        """The present session; `None` where no run was started yet. Raises `InvalidInput`."""
        folder = repo.git_dir / "gitexp" / _FOLDER
        name = environ.get(VARIABLE) or _read(folder / _OWN)
        if environ.get(VARIABLE) and not _NAME.fullmatch(name):
            raise InvalidInput(
                f"cannot use {VARIABLE} as the name of a session",
                why="it may have letters, digits, `-` and `_`, at most 64 of them",
                hints=["take any word that differs from writer to writer, such as `agent-1`"],
            )
        return cls(name, folder) if _NAME.fullmatch(name) else None

    @classmethod
    def make(cls, repo: Repo, environ: Mapping[str, str] = os.environ) -> "Session | None":
        """As `find`, after creating the id where there is none; `None` where that fails."""
        found = cls.find(repo, environ)
        if found is not None:
            return found
        path = repo.git_dir / "gitexp" / _FOLDER / _OWN
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            _create(path, f"{clock.new_id()}\n")
        if _NAME.fullmatch(_read(path)) is None:  # it was damaged
            _write(path, f"{clock.new_id()}\n")
        return cls.find(repo, environ)

    # --- starts that failed -----------------------------------------------------------------------

    def expect_start(self) -> None:
        """Note that a run is about to start; only `note_start` takes that back."""
        _write(self._file("starting"), "")

    def note_start(self) -> None:
        """Note that a run has started, or was recorded."""
        with suppress(OSError):
            self._file("starting").unlink()

    @property
    def has_failed_start(self) -> bool:
        """True when the last attempt to start a run was refused or failed, or goes on still."""
        return self._file("starting").exists()

    # --- code that was applied --------------------------------------------------------------------

    def note_applied(self, applied: Applied) -> None:
        """Note whose code the work tree has now."""
        _write(self._file("applied"), " ".join(map(str, applied)) + "\n")

    @property
    def applied(self) -> Applied | None:
        """The run that was applied last; `None` when there is none or it cannot be read."""
        words = _read(self._file("applied")).split(" ")
        try:
            run, moment, head = words
            return Applied(parse_run_id(run), int(moment), ObjectId(head))
        except (ValueError, InvalidInput):
            return None

    def _file(self, what: str) -> Path:
        return self._folder / f"{self.id}.{what}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str) -> None:
    """Replace a file of ours at once; what cannot be written is no reason to stop anybody."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="ascii")
        aside.replace(path)


def _create(path: Path, text: str) -> None:
    """Write a file that is not there yet; the first of several processes wins."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    aside.write_text(text, encoding="ascii")
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
