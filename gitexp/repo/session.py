"""The git processes that one thread has for a while.

Floor 2. Starting git and waiting for its end take as long as what it does for a record; both happen
while we do something else.
"""

from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from gitexp.errors import GitexpError
from gitexp.repo.launch import Git, Underway
from gitexp.repo.reader import ObjectReader


class Session:
    """One process that answers about objects, and commands that are begun early and end late."""

    def __init__(self, git: Git, reader: ObjectReader | None = None) -> None:
        self.reader = reader or ObjectReader(git)
        self._git = git
        self._expected: dict[tuple[str, ...], Underway] = {}
        self._begun = ExitStack()

    def expect(self, *args: str) -> None:
        """Let a command start that will soon be given input; if it is not, nothing comes of it.

        Nor does it matter when it cannot be started: whoever needs it will see.
        """
        if args not in self._expected:
            with suppress(GitexpError):
                self._expected[args] = self._start(args)

    def begin(self, *args: str) -> Underway:
        """A command that takes input, expected or not. At the latest it is waited for at our end.

        Raises `CommandFailed` when it cannot be started.
        """
        return self._expected.pop(args, None) or self._start(args)

    def _start(self, args: tuple[str, ...]) -> Underway:
        return self._begun.enter_context(self._git.begin(*args, fed=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reader.kill()  # all of them end at the same time
        try:
            self._begun.__exit__(kind, error, trace)
        finally:
            self.reader.close()
