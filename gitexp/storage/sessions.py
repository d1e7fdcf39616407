"""Sessions: they decide which runs `last` means and which run is the parent of the next one.

A session is one work tree, or the name in `GITEXP_SESSION`. The id of a work tree is random and
says nothing about the machine. It is in the work tree's own git directory, so that linked work
trees of one repository have different ids. The state files beside it are local and may be deleted.
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
"""Variable that names the session, for several writers in one work tree."""

_FOLDER: Final = "sessions"
_OWN: Final = "worktree"
"""File with the id of the work tree's own session."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def clone_id(repo: Repo) -> str:
    """Return the random id of this clone, the same in all its work trees; empty if it has none.

    It is made here the first time. Clones on several machines may have the same path.
    """
    path = repo.state_dir / "clone"
    if not _NAME.fullmatch(_read(path)):
        _make_id(path)
    return _read(path)


class Applied(NamedTuple):
    """Run whose code `git exp apply` wrote to the work tree."""

    run: RunId
    clock: int
    """Highest logical time at that moment; a later run has a higher one."""
    head: ObjectId
    """Commit of HEAD at that moment."""


class Session:
    """Session of this work tree, or the one that the environment names."""

    def __init__(self, name: str, folder: Path) -> None:
        self.id = name
        self._folder = folder

    @classmethod
    def find(cls, repo: Repo, environ: Mapping[str, str] = os.environ) -> "Session | None":
        """Return the current session; `None` before the first run. Raises `InvalidInput`."""
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
        """Return the session as `find` does; create its id if there is none.

        Returns `None` if the id cannot be written. Raises `InvalidInput`.
        """
        found = cls.find(repo, environ)
        if found is not None:
            return found
        _make_id(repo.git_dir / "gitexp" / _FOLDER / _OWN)
        return cls.find(repo, environ)

    # --- starts that failed -----------------------------------------------------------------------

    def expect_start(self) -> None:
        """Mark that a run is about to start. Only `note_start` removes the mark."""
        _write(self._file("starting"), "")

    def note_start(self) -> None:
        """Remove the mark: a run has started or was recorded."""
        with suppress(OSError):
            self._file("starting").unlink()

    @property
    def has_failed_start(self) -> bool:
        """True if the last attempt to start a run was refused, failed, or is still in progress."""
        return self._file("starting").exists()

    # --- code that was applied --------------------------------------------------------------------

    def note_applied(self, applied: Applied) -> None:
        """Store the run whose code the work tree has now."""
        _write(self._file("applied"), " ".join(map(str, applied)) + "\n")

    @property
    def applied(self) -> Applied | None:
        """Run that was applied last; `None` if there is none or the file cannot be read."""
        words = _read(self._file("applied")).split(" ")
        try:
            run, moment, head = words
            return Applied(parse_run_id(run), int(moment), ObjectId(head))
        except (ValueError, InvalidInput):
            return None

    def _file(self, what: str) -> Path:
        return self._folder / f"{self.id}.{what}"


def _make_id(path: Path) -> None:
    """Write a random id, unless another process has just written one; replace a damaged file."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, f"{clock.new_id()}\n")
    if _NAME.fullmatch(_read(path)) is None:
        _write(path, f"{clock.new_id()}\n")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str) -> None:
    """Replace a file atomically. Errors are ignored: the state is optional."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="ascii")
        aside.replace(path)


def _create(path: Path, text: str) -> None:
    """Create a file. If several processes try, the first one wins."""
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
