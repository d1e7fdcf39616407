"""Files that a command writes where the user asked: whole or not at all, and not code later."""

import os
from contextlib import suppress

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.features.execution.own_output import remember_own_output


def write_user_file(repo: Repo, shown: str, content: bytes) -> None:
    """Write a file beside its place and put it there; an older file stays until then.

    `shown` is the path as the user gave it. Raises `InvalidInput` where there is no such directory,
    `GitexpError` where it cannot be written.
    """
    path = repo.start / shown
    if path.is_dir():
        raise InvalidInput(
            f"cannot write to '{shown}'", why="it is a directory", hints=["name a file in it"]
        )
    if not path.parent.is_dir():
        raise InvalidInput(
            f"cannot write to '{shown}'",
            why=f"there is no directory '{path.parent}'",
            hints=[f"make it with `mkdir -p {path.parent}`"],
        )
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise GitexpError(
            f"cannot write to '{shown}'",
            why=error.strerror,
            hints=["see that you may write there, and that its disk has room"],
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    remember_own_output(repo, path, content)
