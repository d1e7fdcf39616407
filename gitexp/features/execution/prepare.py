"""Build the record of a run that is about to start from the user's request.

Gathers parameters, takes the snapshot, observes the environment, hashes the inputs and computes the
fingerprint. Writes only git objects without a ref, so a trial that turns out to be a repeat leaves
no trace.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast

from gitexp.adapters.system import clock
from gitexp.core.analysis.fingerprint import fingerprint_of
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import fill_template, parse_value
from gitexp.core.inputs.files import parse_params
from gitexp.core.inputs.guessed_params import params_from_argv
from gitexp.core.inputs.redaction import redact_argv, redact_table, redact_text
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    Code,
    Command,
    Direction,
    FileState,
    Origin,
    Outcome,
    Run,
    Table,
    Value,
)
from gitexp.core.model.run_names import memorable_name
from gitexp.core.schema.limits import check_table
from gitexp.features.execution.code_snapshot import observe_code
from gitexp.features.execution.named_inputs import Named, held_of, named_inputs
from gitexp.features.trials.changed_reads import ReadFiles, tell_apart
from gitexp.features.trials.earlier_runs import Changed
from gitexp.storage.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.core.inputs.patterns import MetricPattern

PARAMS_CANDIDATES = ("params.toml", "params.yaml", "params.yml", "params.json")
METRICS_CANDIDATES = (
    "metrics.toml",
    "metrics.json",
    "metrics.yaml",
    "metrics.yml",
    "metrics.csv",
    "metrics.jsonl",
    "dvclive/metrics.json",
)
"""Default file names in the command's directory, used when the user names none. Picked files are
reported."""


@frozen(kw_only=True)
class RunRequest:
    """The user's request to run or record something."""

    origin: Origin
    argv: tuple[str, ...] = ()
    """The command as typed; empty if there is none."""
    directory: Path
    """Working directory, absolute."""
    params: Table = field(default_factory=dict)
    """Parameters that the user gave."""
    params_files: tuple[str, ...] = ()
    file_params: Table | None = None
    """What the parameter files said at an earlier moment; `None` reads them."""
    metrics_files: tuple[str, ...] = ()
    metric_patterns: tuple[str, ...] | None = None
    """Patterns that read metrics from the output; `None` means those of the settings."""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    name: str | None = None
    reason: str | None = None
    tags: tuple[str, ...] = ()
    parent: RunId | None = None
    directions: dict[str, Direction] = field(default_factory=dict)
    timeout_s: float | None = None
    """Time limit of the command in seconds."""


class PreparedRun(NamedTuple):
    """A run that is ready to start."""

    run: Run
    """With outcome `running`."""
    argv: tuple[str, ...]
    """The command to execute: parameters filled in, nothing redacted."""
    directory: Path
    top: Path
    """Directory to which the record's paths are relative."""
    packages: Table
    """Installed packages, by name."""
    metrics_files: tuple[Path, ...]
    outputs: tuple[Path, ...]
    given: Mapping[str, Value] = MappingProxyType({})
    """Parameters given one by one or as a table, not redacted."""
    are_metrics_named: bool = True
    """False when the metrics files are default names that may not exist."""
    metric_patterns: "tuple[MetricPattern, ...]" = ()
    notes: tuple[str, ...] = ()
    """What gitexp picked up or left out, one sentence each."""
    uncompared: tuple[str, ...] = ()
    """Files that the comparison with repeats ignores, each with the reason."""
    changed: tuple[Changed, ...] = ()
    """Earlier runs that read other data; not repeats."""

    def observe_environment(self) -> Table:
        """Return the environment of the command, also the parts that are not recorded."""
        return observe_environment(self.argv, self.directory).facts


class ObservedEnvironment(NamedTuple):
    """The environment of a trial."""

    facts: Table
    packages: Table
    """Installed packages, by name."""


def observe_environment(argv: Sequence[str], directory: Path) -> ObservedEnvironment:
    """Describe the host and the Python the command will use, without starting it."""
    from gitexp.adapters.system.probe import probe_environment

    facts, packages = probe_environment(argv, directory=directory, env=dict(os.environ))
    return ObservedEnvironment(facts, {**packages})


def prepare(workspace: Workspace, request: RunRequest, *, observe: bool = True) -> PreparedRun:
    """Build the record of a run that is about to start.

    Without `observe` the environment is left out: a query needs none. Raises `InvalidInput` when
    parameters, files or inputs cannot be used, `NoCommit` when there is no commit.
    """
    with workspace.reading() as reading:
        return _prepare(reading, request, observe=observe)


def _prepare(workspace: Workspace, request: RunRequest, *, observe: bool) -> PreparedRun:
    params, given, notes = gather_params(workspace, request)
    argv = tuple(fill_template(request.argv, params))
    warnings: list[str] = []
    if request.argv and request.origin is Origin.RUN:
        from gitexp.features.execution.given_params import check_placeholders, not_received

        notes += check_placeholders(request.argv, params, given)
        warnings += not_received(request.argv, request.directory, given)
    outputs = tuple(request.directory / path for path in request.outputs)
    metrics_files = _metrics_files(workspace, request)
    top = workspace.repo.top
    written = [recorded_path(path, top) for path in (*metrics_files, *outputs)]
    inputs = _hash_inputs(workspace, request)
    command, patterns = command_of(workspace, request, argv), _metric_patterns(workspace, request)
    if command is not None and patterns:
        texts = tuple(redact_text(pattern.text) for pattern in patterns)
        command = replace(command, metric_patterns=texts)
    observed = observe_environment(argv, request.directory) if observe else None
    environment, packages = _kept(observed, top, workspace.settings.environment)
    code, sinks, code_notes = observe_code(workspace, command, written)
    named = _undeclared(workspace, request, argv, code, command, {*inputs, *written, *sinks})
    run = _running(workspace, request, redact_table(params), code, command, inputs | named.inputs)
    run = replace(run, environment=environment, produced=sinks, warnings=tuple(warnings))
    changed: tuple[Changed, ...] = ()
    if request.origin in _LIVE and top is not None:
        run, changed = tell_apart(workspace, run, ReadFiles(top))
    return PreparedRun(
        run=_in_session(workspace, run) if observe else run,
        argv=argv,
        directory=request.directory,
        top=top or request.directory,
        packages=packages,
        metrics_files=metrics_files,
        outputs=outputs,
        given=given,
        metric_patterns=patterns,
        are_metrics_named=bool(request.metrics_files or workspace.settings.metrics_files),
        notes=(
            *notes,
            *code_notes,
            *(f"not compared with other runs: {n}" for n in named.uncompared),
        ),
        uncompared=named.uncompared,
        changed=changed,
    )


_LIVE = (Origin.RUN, Origin.API, Origin.STEPS)
"""Origins of runs that start now. The files of others may have changed, or be elsewhere."""


def _undeclared(
    workspace: Workspace,
    request: RunRequest,
    argv: Sequence[str],
    code: Code,
    command: Command | None,
    known: Collection[str],
) -> Named:
    """Return the inputs that only the command names."""
    if command is None or request.origin not in _LIVE:
        return Named({}, ())
    stdin = 0 if request.origin is Origin.RUN else None
    held = held_of(workspace, code, command)
    return named_inputs(argv, request.directory, held, {*known, *code.hashed}, stdin)


def _kept(
    observed: ObservedEnvironment | None, top: Path | None, extent: str
) -> tuple[Table, Table]:
    """Return the part of the environment to record, and the installed packages."""
    if observed is None:
        return {}, {}
    from gitexp.adapters.system.probe import kept_facts, lock_files

    locks: Table = {} if top is None else {**lock_files(top)}
    return kept_facts({**observed.facts, "lock_files": locks}, observed.packages, extent)


def _running(
    workspace: Workspace,
    request: RunRequest,
    params: Table,
    code: Code,
    command: Command | None,
    inputs: dict[str, FileState],
) -> Run:
    run_id = clock.new_run_id()
    run = Run(
        id=run_id,
        name=request.name or memorable_name(run_id),
        outcome=Outcome.RUNNING,
        clock=workspace.next_clock(),
        started=clock.now(),
        author=workspace.settings.author,
        origin=request.origin,
        reason=None if request.reason is None else redact_text(request.reason),
        parent=request.parent,
        tags=tuple(sorted(set(request.tags))),
        code=code,
        command=command,
        params=params,
        directions=request.directions,
        inputs=inputs,
    )
    return replace(run, fingerprint=fingerprint_of(run))


def _in_session(workspace: Workspace, run: Run) -> Run:
    """Return the run with its session, and with a derived parent if the user named none."""
    from gitexp.features.execution.parents import derive_parent

    run = replace(run, session=workspace.new_session())
    found = derive_parent(workspace, run) if run.parent is None else None
    return run if found is None else replace(run, parent=found[0], parent_rule=found[1])


def read_params_files(workspace: Workspace, request: RunRequest) -> tuple[Table, list[str]]:
    """Read the parameter files; later ones win. Returns the parameters and notes."""
    params: Table = {}
    if request.file_params is not None:
        _overlay(params, request.file_params)
        return params, []
    notes = []
    files = [request.directory / name for name in request.params_files]
    if not files and workspace.repo.top is not None:
        files = [workspace.repo.top / name for name in workspace.settings.params_files]
    if not files:
        files = [p for n in PARAMS_CANDIDATES if (p := request.directory / n).is_file()][:1]
        notes = [f"parameters taken from {file.name}" for file in files]
    for file in files:
        from gitexp.features.recording.record import read_file  # writes records otherwise

        _overlay(params, parse_params(read_file(file), file.suffix, name=file.name))
    return params, notes


def gather_params(workspace: Workspace, request: RunRequest) -> tuple[Table, Table, list[str]]:
    """Merge parameters from files, the environment, the command's options and the user.

    Later ones win. Returns all parameters, those that the user gave, and notes.
    """
    params, notes = read_params_files(workspace, request)
    given: Table = {}
    _overlay(given, request.params)
    environment = {
        n: v for n in workspace.settings.env_params if (v := os.environ.get(n)) is not None
    }
    _overlay(params, {name: parse_value(text) for name, text in environment.items()})
    if workspace.settings.argv_params:
        known: Table = {}
        _overlay(known, params)
        _overlay(known, given)
        _overlay(params, params_from_argv(fill_template(request.argv, known)))
    _overlay(params, given)
    check_table(params, "parameter")
    return params, given, notes


def _overlay(table: Table, above: Table) -> None:
    """Merge `above` into `table`. Changes `table`, never `above`."""
    for key, value in above.items():
        under = table.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            _overlay(under, value)
        elif isinstance(value, dict):
            table[key] = {}
            _overlay(cast(Table, table[key]), value)
        else:
            table[key] = value


def _metrics_files(workspace: Workspace, request: RunRequest) -> tuple[Path, ...]:
    if request.metrics_files:
        return tuple(request.directory / name for name in request.metrics_files)
    top = workspace.repo.top
    if top is not None and workspace.settings.metrics_files:
        return tuple(top / name for name in workspace.settings.metrics_files)
    return tuple(request.directory / name for name in METRICS_CANDIDATES)


def _metric_patterns(workspace: Workspace, request: RunRequest) -> "tuple[MetricPattern, ...]":
    texts = request.metric_patterns
    texts = workspace.settings.metric_patterns if texts is None else texts
    if not texts:
        return ()
    from gitexp.core.inputs.patterns import parse_patterns

    return parse_patterns(texts)


def _hash_inputs(workspace: Workspace, request: RunRequest) -> dict[str, FileState]:
    """Hash the inputs of the settings, below the top, and those of the request."""
    top = workspace.repo.top
    paths = {(top or request.directory) / name: name for name in workspace.settings.inputs}
    paths |= {request.directory / name: name for name in request.inputs}
    if not paths:
        return {}
    from gitexp.adapters.system.probe import hash_path

    states = {}
    for path, name in paths.items():
        try:
            states[recorded_path(path, top)] = hash_path(path)
        except OSError as error:
            raise InvalidInput(
                f"cannot read input '{name}'",
                why=error.strerror,
                hints=["inputs are files or folders whose content counts for the trial"],
            ) from error
    return states


def recorded_path(path: Path, top: Path | None) -> str:
    """Return a path as in a record: relative to the top, with `/`; absolute if outside."""
    full = os.path.normpath(path)
    if top is not None and full == str(top):
        return "."
    below = full if top is None else full.removeprefix(os.path.join(top, ""))  # noqa: PTH118
    return below.replace(os.sep, "/")


def command_of(workspace: Workspace, request: RunRequest, argv: tuple[str, ...]) -> Command | None:
    """Return the command as a record stores it, secrets redacted; `None` without one."""
    if not argv:
        return None
    shown = tuple(redact_argv(argv))
    template = tuple(redact_argv(request.argv))
    return Command(
        argv=shown,
        template=() if template == shown else template,
        directory=recorded_path(request.directory, workspace.repo.top),
        timeout_s=request.timeout_s,
    )
