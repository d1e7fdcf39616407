"""The errors of gitexp: every expected failure, with its exit code.

The module imports no other part of gitexp. Errors hold what, why and hints; only
`cli/output/errors.py` formats them for the terminal.
"""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a gitexp command: git's own numbers and those that `git bisect run` reads."""

    DONE = 0
    """Success, or the answer is yes."""
    NO = 1
    """The answer is no: a metric got worse, a reproduction drifted, the trial was tried."""
    TIMED_OUT = 124
    """`git exp run` ended the command at its time limit; 124 as in coreutils `timeout`."""
    UNKNOWN = 125
    """No answer is possible: a metric is missing, a record is unreadable."""
    FAILED = 128
    """An expected failure, a `GitexpError`."""
    USAGE = 129
    """The command line is wrong."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
    PIPE_CLOSED = 141
    """The reader closed the pipe."""
    BUG = 255
    """A bug in gitexp; the command prints a report to paste."""


class GitexpError(Exception):
    """An expected failure: what failed, why, and what to type next.

    `what` is lower case without a full stop. `why` is the cause, if known. Each of `hints` is one
    sentence, with commands in backticks. `said` has lines that a server wrote for the user.
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
        # A Python program that does not catch the error shows these below its traceback.
        reason = [f"because: {why}"] if why else []
        for note in (*reason, *(f"hint: {hint}" for hint in hints)):
            self.add_note(note)


class NotARepository(GitexpError):
    """The directory is in no git repository, or git refuses to use the repository."""


class NoCommit(GitexpError):
    """The repository has no commit yet, so a run would have no code."""


class NotFound(GitexpError):
    """No object has the name; `near` has similar names."""

    def __init__(self, what: str, *, near: Sequence[str] = (), hints: Sequence[str] = ()) -> None:
        meant = [f"did you mean {', '.join(f'`{name}`' for name in near)}?"] if near else []
        super().__init__(what, hints=[*meant, *hints])
        self.near = tuple(near)


class Ambiguous(GitexpError):
    """Several objects match the name; `candidates` lists them."""

    def __init__(self, what: str, *, candidates: Sequence[str], hints: Sequence[str] = ()) -> None:
        super().__init__(what, why="it could be " + ", ".join(candidates), hints=hints)
        self.candidates = tuple(candidates)


class InvalidInput(GitexpError):
    """A value from the user is invalid: a parameter, a file, a setting."""


class NotRunnable(InvalidInput):
    """A command cannot be started; `status` is the shell's exit code: 127 not found, 126 else."""

    def __init__(
        self, what: str, *, status: int = 126, why: str | None = None, hints: Sequence[str] = ()
    ) -> None:
        super().__init__(what, why=why, hints=hints)
        self.status = status


class InvalidQuery(GitexpError):
    """A filter expression is invalid; `position` is the 0-based column of the error."""

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


class UnreadableRecord(GitexpError):
    """A record on the branch is damaged, too large, or written by a newer gitexp."""


class Conflict(GitexpError):
    """Another process moved or locked a ref, and retries did not succeed within the time limit."""


class CommandFailed(GitexpError):
    """A git command failed, and no lower layer could handle the failure."""

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
    """The operation is possible, but a rule or a setting of the user forbids it."""


class ForeignHook(GitexpError):
    """The hook file belongs to another tool."""


class Undetermined(GitexpError):
    """The records do not answer a valid question."""

    exit_code = ExitCode.UNKNOWN
