"""The scenes of the demonstration: explanations, commands and their expected results.

The commands are written as a user types them. `stage` runs them.
"""

from dataclasses import dataclass

PYTHON = "python"
"""Placeholder for the Python that runs gitexp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A command with its expected result."""

    argv: tuple[str, ...]
    exit_code: int = 0
    """The expected exit code; shown if it is not 0."""
    says: tuple[str, ...] = ()
    """Regular expressions; each must match a part of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A sentence and the commands that demonstrate it."""

    sentence: str
    edit: tuple[str, str] | None = None
    """Old and new text: an edit of `train.py` before the commands."""
    lines: tuple[Line, ...]


def _exp(*words: str, exit_code: int = 0, says: tuple[str, ...] = ()) -> Line:
    return Line(argv=("git", "exp", *words), exit_code=exit_code, says=says)


def _train(
    *words: str,
    why: str,
    options: tuple[str, ...] = (),
    exit_code: int = 0,
    says: tuple[str, ...] = (),
) -> Line:
    command = ("run", *options, "-m", why, "--", PYTHON, "train.py", *words)
    return _exp(*command, exit_code=exit_code, says=says)


SCENES = (
    Scene(
        sentence="Any git repository will do: this one has a script that learns handwritten digits",
        lines=(
            Line(argv=("git", "init", "--quiet")),
            Line(argv=("git", "add", "train.py")),
            Line(argv=("git", "commit", "--quiet", "-m", "learn handwritten digits")),
        ),
    ),
    Scene(
        sentence="Put `git exp run --` before a command; with three seeds its noise is known",
        lines=(
            _train(
                *("--model", "logistic", "--lr", "0.01", "--seed", "{seed}"),
                why="a baseline",
                options=("--seeds", "3"),
                says=(r"^METRIC accuracy=0\.", "3 of 3: .* succeeded", r"mean of 3 0\."),
            ),
        ),
    ),
    Scene(
        sentence="A change that is smaller than the noise is not called better or worse",
        lines=(
            _train(
                *("--model", "logistic", "--lr", "0.008", "--seed", "0"),
                why="a little slower?",
                says=("accuracy .*: cannot tell from the last",),
            ),
        ),
    ),
    Scene(
        sentence="A larger change is judged; the decision is recorded with its reason",
        lines=(
            _train(
                *("--model", "svc"), why="a kernel method", says=("accuracy .*: worse than the",)
            ),
            _exp(
                *("decide", "last", "discard", "-m", "too narrow for raw pixels"), says=("discard",)
            ),
        ),
    ),
    Scene(
        sentence="An edit that is not committed is recorded too, as the run finds it",
        edit=("SCALE = 1.0", "SCALE = 1 / 16"),
        lines=(
            Line(argv=("git", "diff", "--unified=0"), says=(r"^\+SCALE = 1 / 16",)),
            _train(
                *("--model", "svc", "--seed", "{seed}"),
                why="the same on scaled pixels",
                options=("--seeds", "3"),
                says=(r"mean of 3.*better than the last", "best so far"),
            ),
            _exp(*("decide", "last", "keep", "-m", "99 % is enough"), says=("keep",)),
        ),
    ),
    Scene(
        sentence="Every trial is compared with the last one and with the best one",
        lines=(
            _train(
                *("--model", "mlp", "--lr", "0.1"),
                why="a small network",
                says=("accuracy .* the last, which is the best",),
            ),
        ),
    ),
    Scene(
        sentence="A failed run is recorded too, with its measurements so far",
        lines=(
            _train(
                *("--model", "mlp", "--lr", "1000"),
                why="how fast is too fast?",
                exit_code=1,
                says=("^diverged: ", "failed with exit code 1"),
            ),
        ),
    ),
    Scene(
        sentence="All trials side by side, the best first; the three seeds are one row",
        lines=(
            _exp(
                *("list", "--sort-by", "accuracy", "--drop", "name|age"),
                says=("accuracy", "discard", "keep", "failed"),
            ),
        ),
    ),
    Scene(
        sentence="What changed between two runs: the causes, then the effects",
        lines=(_exp("diff", "@{5}", "best:accuracy", says=("^causes", "train[.]py", "^effects")),),
    ),
    Scene(
        sentence="The edit is undone, and the discarded trial is repeated: it is refused",
        lines=(
            Line(argv=("git", "checkout", "--quiet", "train.py")),
            _train(
                *("--model", "svc"),
                why="did I try this?",
                exit_code=128,
                says=("this very trial was run before", "too narrow for raw pixels", "not run"),
            ),
        ),
    ),
    Scene(
        sentence="The best run is reproduced from its record, though no file has its edit now",
        lines=(_exp("reproduce", "best:accuracy", says=("^reproduced",)),),
    ),
    Scene(
        sentence="All of this is plain git: one branch, with a commit for each event",
        lines=(
            Line(
                argv=("git", "log", "--oneline", "gitexp"),
                says=("reproduction .*: reproduced", "decision .*: discard", "start "),
            ),
            Line(
                argv=("git", "show", "--stat", "gitexp~1"), says=("Code-Tree: ", r"runs/.*\.toml")
            ),
        ),
    ),
)

AFTERWARDS = (
    "git exp show best:accuracy",
    "git exp list --where 'accuracy > 0.9' --only-changed",
    "git log -p gitexp",
)
"""Commands for the user to try afterwards."""
