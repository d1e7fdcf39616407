"""A long listing, yielded while git still writes it, so that the caller starts early."""

from collections.abc import Iterator

from gitexp.adapters.git.process import stop
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed

_PIECE_BYTES = 1 << 19
"""Some thousands of lines."""


def list_lines(repo: Repo, treeish: str) -> Iterator[list[str]]:
    """Yield the lines of `git ls-tree` for every file below a tree, in git's order, in batches.

    A line is `<mode> <kind> <object id>`, a tab, the path. Raises `CommandFailed` when the tree
    does not exist, or git stops at a damaged one.
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
        repo.git(*argv)  # raises with git's message
        raise CommandFailed(argv, status, "")
