"""A search with dead ends, made by a scripted searcher that forgets.

`docs/agents.md` has the policy in words. The searcher knows what it saw since its context was last
lost, and what its memory told it then; nothing else. The memories are the arms: none, a file
`results.tsv`, and the real `git exp` in a real repository, of which only what the commands print
is used.
"""

import math
import os
import random
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import gitexp.cli.app

CHARACTERS = 4
"""Characters of a token, about."""

CONTEXT = 15
"""Number of own trials after which a searcher loses its context."""

BASELINE = 5
"""Runs of the first trial, as the documents advise."""

SD = 0.004
"""Standard deviation of the noise in noisy searches; the base measures about 1."""

Params = Mapping[str, str]
Change = tuple[str, str]
"""Parameter with a value for it."""

CHOICES: dict[str, tuple[str, ...]] = {
    "lr": ("0.1", "0.003", "0.01", "0.03", "0.3", "1.0"),
    "hidden": ("128", "32", "64", "256", "8192", "16384"),
    "layers": ("2", "1", "3", "4", "24", "48"),
    "dropout": ("0.1", "0.0", "0.2", "0.3", "0.5", "0.9"),
    "batch": ("32", "8", "16", "64", "4096", "8192"),
    "optimizer": ("adam", "sgd", "adamw", "lion", "rmsprop", "adagrad"),
    "activation": ("relu", "gelu", "silu", "tanh", "sigmoid", "elu"),
    "schedule": ("constant", "cosine", "linear", "step", "cyclic", "plateau"),
    "decay": ("0.0", "0.0001", "0.001", "0.01", "0.1", "1.0"),
    "clip": ("1.0", "0.1", "0.5", "2.0", "5.0", "10.0"),
    "warmup": ("0", "10", "50", "100", "500", "1000"),
    "norm": ("layer", "batch", "group", "rms", "none", "weight"),
    "init": ("xavier", "he", "normal", "orthogonal", "zeros", "uniform"),
    "augment": ("none", "flip", "crop", "mixup", "cutout", "colour"),
}
"""The first value of each is the default, which the command line omits."""

DEFAULTS: Params = {name: values[0] for name, values in CHOICES.items()}
IDEAS: list[Change] = [(name, value) for name, values in CHOICES.items() for value in values[1:]]
DEAD = 28
"""Number of dead ends among the 70 ideas: half of them crash, the others measure far worse."""

CRASHES = (
    "CUDA error: out of memory",
    "RuntimeError: loss is nan at step 40",
    "ValueError: shapes do not match",
)


class World:
    """Return the true value of a trial; less is better. Effects add up."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        dead = rng.sample(IDEAS, DEAD)
        self.crashes = {change: rng.choice(CRASHES) for change in dead[: DEAD // 2]}
        self.effects = {change: rng.gauss(0.012, 0.02) for change in IDEAS}
        self.effects |= {change: rng.uniform(0.1, 0.4) for change in dead[DEAD // 2 :]}
        self.dead = frozenset(dead)
        # Dead ends look promising before a trial, so a searcher that forgets returns to them.
        self.appeal = {
            change: math.exp(rng.gauss(0, 1.2)) * (3 if change in self.dead else 1)
            for change in IDEAS
        }
        self.appeal |= dict.fromkeys(DEFAULTS.items(), 0.3)

    def dead_in(self, params: Params) -> frozenset[Change]:
        """Return the dead ends in a trial."""
        return self.dead & set(params.items())

    def crash(self, params: Params) -> str | None:
        """Return the output of a trial that crashes."""
        return next((self.crashes[c] for c in params.items() if c in self.crashes), None)

    def truth(self, params: Params) -> float:
        """Return the value of a trial without noise."""
        return 1.0 + sum(self.effects.get(change, 0.0) for change in params.items())


def arguments(params: Params) -> str:
    """Return the options of the command, without defaults."""
    given = (f"--{n} {value}" for n, value in params.items() if value != DEFAULTS[n])
    return " ".join(("sh train.sh", *given))


# --- what is counted ------------------------------------------------------------------------------


@dataclass
class Tally:
    """Costs and errors of one search."""

    trials: int = 0
    runs: int = 0
    wasted: int = 0
    kept: int = 0
    false_keeps: int = 0
    strangers: int = 0
    """Number of decisions about a run of another writer."""
    characters: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    reached: float = 0.0
    """True value of the best base at the end."""

    def spent(self, kind: str, *texts: str) -> None:
        """Count one call, with its input and output."""
        self.calls += 1
        self.characters[kind] += sum(map(len, texts))


@dataclass(frozen=True)
class Result:
    """Result of a trial, as far as its searcher knows it."""

    cause: str | None
    """Last line of a crash."""
    is_better: bool
    why: str
    """Reason of the decision."""
    was_run: bool = True


@dataclass(frozen=True)
class Told:
    """Answer of a memory after a loss of the context."""

    changes: frozenset[Change] = frozenset()
    """Trials that were run."""
    best: dict[str, str] | None = None
    """Parameters of the best trial that differ from the defaults, if known."""


class Memory(Protocol):
    """Arm of the campaign: how trials are run and recorded, and how records are read."""

    def begin(self) -> None:
        """Measure the base."""

    def recall(self, *, is_lost: bool) -> Told:
        """Return what the memory knows before a trial; `is_lost` after a loss of the context."""

    def run(self, params: Params, change: Change) -> Result:
        """Run a trial."""

    def decide(self, change: Change, result: Result) -> None:
        """Record the decision about it."""


# --- the searcher ---------------------------------------------------------------------------------


class Searcher:
    """Searcher: changes one parameter of its base at a time, keeps improvements, and forgets."""

    def __init__(self, search: "Search", memory: Memory, rng: random.Random) -> None:
        self.search, self.memory, self._rng = search, memory, rng
        self.base: dict[str, str] = dict(DEFAULTS)
        self._known: set[Change] = set()
        self._made = 0
        self._open: tuple[Change, dict[str, str], Result] | None = None

    def step(self) -> None:
        """Run a trial, or decide about the last one."""
        if self._open is None:
            self._try()
        else:
            self._decide(*self._open)
            self._open = None

    def _try(self) -> None:
        is_lost = self._made > 0 and self._made % CONTEXT == 0
        if is_lost:
            self._known.clear()
        told = self.memory.recall(is_lost=is_lost)
        self._known |= told.changes
        if told.best is not None:
            self.base = {**DEFAULTS, **told.best}
        change = self._idea()
        params = {**self.base, change[0]: change[1]}
        result = self.memory.run(params, change)
        self._known.add(change)
        if not result.was_run:
            return  # the trial was refused: try another idea
        self._made += 1
        self.search.count(params)
        self._open = (change, params, result)

    def _idea(self) -> Change:
        """Return an idea that was not tried, as far as the searcher knows, by its appeal."""
        appeal = self.search.world.appeal
        new = [c for c in appeal if self.base[c[0]] != c[1] and c not in self._known]
        new = new or [c for c in appeal if self.base[c[0]] != c[1]]
        return self._rng.choices(new, [appeal[c] for c in new])[0]

    def _decide(self, change: Change, params: dict[str, str], result: Result) -> None:
        self.memory.decide(change, result)
        if result.is_better:
            self.search.count_keep(self.base, params)
            self._known.add((change[0], self.base[change[0]]))
            self.base = params


class Search:
    """One search: a world, a memory, one or two writers."""

    def __init__(self, seed: int, arm: str, variant: str, trials: int) -> None:
        self.world = World(seed)
        self.tally = Tally()
        self.trials, self.variant = trials, variant
        self.noise = random.Random(f"{seed} noise")
        self._rng = random.Random(f"{seed} ideas")
        self._seen_dead: set[Change] = set()
        self._seen: set[frozenset[Change]] = {frozenset(DEFAULTS.items())}
        self.arm = arm

    def measure(self, params: Params) -> float:
        """Return the measured value of a run."""
        sd = SD if self.variant == "fresh noise" else 0.0
        return self.world.truth(params) + self.noise.gauss(0, sd)

    def count(self, params: Params) -> None:
        """Count a trial that was run."""
        dead, trial = self.world.dead_in(params), frozenset(params.items())
        self.tally.trials += 1
        self.tally.runs += 1
        self.tally.wasted += bool(dead & self._seen_dead) or trial in self._seen
        self._seen_dead |= dead
        self._seen.add(trial)

    def count_keep(self, base: Params, params: Params) -> None:
        """Count a trial that was kept."""
        self.tally.kept += 1
        self.tally.false_keeps += self.world.truth(params) >= self.world.truth(base)

    def make(self) -> Tally:
        """Run the search; its writers alternate at random, with one run or decision each."""
        with tempfile.TemporaryDirectory() as folder, _standing_in(Path.cwd()):
            writers = 2 if self.variant == "two writers" else 1
            memories = [*self._memories(Path(folder), writers)]
            memories[0].begin()
            self.tally.runs += BASELINE if self.arm.startswith("gitexp") else 1
            searchers = [Searcher(self, memory, self._rng) for memory in memories]
            while self.tally.runs < self.trials:
                self._rng.choice(searchers).step()
            self.tally.reached = min(self.world.truth(s.base) for s in searchers)
        return self.tally

    def _memories(self, folder: Path, writers: int) -> Iterator[Memory]:
        if not self.arm.startswith("gitexp"):
            rows: list[str] = []
            yield from (File(self, self.arm, rows) for _ in range(writers))
            return
        main = folder / "main"
        git(folder, "init", "--quiet", "main")
        (main / "train.sh").write_text(PROGRAM)
        (main / "gitexp.toml").write_text(SETTINGS)
        git(main, "add", ".")
        git(main, "commit", "--quiet", "--message", "a training")
        yield GitExp(self, main, folder / "feed")
        for n in range(1, writers):
            git(main, "worktree", "add", "--quiet", "--detach", str(folder / f"writer{n}"))
            yield GitExp(self, folder / f"writer{n}", folder / "feed")


# --- arms without gitexp --------------------------------------------------------------------------


class File:
    """A file `results.tsv` as agent loops write it, or nothing; two writers share it."""

    def __init__(self, search: Search, arm: str, rows: list[str]) -> None:
        self._search, self._arm, self._rows = search, arm, rows
        self._best = search.world.truth(DEFAULTS)
        self._value: float | None = None

    def begin(self) -> None:
        self._value = self._search.measure(DEFAULTS)
        self._spend_run(DEFAULTS, f"METRIC loss={self._value:.4f}")
        self._best = self._value
        self._write("keep", "baseline")

    def recall(self, *, is_lost: bool) -> Told:
        if self._arm == "nothing":
            return Told()
        if "once" in self._arm and not is_lost:
            return Told()
        last = 20 if "last 20" in self._arm else len(self._rows)
        rows = self._rows[-last:]
        typed = "tail -n 20 results.tsv" if "last 20" in self._arm else "cat results.tsv"
        self._search.tally.spent("read", typed, *(row + "\n" for row in rows))
        found = (re.search(r"\t(\w+) ([\w.]+)(?::|$)", row) for row in rows)
        return Told(frozenset((m[1], m[2]) for m in found if m))

    def run(self, params: Params, change: Change) -> Result:
        crash = self._search.world.crash(params)
        self._value = None if crash else self._search.measure(params)
        self._spend_run(params, crash or f"METRIC loss={self._value:.4f}")
        is_better = self._value is not None and self._value < self._best
        return Result(crash, is_better, crash or "")

    def decide(self, change: Change, result: Result) -> None:
        if result.is_better and self._value is not None:
            self._best = self._value
        if self._arm != "nothing":
            word = "crash" if result.cause else "keep" if result.is_better else "discard"
            self._write(word, " ".join(change) + (f": {result.cause}" if result.cause else ""))

    def _spend_run(self, params: Params, printed: str) -> None:
        typed = f"{arguments(params)} > run.log 2>&1; tail -n 1 run.log"
        self._search.tally.spent("run", typed, printed)

    def _write(self, word: str, text: str) -> None:
        number = "0.0000" if self._value is None else f"{self._value:.4f}"
        row = f"{len(self._rows) + 0x3F2A91C:07x}\t{number}\t{word}\t{text}"
        self._rows.append(row)
        self._search.tally.spent("decide", f"printf '{row}\\n' >> results.tsv")


# --- gitexp ---------------------------------------------------------------------------------------

PROGRAM = """\
result=$(head -n 1 "$FEED")
sed -i 1d "$FEED"
case "$result" in
[0-9]*) echo "METRIC loss=$result" ;;
*) echo "$result"; exit 1 ;;
esac
"""

SETTINGS = """\
metric = "loss"

[metrics.loss]
direction = "minimize"
"""


class GitExp:
    """The real commands in a work tree; uses only what they print."""

    def __init__(self, search: Search, path: Path, feed: Path) -> None:
        self._search, self._path, self._feed = search, path, feed
        self._mine = ""

    def begin(self) -> None:
        self._feed.write_text(
            "".join(f"{self._search.measure(DEFAULTS):.4f}\n" for _ in range(BASELINE))
        )
        typed = f"git exp run --repeat {BASELINE} -m baseline -- {arguments(DEFAULTS)}"
        self._call("run", typed)
        self._call("decide", "git exp decide last keep -m baseline")

    def recall(self, *, is_lost: bool) -> Told:
        if is_lost:
            typed = "git exp brief"
        elif self._search.variant == "two writers" and self._mine:
            typed = "git exp brief --since last"
        else:
            return Told()
        _, printed = self._call("read", typed)
        return read_brief(printed)

    def run(self, params: Params, change: Change) -> Result:
        crash = self._search.world.crash(params)
        self._feed.write_text(f"{crash or format(self._search.measure(params), '.4f')}\n")
        typed = f'git exp run -m "{" ".join(change)}" -- {arguments(params)}'
        code, printed = self._call("run", typed)
        if code == 128:
            return Result(None, False, "", was_run=False)
        self._mine = _find(r"^run (\w+) ", printed)
        if code:
            cause = next(line for line in CRASHES if line in printed)
            return Result(cause, False, cause)
        if "best so far" in printed:
            return Result(None, True, "better")
        return Result(None, False, "worse" if ": worse than" in printed else "no gain shown")

    def decide(self, change: Change, result: Result) -> None:
        word = "keep" if result.is_better else "discard"
        _, printed = self._call("decide", f'git exp decide last {word} -m "{result.why}"')
        self._search.tally.strangers += self._mine != _find(r"^run (\w+) ", printed)

    def _call(self, kind: str, typed: str) -> tuple[int, str]:
        words = re.findall(r'"([^"]*)"|(\S+)', typed)
        argv = [quoted or word for quoted, word in words][2:]
        with _standing_in(self._path), _captured() as printed, _feeding(self._feed):
            code = gitexp.cli.app.run(argv)
        text = printed()
        if code not in (0, 1, 128):
            raise AssertionError(f"{typed}: exit {code}\n{text}")
        self._search.tally.spent(kind, typed, text)
        return code, text


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, text
    return found[1]


PAIR = re.compile(rf"\b({'|'.join(CHOICES)}) ((?:[\w.]+)(?:, (?![a-z]+ [\w.]+\b)[\w.]+)*)")


def read_brief(text: str) -> Told:
    """Return the changes that a brief lists as tried, and the parameters of the best trial."""
    best: dict[str, str] | None = None
    found: set[Change] = set()
    section = ""
    for line in text.splitlines():
        if not line.startswith(" "):
            section = line
        if section.startswith("not tried"):
            continue
        pairs = {
            (name, value)
            for name, values in PAIR.findall(line)
            for word in values.split(", ")
            if (value := _as_choice(name, word)) is not None
        }
        if section.startswith("best") and line.startswith("  with "):
            best = dict(pairs)
        elif section.startswith(("given up", "failed", "kept", "waiting", "running")):
            found |= pairs
    if best is None and section:
        best = {}
    return Told(frozenset(found), best)


def _as_choice(name: str, word: str) -> str | None:
    """Return the value as typed: a brief may print 1 for 1.0."""
    for value in CHOICES[name]:
        if word == value:
            return value
        try:
            if float(word) == float(value):
                return value
        except ValueError:
            continue
    return None


# --- in a process ---------------------------------------------------------------------------------


def git(folder: Path, *args: str) -> None:
    """Run a git command that must succeed."""
    subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True)


@contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _feeding(feed: Path) -> Iterator[None]:
    os.environ["FEED"] = str(feed)
    try:
        yield
    finally:
        del os.environ["FEED"]


@contextmanager
def _captured() -> Iterator["_Reader"]:
    """Capture both streams of this process and its children, in the order written."""
    reader = _Reader()
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(1), os.dup(2)]
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with (
                open(1, "w", buffering=1, closefd=False) as out,
                open(2, "w", buffering=1, closefd=False) as err,
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                yield reader
        finally:
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            reader.text = file.read().decode()


@dataclass
class _Reader:
    text: str = ""

    def __call__(self) -> str:
        return self.text


def make_search(seed: int, arm: str, variant: str, trials: int) -> Tally:
    """Run one search."""
    return Search(seed, arm, variant, trials).make()


def make_searches(seeds: Sequence[int], arm: str, variant: str, trials: int) -> list[Tally]:
    """Run a search for every seed, two at a time."""
    if not arm.startswith("gitexp"):
        return [make_search(seed, arm, variant, trials) for seed in seeds]
    with ProcessPoolExecutor(2) as pool:
        made = [pool.submit(make_search, seed, arm, variant, trials) for seed in seeds]
        return [search.result() for search in made]
