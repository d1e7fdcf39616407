"""Asking for objects by name, many in one process.

Floor 2. A name is what git takes: an id, a ref, `REF^{tree}`, `COMMIT:PATH`.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias

from gitexp.errors import CommandFailed, GitexpError
from gitexp.ids import ObjectId
from gitexp.repo.launch import Git, stop

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

Names: TypeAlias = tuple[str, ...]

_TOGETHER = 250
"""So many names fit into a pipe, whatever git does meanwhile."""


class Found(NamedTuple):
    """An object of the repository."""

    oid: ObjectId
    kind: str
    content: bytes

    @property
    def tree(self) -> str:
        """The id of a commit's tree."""
        return self._headers(b"tree")[0]

    @property
    def parents(self) -> list[str]:
        """The ids of a commit's parents."""
        return self._headers(b"parent")

    def _headers(self, name: bytes) -> list[str]:
        head, _, _ = self.content.partition(b"\n\n")
        lines = (line.split(b" ", 1) for line in head.split(b"\n"))
        return [value.decode() for key, value in lines if key == name]


class ObjectReader:
    """One `git cat-file --batch`, which answers until it is closed. For one thread."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process: Popen[bytes] | None = None
        self._expected: deque[Names] = deque()
        """Questions that git was told and whose answers nobody has read."""
        self._answered: dict[Names, list[Found | None]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def start(self) -> "Popen[bytes]":
        """Start the process, if it is not there."""
        if self._process is None:
            self._process = self._git.open("cat-file", "--batch")
        return self._process

    def expect(self, *names: str) -> None:
        """Let git answer a question of few small objects before `read` is asked it.

        Refs are those of now. Nothing comes of it when git cannot be told.
        """
        if names in self._expected or names in self._answered:
            return
        with suppress(OSError, GitexpError):
            _ask(self.start(), names)
            self._expected.append(names)

    def forget(self) -> None:
        """Take no answer from before now, as refs have moved."""
        self._read_expected()
        self._answered.clear()

    def read(self, names: Sequence[str], *, max_bytes: int = sys.maxsize) -> list[Found | None]:
        """The object of each name, `None` where there is none. Refs are those of the moment,
        unless the question was expected.

        Fewer than asked when `max_bytes` are too few for all of them together. Raises
        `CommandFailed` when git dies of a damaged object; the next question starts it anew.
        """
        self._read_expected()
        answered = self._answered.pop(tuple(names), None)
        return self._read(names, max_bytes, told=False) if answered is None else answered

    def _read_expected(self) -> None:
        """Take what git has answered already; what it died of is asked again by who wants it."""
        with suppress(CommandFailed):
            while self._expected:
                names = self._expected.popleft()
                self._answered[names] = self._read(names, told=True)

    def _read(
        self, names: Sequence[str], max_bytes: int = sys.maxsize, *, told: bool
    ) -> list[Found | None]:
        found: list[Found | None] = []
        try:
            found += _answers(self.start(), names, max_bytes, told=told)
        except OSError as error:
            raise _died(names[0]) from error
        finally:
            if len(found) < len(names):
                self.close()  # it died, or is in the middle of an answer
        return found

    def kill(self) -> None:
        """Begin to end the process; `close` does the rest."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self._expected.clear()
        if process is not None:
            stop(process)


def _ask(process: "Popen[bytes]", names: Sequence[str]) -> None:
    asked = process.stdin
    assert asked is not None  # noqa: S101 - opened with pipes
    asked.write("\n".join([*names, ""]).encode(errors="surrogateescape"))
    asked.flush()


def _answers(
    process: "Popen[bytes]", names: Sequence[str], max_bytes: int, *, told: bool
) -> Iterator[Found | None]:
    answer = process.stdout
    assert answer is not None  # noqa: S101 - opened with pipes
    for n, name in enumerate(names):
        if n % _TOGETHER == 0 and not told:
            _ask(process, names[n : n + _TOGETHER])
        head = answer.readline()
        words = head.rsplit(b" ", 2)
        if len(words) < 3 or not words[2].strip().isdigit():  # missing, or ambiguous
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
        yield Found(ObjectId(words[0].decode()), words[1].decode(), content[:-1])


def _died(name: str) -> CommandFailed:
    return CommandFailed(("cat-file", "--batch"), 1, f"fatal: unable to read {name}")
