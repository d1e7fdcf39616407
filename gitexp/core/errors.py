"""The error vocabulary: every expected failure, and the exit code it ends with.

Knows nothing else of gitexp. Errors are values (what, why, hints); only `cli/output/errors.py`
turns them into text on a terminal.
"""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """How a gitexp command ends; the numbers are git's own and those `git bisect run` reads."""

    DONE = 0
    """Done, or: the answer is yes."""
    NO = 1
    """The answer is no: a metric got worse, a reproduction drifted, the trial was tried."""
    TIMED_OUT = 124
    """`git exp run` ended the command at its time limit, as `timeout` of coreutils says it."""
    UNKNOWN = 125
    """Could not tell: a metric is missing, a record is unreadable."""
    FAILED = 128
    """An expected failure, told as a `GitexpError`."""
    USAGE = 129
    """The command line is wrong."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
    UNREAD = 141
    """The reader of the answer left before its end."""
    BUG = 255
    """A bug in gitexp; a report to paste is printed."""


class GitexpError(Exception):
    """An expected failure: what could not be done, why, and what to type next.

    `what` is lower case without a full stop; `why` is the cause from below, if known; each of
    `hints` is one sentence, with commands in backticks. `said` are lines that a server wrote for
    the user.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(
        self,
        what: str,
        *,
        why: str | None = None,
        hints: Sequence[str] = (),
        said: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hints = tuple(hints)
        self.said = tuple(said)


class NotARepository(GitexpError):
    """There is no git repository here, or git refuses to use it."""


class NoCommit(GitexpError):
    """The repository has no commit yet, so there is no code to tie a run to."""


class NotFound(GitexpError):
    """Nothing answers to the name; `near` holds the names that come close."""

    def __init__(self, what: str, *, near: Sequence[str] = (), hints: Sequence[str] = ()) -> None:
        meant = [f"did you mean {', '.join(f'`{name}`' for name in near)}?"] if near else []
        super().__init__(what, hints=[*meant, *hints])
        self.near = tuple(near)


class Ambiguous(GitexpError):
    """Several things answer to the name; `candidates` lists them."""

    def __init__(self, what: str, *, candidates: Sequence[str], hints: Sequence[str] = ()) -> None:
        super().__init__(what, why="it could be " + ", ".join(candidates), hints=hints)
        self.candidates = tuple(candidates)


class InvalidInput(GitexpError):
    """A value the user gave cannot be used: a parameter, a file, a setting."""


class NotRunnable(InvalidInput):
    """A command cannot be started; `status` is what a shell ends with: 127 not found, 126 else."""

    def __init__(
        self, what: str, *, status: int = 126, why: str | None = None, hints: Sequence[str] = ()
    ) -> None:
        super().__init__(what, why=why, hints=hints)
        self.status = status


class InvalidQuery(GitexpError):
    """A filter expression cannot be read; `position` is the 0-based column of the fault."""

    def __init__(
        self,
        what: str,
        *,
        position: int | None = None,
        why: str | None = None,
        hints: Sequence[str] = (),
    ) -> None:
        super().__init__(what, why=why, hints=hints)
        self.position = position


class Unreadable(GitexpError):
    """A record on the branch is damaged, too large, or written by a newer gitexp."""


class Conflict(GitexpError):
    """A ref moved under us, and trying again did not help in the time allowed."""


class CommandFailed(GitexpError):
    """A git command ended with a failure that nothing below could mend."""

    def __init__(
        self, argv: Sequence[str], status: int, stderr: str, *, hints: Sequence[str] = ()
    ) -> None:
        lines = [line for line in stderr.strip().splitlines() if line.strip()]
        why = lines[-1] if lines else f"it ended with status {status}"
        words = list(argv)
        while words[:1] == ["-c"]:
            del words[:2]
        super().__init__(f"cannot run `git {' '.join(words[:2])}`", why=why, hints=hints)
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr


class Refused(GitexpError):
    """The deed is possible but a rule or the user's own setting says no."""


class HookForeign(GitexpError):
    """The hook file belongs to another tool."""


class CouldNotTell(GitexpError):
    """The question was understood but the records do not answer it."""

    exit_code = ExitCode.UNKNOWN
