"""Asking for objects by name, many in one process.

Floor 2. A name is what git takes: an id, a ref, `REF^{tree}`, `COMMIT:PATH`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from gitexp.errors import CommandFailed
from gitexp.ids import ObjectId
from gitexp.repo.launch import Git

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

_TOGETHER = 250
"""So many names fit into a pipe, whatever git does meanwhile."""


class Found(NamedTuple):
    """An object of the repository."""

    oid: ObjectId
    kind: str
    content: bytes


class ObjectReader:
    """One `git cat-file --batch`, which answers until it is closed. For one thread."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process = self._start()

    def _start(self) -> "Popen[bytes]":
        return self._git.open("cat-file", "--batch")

    def read(self, names: Sequence[str]) -> list[Found | None]:
        """The object of each name, `None` where there is none. Refs are those of the moment.

        Raises `CommandFailed` when git dies of a damaged object; the next question starts it anew.
        """
        if self._process.returncode is not None:
            self._process = self._start()
        try:
            return [self._read(names, n) for n in range(len(names))]
        except BaseException as error:
            self.close()  # it died, or was left in the middle of an answer
            if isinstance(error, OSError):
                raise _died(names[0]) from error
            raise

    def _read(self, names: Sequence[str], n: int) -> Found | None:
        asked, answer = self._process.stdin, self._process.stdout
        assert asked is not None and answer is not None  # noqa: S101 - opened with pipes
        if n % _TOGETHER == 0:
            asked.write("\n".join([*names[n : n + _TOGETHER], ""]).encode())
            asked.flush()
        head = answer.readline()
        words = head.rsplit(b" ", 2)
        if len(words) == 3 and words[2].strip().isdigit():
            size = int(words[2])
            content = answer.read(size + 1)
            if len(content) > size:
                return Found(ObjectId(words[0].decode()), words[1].decode(), content[:-1])
        elif head:
            return None
        raise _died(names[n])

    def close(self) -> None:
        """End the process; not by the end of its input, which a fork of ours may keep open."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()


def _died(name: str) -> CommandFailed:
    return CommandFailed(("cat-file", "--batch"), 1, f"fatal: unable to read {name}")
