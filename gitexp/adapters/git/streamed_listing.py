"""A long listing as git goes on with it, so that others can begin meanwhile."""

from collections.abc import Iterator

from gitexp.adapters.git.process import stop
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed

_PIECE_BYTES = 1 << 19
"""Some thousands of lines."""


def list_lines(repo: Repo, treeish: str) -> Iterator[list[str]]:
    """What `git ls-tree` says of every file below a tree, in git's order, many at a time.

    `<mode> <kind> <object id>`, a tab, the path. Raises `CommandFailed` where git stops at a
    damaged tree, or knows none.
    """
    argv = ("ls-tree", "-r", "-z", "--full-tree", treeish)
    process = repo.launcher.open(*argv)
    assert process.stdout is not None  # noqa: S101 - opened with a pipe
    try:
        rest = b""
        while piece := process.stdout.read(_PIECE_BYTES):
            whole, _, rest = (rest + piece).rpartition(b"\0")
            if whole:
                yield whole.decode(errors="surrogateescape").split("\0")
        status = process.wait()
    finally:
        stop(process)
    if status != 0:
        repo.git(*argv)  # says why
        raise CommandFailed(argv, status, "")
