"""Files written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from gitexp.core.errors import GitexpError, InvalidInput


def write_whole(path: Path, content: bytes, shown: str) -> None:
    """Write a file beside its place and put it there; what was there stays until then.

    `shown` is what the user calls it. Raises `InvalidInput` where there is no such directory,
    `GitexpError` where it cannot be written.
    """
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
