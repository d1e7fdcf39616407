"""The figures, each with its reference."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gitexp
from gitexp.api.tracker import Tracker
from gitexp.storage.merge.branches import merge_run_branch
from gitexp.storage.workspace import Workspace
from tests.benchmarks.building import add_runs, add_seeds, git, make_repository
from tests.benchmarks.clusters import on_dask
from tests.benchmarks.live import live_figures
from tests.benchmarks.page import LONG_CURVE, WITH_CURVES, add_curves, page_figures
from tests.benchmarks.sweeps import sweeping
from tests.benchmarks.timing import Commands, Deed, Figure, compare, median_of

CLICK = (sys.executable, "-c", "import click, sqlite3")
PIPELINE = (
    "sh",
    "-c",
    "git ls-tree -r gitexp | cut -d' ' -f3 | cut -f1 | git cat-file --batch --buffer >/dev/null",
)
"""Everything that git does to output all records."""


@dataclass
class Bench:
    """A repository with a number of runs, and functions to measure in it."""

    root: Path
    """Directory of everything; deleted at the end."""
    runs: int
    environment: dict[str, str]
    turns: int = 15
    """Turns for measurements of a fraction of a second; those of seconds get a fifth."""
    seeds: int = 1000
    repositories: dict[int, Path] = field(default_factory=dict)

    @property
    def few(self) -> int:
        """Turns for measurements of seconds."""
        return max(self.turns // 5, 1)

    def repository(self, runs: int | None = None) -> Path:
        """Return a repository with `count` runs and a current index, built at the first call."""
        runs = self.runs if runs is None else runs
        if runs not in self.repositories:
            folder = make_repository(self.root / f"runs-{runs}")
            # Building leaves a heap of a hundred megabytes, and the next figure measures records.
            build = (sys.executable, "-m", "tests.benchmarks.building", str(folder), str(runs))
            subprocess.run(build, check=True, cwd=Path(__file__).parents[2])
            os.sync()  # flush now, so that no pending write disturbs a measurement
            self.repositories[runs] = folder
        return self.repositories[runs]

    def commands(self, folder: Path | None = None) -> Commands:
        """Return a runner of child processes in a repository."""
        return Commands(folder or self.repository(), self.environment)

    def add_one(self, folder: Path) -> None:
        """Record one more run that no index has."""
        self.seeds += 1
        add_runs(folder, 1, seed=self.seeds, clock=10**6 + self.seeds)


def exp(*args: str) -> tuple[str, ...]:
    """Return the command line as users start it."""
    script = Path(sys.executable).with_name("git-exp")
    start = (str(script),) if script.exists() else (sys.executable, "-m", "gitexp")
    return (*start, *args)


# --- reading --------------------------------------------------------------------------------------


def reading(bench: Bench) -> Iterator[Figure]:
    """Reading commands with a current index, against importing what every command line needs."""
    commands = bench.commands()
    where = "accuracy > 0.9 and lr < 0.1"
    for name, argv, limit, allowed in (
        ("list, sorted", ("list", "-n", "20", "--sort-by", "accuracy"), 2.0, (0,)),
        (
            "list, filtered",
            ("list", "-n", "20", "--sort-by", "accuracy", "--where", where),
            2.5,
            (0,),
        ),
        ("log", ("log", "-n", "20"), 2.5, (0,)),
        ("show", ("show", "last"), 2.5, (0,)),
        ("compare", ("compare",), 2.5, (0, 1, 125)),
        ("best", ("best", "accuracy"), 2.5, (0,)),
        ("tried", ("tried", "--", "python", "train.py"), 2.5, (0, 1)),
    ):
        deed = commands.deed(*exp(*argv), allowed=allowed)
        yield compare(name, deed, commands.deed(*CLICK), limit, turns=bench.turns)


def reading_repeats(bench: Bench) -> Iterator[Figure]:
    """Verdicts among 1,500 runs that are three seeds of each trial."""
    folder = make_repository(bench.root / "seeds")
    add_seeds(folder, 1500)
    commands = bench.commands(folder)
    for name, argv in (("best", ("best", "accuracy")), ("log", ("log", "-n", "20"))):
        deed = commands.deed(*exp(*argv))
        reference = commands.deed(*CLICK)
        yield compare(f"{name}, three seeds a trial", deed, reference, 5.0, turns=bench.turns)


def whole_listing(bench: Bench) -> Iterator[Figure]:
    """All runs as JSON, against git printing all records."""
    commands = bench.commands()
    listing, pipeline = commands.deed(*exp("list", "--json")), commands.deed(*PIPELINE)
    yield compare("list --json of all", listing, pipeline, 3.0, turns=bench.few)


REPORTED = 10_000
"""Maximum runs of the measured report."""


def reporting(bench: Bench) -> Iterator[Figure]:
    """A report of all runs, against printing their documents; and its size."""
    folder = bench.repository(min(bench.runs, REPORTED))
    commands = bench.commands(folder)
    page = folder / "report.html"
    report = commands.deed(*exp("report", "-o", page.name))
    listing = commands.deed(*exp("list", "--json"))
    figure = compare("report of 10,000", report, listing, 3.0, turns=bench.few)
    yield figure
    size_mb = page.stat().st_size / 1e6
    yield Figure("size of that report", size_mb, 3.0, figure.measured_s, unit="MB")


def looking_at_the_page(bench: Bench) -> Iterator[Figure]:
    """The page of a large search in a browser; nothing where there is no browser."""
    runs = min(bench.runs, REPORTED)
    folder = shutil.copytree(bench.repository(runs), bench.root / "page", symlinks=True)
    with inside(folder):
        add_curves(folder, WITH_CURVES, runs, LONG_CURVE)
    commands = bench.commands(folder)
    taken_s = commands.deed(*exp("report", "-o", "page.html"))()
    name = f"report with {WITH_CURVES} curves of {LONG_CURVE:,} points"
    yield Figure(name, taken_s, None, taken_s, unit="s")
    newest = f"id in {tuple(Workspace.open(folder).index.ids(limit=WITH_CURVES))}"
    commands.deed(*exp("report", "-o", "full.html", "--full", "--select", newest))()
    yield from page_figures(folder / "page.html", folder / "full.html", runs)


def serving_the_page(bench: Bench) -> Iterator[Figure]:
    """The live page of all runs."""
    yield from live_figures(bench.repository(), exp(), bench.environment, bench.runs)


# --- pushing --------------------------------------------------------------------------------------


def pushing(bench: Bench) -> Iterator[Figure]:
    """A push of the user with the hook, against one without, to a remote on the same disk."""
    folder = bench.root / "pushing"
    git(bench.root, "init", "--quiet", "--bare", str(folder.with_suffix(".hub")))
    make_repository(folder)
    add_runs(folder, 20, seed=1, clock=1)
    git(folder, "remote", "add", "origin", str(folder.with_suffix(".hub")))
    commands = bench.commands(folder)
    commands.time(("git", "push", "--quiet", "origin", "HEAD:refs/heads/main"))
    commands.time(exp("hooks", "install"))
    commands.time(exp("push"))
    remember = 'url=$(git remote get-url origin); echo "$url" >>.git/gitexp/told'
    commands.time(("sh", "-c", remember))

    def push(*options: str) -> Deed:
        def deed() -> float:
            git(folder, "commit", "--quiet", "--allow-empty", "-m", "a change")
            took = commands.time(("git", "push", "-q", *options, "origin", "HEAD:refs/heads/main"))
            while (folder / ".git/gitexp/pushes").exists():  # so that the next one runs alone
                time.sleep(0.05)
            return took

        return deed

    plain, click = push("--no-verify"), commands.deed(sys.executable, "-c", "import click")
    yield compare("a push, nothing to ask", push(), plain, 1.5, turns=bench.turns)
    rules = '[metrics.accuracy]\ndirection = "maximize"\ngate = 0.01\n'
    (folder / "gitexp.toml").write_text(rules)
    both: Deed = lambda: plain() + click()  # noqa: E731 - both together are one reference
    yield compare("a push with gates", push(), both, 1.5, turns=bench.turns)


# --- the run index --------------------------------------------------------------------------------


def building_the_index(bench: Bench) -> Iterator[Figure]:
    """The first command after a clone, with each parser."""
    hidden = bench.root / "hidden"
    hidden.mkdir(exist_ok=True)
    (hidden / "toml_rs.py").write_text("raise ImportError\n")
    for parser, extra, limit in (
        ("toml-rs", {}, 8.0),
        ("tomllib", {"PYTHONPATH": str(hidden)}, 25.0),
    ):
        name = f"run index from nothing, {parser}"
        commands = Commands(bench.repository(), {**bench.environment, **extra})

        def build(commands: Commands = commands) -> float:
            for file in (commands.folder / ".git/gitexp").glob("index.sqlite*"):
                file.unlink()
            return commands.time(exp("list", "-n", "1"))

        pipeline = commands.deed(*PIPELINE)
        figure = compare(name, build, pipeline, limit, turns=bench.few, warm=False)
        yield figure
        peak = commands.peak_bytes / 1e6
        yield Figure(f"{name}: memory", peak, 500, figure.measured_s, unit="MB")


def updating_the_index(bench: Bench) -> Iterator[Figure]:
    """Extra time of a list after one new run."""
    folder, commands = bench.repository(), bench.commands()
    listing = exp("list", "-n", "20", "--sort-by", "accuracy")
    extra, warm = [], []
    for _ in range(bench.turns):
        bench.add_one(folder)
        cold = commands.time(listing)
        warm.append(commands.time(listing))
        extra.append(cold - warm[-1])
    cost_s = statistics.median(extra)
    base_s = statistics.median(warm)
    yield Figure(
        "run index after 1 new run", cost_s * 1000, 20, base_s + cost_s, base_s, unit="ms more"
    )


# --- recording ------------------------------------------------------------------------------------


def recording(bench: Bench) -> Iterator[Figure]:
    """Records from Python, against one fast-import of the same objects."""
    folder = bench.repository()
    with inside(folder):
        scratch = bench.root / "scratch.git"
        git(folder, "clone", "--quiet", "--bare", "--local", str(folder), str(scratch))
        tracker = Tracker()
        for name, deed, limit in (
            ("one record from Python, whole", lambda: tracker.log(RESULTS), 2.5),
            ("one record from Python, start and seal", start_and_seal, 3.5),
        ):
            pairs = [_record_pair(folder, scratch, deed) for _ in range(bench.turns + 1)][1:]
            yield Figure(
                name,
                statistics.median(measured / reference for measured, reference in pairs),
                limit,
                statistics.median(measured for measured, _ in pairs),
                statistics.median(reference for _, reference in pairs),
            )
        yield from _logging()
    shutil.rmtree(scratch)


RESULTS = {"params": {"lr": 0.1, "batch": 32}, "metrics": {"accuracy": 0.9, "loss": 0.1}}


def start_and_seal() -> None:
    """One run from its start to its seal."""
    with gitexp.start(params={"lr": 0.1, "batch": 32}) as run:
        run.log(accuracy=0.9, loss=0.1)


def _record_pair(folder: Path, scratch: Path, deed: Callable[[], object]) -> tuple[float, float]:
    before = git(folder, "rev-parse", "gitexp")
    began = time.perf_counter()
    deed()
    measured = time.perf_counter() - began
    stream = subprocess.run(
        ["git", "fast-export", "--reference-excluded-parents", f"{before}..gitexp"],
        cwd=folder,
        capture_output=True,
        check=True,
    ).stdout
    began = time.perf_counter()
    git(scratch, "fast-import", "--quiet", "--force", stdin=stream)
    return measured, time.perf_counter() - began


def _logging() -> Iterator[Figure]:
    times = []
    with gitexp.start() as run:
        for step in range(5000):
            began = time.perf_counter()
            run.log(accuracy=0.5, step=step)
            times.append(time.perf_counter() - began)
    median_s = statistics.median(times)
    yield Figure("run.log() a step", median_s * 1e6, 20, median_s, unit="microseconds")


def running(bench: Bench) -> Iterator[Figure]:
    """`git exp run -- true` beyond Python's start, against two commits and importing click."""
    folder, commands = bench.repository(), bench.commands()
    python = median_of(commands.deed(sys.executable, "-c", "pass"), bench.turns)
    commit = ("git", "commit", "--quiet", "--allow-empty", "-m", "x")
    whole = exp("run", "--again", "--quiet", "--", "true")

    def reference() -> float:
        importing = commands.time((sys.executable, "-c", "import click"))
        return commands.time(commit) + commands.time(commit) + importing

    yield compare(
        "run -- true, on top of Python",
        lambda: commands.time(whole) - python,
        reference,
        3.0,
        turns=bench.turns,
    )
    git(folder, "gc", "--quiet")


def running_among_many_files(bench: Bench) -> Iterator[Figure]:
    """`git exp run -- true` in a repository of 40,000 files, against `git status` there."""
    folder = make_repository(bench.root / "many-files")
    for number in range(40_000):
        path = folder / f"{number // 2000:02}" / f"{number % 2000 // 50:02}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "many files")
    commands = bench.commands(folder)
    whole = exp("run", "--again", "--quiet", "--", "true")
    status = commands.deed("git", "status")
    yield compare(
        "run -- true, 40,000 files", commands.deed(*whole), status, 2.5, turns=bench.turns
    )


def bulk_recording(bench: Bench) -> Iterator[Figure]:
    """Recording everything at once, against fast-import of the same stream."""
    stream = bench.root / "stream"
    source = bench.repository()
    branches = ("gitexp", "gitexp-code")
    with stream.open("wb") as sink:
        subprocess.run(["git", "fast-export", *branches], cwd=source, stdout=sink, check=True)
    folders = iter(range(10**6))

    def measured() -> float:
        folder = make_repository(bench.root / f"bulk-{next(folders)}")
        began = time.perf_counter()
        add_runs(folder, bench.runs)
        took = time.perf_counter() - began
        shutil.rmtree(folder)
        return took

    def reference() -> float:
        folder = make_repository(bench.root / f"bulk-{next(folders)}")
        took = bench.commands(folder).time(("git", "fast-import", "--quiet"), stdin=stream)
        shutil.rmtree(folder)
        return took

    name = f"bulk import of {bench.runs:,} runs"
    yield compare(name, measured, reference, 3.0, turns=1, warm=False)
    stream.unlink()


# --- sharing and keeping --------------------------------------------------------------------------


def merging(bench: Bench) -> Iterator[Figure]:
    """The merge of two diverged histories, against git merging their trees."""
    each = max(bench.runs // 10, 1)
    ours = make_repository(bench.root / "ours")
    add_runs(ours, 10)
    theirs = bench.root / "theirs"
    git(bench.root, "clone", "--quiet", str(ours), str(theirs))
    git(theirs, "branch", "--quiet", "gitexp", "origin/gitexp")
    git(theirs, "branch", "--quiet", "gitexp-code", "origin/gitexp-code")
    add_runs(ours, each, seed=2, clock=10)
    add_runs(theirs, each, seed=3, clock=10)
    git(ours, "fetch", "--quiet", str(theirs), "gitexp:refs/gitexp/remotes/theirs/gitexp")
    tip, other = git(ours, "rev-parse", "gitexp", "refs/gitexp/remotes/theirs/gitexp").split()
    workspace = Workspace.open(ours)

    def union() -> float:
        git(ours, "update-ref", "refs/heads/gitexp", tip)
        began = time.perf_counter()
        with workspace.branch.lock():
            joined = merge_run_branch(
                workspace.branch, "theirs", gitexp.core.model.ids.ObjectId(other), max_files=1 << 30
            )
        took = time.perf_counter() - began
        assert joined.merged
        return took

    reference = bench.commands(ours).deed("git", "merge-tree", "--write-tree", tip, other)
    yield compare(f"union merge of 2 x {each:,} runs", union, reference, 3.0, turns=bench.few)


def size(bench: Bench) -> Iterator[Figure]:
    """Size on disk of the records as written, against packed by `git gc`."""
    folder = make_repository(bench.root / "size")
    add_runs(folder, bench.runs)
    loose = _size_of(folder / ".git/objects")
    began = time.perf_counter()
    git(folder, "gc", "--quiet")
    packed = _size_of(folder / ".git/objects")
    took = time.perf_counter() - began
    note = f"{loose / 1e6:.0f} MB against {packed / 1e6:.0f} MB"
    yield Figure("size on disk", loose / packed, 1.2, took, note=note)
    shutil.rmtree(folder)


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


# --- growth ---------------------------------------------------------------------------------------


def growth(bench: Bench) -> Iterator[Figure]:
    """List, record and sync at growing numbers of runs; flat means within 1.5 of 1,000."""
    sizes = [count for count in (100, 1_000, 10_000, 100_000) if count <= bench.runs]
    folders = {count: bench.repository(count) for count in sizes}
    for count, folder in folders.items():
        remote = bench.root / f"remote-{count}.git"
        git(folder, "clone", "--quiet", "--bare", "--local", str(folder), str(remote))
        git(folder, "remote", "add", "origin", str(remote))
        bench.commands(folder).time(exp("sync"))
    for name, make, flat in (
        ("list", _listing, True),
        ("record", _tracking, True),
        ("sync", _syncing, False),
    ):
        deeds = {count: make(bench, folder) for count, folder in folders.items()}
        turns = [{count: deed() for count, deed in deeds.items()} for _ in range(bench.turns + 1)]
        middle = 1_000 if 1_000 in sizes else sizes[0]
        for count in sizes:
            ratio = statistics.median(turn[count] / turn[middle] for turn in turns[1:])
            yield Figure(
                f"{name} at {count:,} runs, over {middle:,}",
                ratio,
                1.5 if flat and count > middle else None,
                statistics.median(turn[count] for turn in turns[1:]),
                statistics.median(turn[middle] for turn in turns[1:]),
            )


def _listing(bench: Bench, folder: Path) -> Deed:
    return bench.commands(folder).deed(*exp("list", "-n", "20", "--sort-by", "accuracy"))


def _tracking(_bench: Bench, folder: Path) -> Deed:
    tracker = Tracker(folder)

    def deed() -> float:
        began = time.perf_counter()
        tracker.log(RESULTS)
        return time.perf_counter() - began

    return deed


def _syncing(bench: Bench, folder: Path) -> Deed:
    commands = bench.commands(folder)

    def deed() -> float:
        bench.add_one(folder)
        return commands.time(exp("sync"))

    return deed


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


ALL: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "reading": reading,
    "repeats": reading_repeats,
    "json": whole_listing,
    "report": reporting,
    "page": looking_at_the_page,
    "ui": serving_the_page,
    "index": building_the_index,
    "update": updating_the_index,
    "push": pushing,
    "record": recording,
    "run": running,
    "files": running_among_many_files,
    "sweep": sweeping,
    "dask": on_dask,
    "bulk": bulk_recording,
    "merge": merging,
    "size": size,
    "growth": growth,
}
"""Parts of the table, in order."""
