"""Trials on other machines: what travels, what comes back, and what a dead coordinator left.

The record is made here, by the same steps as for a trial on this machine, from files in a
directory that stands for the work tree of the worker.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gitexp.adapters.engines.protocol import Brought, Ended, Order, Parcel
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.journal.format import encode_line, parse_lines
from gitexp.adapters.journal.journal import JournalContent, list_journals, read_journal
from gitexp.adapters.journal.liveness import ENGINE, liveness
from gitexp.adapters.system import clock
from gitexp.adapters.system.probe import kept_facts
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.model.run import Checks, FileState, Outcome, Run, Table, flatten
from gitexp.core.render.text import counted
from gitexp.core.schema.toml_codec import decode_run, encode_table
from gitexp.features.execution.place_inputs import inside
from gitexp.features.execution.prepare import PreparedRun, recorded_path
from gitexp.features.execution.recover import recover
from gitexp.features.sweeps.plan import Plan, Planned
from gitexp.features.sweeps.trees import TrialTree
from gitexp.features.sweeps.trial import OpenTrial, placed_in
from gitexp.storage.workspace import Workspace

ELSEWHERE = "elsewhere"
"""The worker of a run whose record does not name machines."""

CONNECT_S: Final = 10.0
"""Seconds that workers have to connect and say which trials they know."""

_ASK_S: Final = 0.5

_LOGGED = frozenset(("metrics", "units", "params", "tags", "note"))
"""Events that a program may write to its journal."""


@dataclass(slots=True)
class BroughtTree(TrialTree):
    """Files that came back from a worker, in a directory that is empty when a trial begins."""

    written: tuple[str, ...] = ()
    """All files that the trial wrote, also those that stayed there."""

    def changed(self) -> list[str]:
        """Return the files that came or changed, sorted."""
        return sorted(self.written)


@dataclass(slots=True)
class RemoteTrial(OpenTrial):
    """A trial whose command runs on another machine, or is about to."""

    named: Mapping[str, str] = field(default_factory=dict)
    """Variables that the user passes on by name."""
    brought: Brought | None = None

    @property
    def may_wait(self) -> bool:
        """True when it may not have started: workers have a queue, and may lack its data."""
        return True

    def order(self, marks: Mapping[str, str], _more: Mapping[str, str]) -> Order:
        """What an engine needs to run the command."""
        command, top = self.run.command, self.prepared.top
        header: dict[str, Any] = {
            "event": "start",
            "run": self.run.id,
            "record": "",
            "process": None,
            "extra": {},
        }
        rewritten = {*self.run.produced, *self.run.outputs}
        inputs = {**self.run.inputs, **self.run.code.hashed}
        parcel = Parcel(
            params=encode_table(self.run.params).decode(),
            journal=encode_line(header).decode(),
            inputs={path: state.sha256 for path, state in inputs.items() if path not in rewritten},
            metrics=[recorded_path(path, top) for path in self.prepared.metrics_files],
            outputs=[recorded_path(path, top) for path in self.prepared.outputs],
            inject=self.workspace.settings.inject,
        )
        directory = Path("." if command is None else command.directory)
        limit_s = None if command is None else command.timeout_s
        env = {**self.named, **marks}
        return Order(self.run.id, self.prepared.argv, directory, env, limit_s, parcel)

    def take_in(self, ended: Ended) -> None:
        """Place what came back: files, what the program logged and reported, its environment."""
        brought = self.brought = ended.brought
        if brought is None:
            return
        assert isinstance(self.tree, BroughtTree)  # noqa: S101 - `RemotePlace` begins trials
        self.tree.written = tuple(brought.changed)
        for name, content in brought.files.items():
            with suppress(OSError, GitexpError):
                path = inside(self.tree.path, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        documents, _ = parse_lines([b"", *brought.journal.split(b"\n")])
        for document in documents:
            if document.get("event") in _LOGGED:
                with suppress(GitexpError):
                    self.journal.append(**document)
        if brought.report is not None:
            with suppress(OSError):
                self.report.write_bytes(brought.report)
        extent = self.workspace.settings.environment
        locks = self.run.environment.get("lock_files")
        facts: Table = {**brought.facts, **({"lock_files": locks} if locks else {})}
        facts, packages = kept_facts(facts, dict(brought.packages), extent)
        self.prepared = self.prepared._replace(packages=packages)
        warnings = (*self.run.warnings, *brought.warnings)
        place = self.run.sweep
        worker = str(brought.facts.get("host", "")) if extent == "full" else ""
        if place is not None:
            place = replace(place, worker=worker or ELSEWHERE)
        self.run = replace(self.run, environment=facts, warnings=warnings, sweep=place)

    def gives_outputs(self, warnings: list[str]) -> dict[str, FileState]:
        """Return the states of the declared outputs, as the worker found them."""
        found = {} if self.brought is None else self.brought.outputs
        names = [recorded_path(path, self.prepared.top) for path in self.prepared.outputs]
        warnings += [f"output {Path(n).name} is missing" for n in names if n not in found]
        return {n: FileState(sha256=found[n][0], bytes=found[n][1]) for n in names if n in found}

    def _reads(self, _since_ns: int | None) -> dict[str, FileState]:
        """Return nothing: the files that the program read are elsewhere."""
        return {}

    def checks(self, run: Run) -> tuple[Checks | None, list[str]]:
        """Run no checks: the files are elsewhere."""
        if self.workspace.settings.checks is None or run.outcome is not Outcome.SUCCEEDED:
            return None, []
        return None, ["the project's checks did not run: the trial ran on another machine"]


class RemotePlace:
    """Directories here for what comes back from other machines."""

    def __init__(self, workspace: Workspace, engine: str, names: Sequence[str]) -> None:
        """`engine` is an address, `names` are variables to pass on. Raises `InvalidInput`."""
        self._workspace = workspace
        self._engine = engine
        self._named = named_variables(names)
        folder = workspace.repo.state_dir / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix="sweep-")
        self._free: list[BroughtTree] = []
        self._count = 0

    def begin(self, prepared: PreparedRun, run: Run) -> RemoteTrial:
        """Begin a trial, or begin it again. Raises `GitexpError` when it cannot be."""
        tree = self._free.pop() if self._free else self._make_tree()
        placed = placed_in(prepared, tree)._replace(argv=prepared.argv, packages={})
        locks = run.environment.get("lock_files")
        run = replace(run, environment={"lock_files": locks} if locks else {})
        trial = RemoteTrial.begin(self._workspace, placed, run, tree, engine=self._engine)
        trial.named = self._named
        return trial

    def _make_tree(self) -> BroughtTree:
        self._count += 1
        path = Path(self._folder.name) / str(self._count)
        path.mkdir()
        return BroughtTree(path)

    def end(self, trial: OpenTrial) -> None:
        """Empty the directory of a trial."""
        tree = trial.tree
        assert isinstance(tree, BroughtTree)  # noqa: S101 - `begin` makes them
        tree.written = ()
        shutil.rmtree(tree.path, ignore_errors=True)
        with suppress(OSError):
            tree.path.mkdir()
            self._free.append(tree)

    def touch(self) -> None:
        """Do nothing: `git exp gc` does not remove them."""

    def close(self) -> None:
        """Remove the directories."""
        with suppress(OSError):
            self._folder.cleanup()


def declared_inputs(prepared: PreparedRun) -> dict[str, str]:
    """Return the SHA-256 by path of the data that every trial of a sweep needs."""
    run = prepared.run
    declared = {path: state for path, state in run.inputs.items() if not state.named}
    return {path: state.sha256 for path, state in {**declared, **run.code.hashed}.items()}


def named_variables(names: Sequence[str]) -> dict[str, str]:
    """Return the variables to pass on, with their values. Raises `InvalidInput`."""
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise InvalidInput(
            f"cannot pass on the variable '{missing[0]}'",
            why="it is not set here",
            hints=[f"set it first: `export {missing[0]}=…`"],
        )
    return {name: os.environ[name] for name in names}


# --- before it begins -----------------------------------------------------------------------------


def check_travels(repo: Repo, tree: str, prepared: PreparedRun, links: Sequence[str]) -> None:
    """Refuse a sweep that no other machine can run. Raises `InvalidInput`."""
    what = "cannot run this sweep on other machines"
    if links:
        raise InvalidInput(
            what,
            why=f"--link {links[0]} names a file here, and files that git does not hold stay here",
            hints=["declare data with `--input PATH`; workers look for it below GITEXP_DATA"],
        )
    modules = [entry.path for entry in repo.list_tree(tree) if entry.kind == "commit"]
    nested = [path for path in prepared.run.code.hashed if path.endswith("/")]
    for path in (*modules, *nested):
        why = f"'{path}' is a repository of its own, which does not travel with the code"
        raise InvalidInput(what, why=why, hints=["run it here, without `--executor`"])
    program = prepared.argv[0]
    file = Path(os.path.normpath(prepared.directory / program))
    if "/" in program and (file.parent.parent / "pyvenv.cfg").exists():
        raise InvalidInput(
            what,
            why=f"'{program}' is in a virtual environment of this machine",
            hints=["begin the command with `python`: it is the Python of the worker there"],
        )


# --- what a sweep that died left ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Left:
    """A trial that was given to workers before, and has no record yet."""

    run: Run
    number: int

    def planned(self, plan: Plan) -> Planned:
        """The trial as the plan of its sweep has it."""
        values = dict(flatten(self.run.params))
        point = {name: values[name] for name in plan.definition.space().names if name in values}
        prepared = plan.sample()._replace(run=self.run, given={})
        return Planned(self.number, point, prepared)


def find_left(
    workspace: Workspace,
    sweep: str,
    engine: str,
    ask: Callable[[], set[str]],
    notice: Callable[[str], None],
) -> tuple[list[Left], set[str], list[JournalContent]]:
    """Return the trials of a sweep that workers still know, what they know, and others' trials.

    `ask` returns the runs that the workers of `engine` know. Trials that it should know and does
    not are recorded as interrupted, after some seconds: a worker that has their results may be
    about to connect. Call only while holding the sweep. Raises `GitexpError`.
    """
    given = _given(workspace, sweep)
    known, until_s = ask(), clock.monotonic_s() + CONNECT_S
    here = {run.id for content, run in given if content.extra[ENGINE] == engine}
    if here - known:
        missing = counted(here - known, "trial")
        notice(f"waiting {CONNECT_S:g} s for workers that may have results of {missing}")
    while here - known and clock.monotonic_s() < until_s:
        clock.sleep(_ASK_S)
        known |= ask()
    for run in here - known:
        with suppress(GitexpError):
            recover(workspace, only=run, force=True)
    left = [Left(run, run.sweep.number) for _, run in given if run.sweep and run.id in known]
    elsewhere = [content for content, run in given if run.id not in here | known]
    return left, known, elsewhere


def _given(workspace: Workspace, sweep: str) -> list[tuple[JournalContent, Run]]:
    """Return the trials of a sweep that were given to any engine and have no record yet."""
    found = []
    for path in list_journals(workspace.journals):
        with suppress(FileNotFoundError, GitexpError):
            content = read_journal(path)
            if content.extra.get(ENGINE) and not liveness(content).is_over:
                run = decode_run(content.record)
                if run.sweep is not None and run.sweep.id == sweep:
                    found.append((content, run))
    return found
