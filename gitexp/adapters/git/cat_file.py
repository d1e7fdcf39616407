"""Reading many objects by name from one git process.

A name is anything that git resolves: an id, a ref, `REF^{tree}`, `COMMIT:PATH`.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from gitexp.adapters.git.process import GitRunner, stop
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

_TOGETHER = 250
"""Names per request: they fit into the pipe, even while git is still writing an answer."""


class GitObject(NamedTuple):
    """An object of the repository."""

    oid: ObjectId
    kind: str
    content: bytes

    @property
    def tree(self) -> str:
        """Id of a commit's tree."""
        return self._headers(b"tree")[0]

    @property
    def parents(self) -> list[str]:
        """Ids of a commit's parents."""
        return self._headers(b"parent")

    def _headers(self, name: bytes) -> list[str]:
        head, _, _ = self.content.partition(b"\n\n")
        lines = (line.split(b" ", 1) for line in head.split(b"\n"))
        return [value.decode() for key, value in lines if key == name]


class CatFile:
    """One `git cat-file --batch` process, open until closed. For a single thread."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git
        self._process: Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def _start(self) -> "Popen[bytes]":
        if self._process is None:
            self._process = self._git.open("cat-file", "--batch")
        return self._process

    def read(self, names: Sequence[str], *, max_bytes: int = sys.maxsize) -> list[GitObject | None]:
        """Return the object of each name, `None` where it is missing. Resolves refs at this moment.

        The list is shorter than `names` when the objects exceed `max_bytes` in total. Raises
        `CommandFailed` when git dies of a damaged object; the next call starts a new process.
        """
        found: list[GitObject | None] = []
        try:
            found += _answers(self._start(), names, max_bytes)
        except OSError as error:
            raise _died(names[0]) from error
        finally:
            if len(found) < len(names):
                self.close()  # git died, or an answer is half read
        return found

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            stop(process)


def _ask(process: "Popen[bytes]", names: Sequence[str]) -> None:
    asked = process.stdin
    assert asked is not None  # noqa: S101 - opened with pipes
    asked.write("\n".join([*names, ""]).encode(errors="surrogateescape"))
    asked.flush()


def _answers(
    process: "Popen[bytes]", names: Sequence[str], max_bytes: int
) -> Iterator[GitObject | None]:
    answer = process.stdout
    assert answer is not None  # noqa: S101 - opened with pipes
    for n, name in enumerate(names):
        if n % _TOGETHER == 0:
            _ask(process, names[n : n + _TOGETHER])
        head = answer.readline()
        words = head.rsplit(b" ", 2)
        if len(words) < 3 or not words[2].strip().isdigit():  # missing or ambiguous
            if not head:
                raise _died(name)
            yield None
            continue
        size = int(words[2])
        max_bytes -= size
        if max_bytes < 0:
            return
        content = answer.read(size + 1)
        if len(content) <= size:
            raise _died(name)
        yield GitObject(ObjectId(words[0].decode()), words[1].decode(), content[:-1])


def _died(name: str) -> CommandFailed:
    return CommandFailed(("cat-file", "--batch"), 1, f"fatal: unable to read {name}")
