"""Merge what frameworks wrote during a run: metrics, series, parameters, and their sources.

A fault never fails the run; a warning names what could not be read. If two kinds report a metric,
the more exact kind wins. If two sources of one kind report it, both are kept under different names.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.inputs.redaction import redact_table
from gitexp.core.model.run import Direction, Harvested, Series, Table, Value, flatten, nest
from gitexp.core.schema.limits import fit
from gitexp.core.schema.series_csv import merge_series
from gitexp.core.schema.toml_codec import encode_table
from gitexp.features.harvest.budget import Budget, OutOfBudget
from gitexp.features.harvest.changes import Look, Mark, Written, look, written_between
from gitexp.features.harvest.findings import SourceValues
from gitexp.features.harvest.kinds import Group, group_files
from gitexp.features.harvest.trackers import READERS, Reading, read_group
from gitexp.storage.settings.parsers import HARVEST_ALL

MAX_SOURCES: Final = 200
MAX_METRICS: Final = 2_000
MAX_PARAMS: Final = 1_000
MAX_PARAMS_BYTES: Final = 64 << 10
_MAX_WARNINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Watch:
    """Files that existed before a run."""

    directory: Path
    top: Path
    kinds: tuple[str, ...]
    before: Look
    problem: str = ""
    """Why the scan before the run failed; then nothing is picked up."""


@dataclass(slots=True)
class Harvest:
    """Values picked up from files."""

    metrics: Table = field(default_factory=dict)
    series: Series = field(default_factory=list)
    params: Table = field(default_factory=dict)
    directions: dict[str, Direction] = field(default_factory=dict)
    sources: dict[Path, Harvested] = field(default_factory=dict)
    """What came from each path."""
    files: set[Path] = field(default_factory=set)
    """All files that were read; the run produced them."""
    warnings: list[str] = field(default_factory=list)


def watch(
    directory: Path, top: Path, kinds: tuple[str, ...], scan: Callable[[], Look] | None = None
) -> Watch | None:
    """Scan before the command starts; `None` when nothing is to be picked up.

    `scan` replaces the scan, for a caller that knows the files.
    """
    if not kinds:
        return None
    try:
        before = look(directory, top, with_tails=True) if scan is None else scan()
        return Watch(directory, top, kinds, before)
    except Exception as error:  # noqa: BLE001 - start the command whatever is in its directory
        return Watch(directory, top, kinds, Look(), _bug(error))


def gather(
    watched: Watch,
    *,
    since_ns: int,
    is_ended: bool,
    until_ns: int | None = None,
    skip: Iterable[Path] = (),
    is_ours: Callable[[Path], bool] = lambda _path: True,
    budget: Budget | None = None,
) -> Harvest:
    """Read the files created or changed since. Never raises an `Exception`.

    `since_ns` is the start of the run by the clock of the file system. `skip` are files that were
    read already. `is_ours` returns whether this run can have written a path. Files changed after
    `until_ns` are left out, with a warning.
    """
    if watched.problem:
        return Harvest(warnings=[watched.problem])
    harvest = Harvest()
    try:
        reading = Reading(budget or Budget(), since_ns / 1e9, is_ended)
        _gather(harvest, watched, reading, since_ns, until_ns, set(skip), is_ours)
    except Exception as error:  # noqa: BLE001 - record the run whatever its program wrote
        return Harvest(warnings=[_bug(error)])
    return harvest


def _bug(error: Exception) -> str:
    return f"nothing was picked up from files: {type(error).__name__}: {error}"[:300]


def _gather(
    harvest: Harvest,
    watched: Watch,
    reading: Reading,
    since_ns: int,
    until_ns: int | None,
    skip: set[Path],
    is_ours: Callable[[Path], bool],
) -> None:
    after = look(watched.directory, watched.top)
    written, unknown = written_between(watched.before, after, since_ns)
    written = [file for file in written if file.path not in skip]
    late = {file for file in written if _is_late(after.files[str(file.path)], until_ns)}
    groups = _chosen(group_files(f for f in written if f not in late), watched.kinds)
    others = [group for group in groups if not is_ours(group.path)]
    groups = [group for group in groups if is_ours(group.path)]
    faults = [
        f"{_shown(group.path, watched)} was not read: too many files"
        for group in groups[MAX_SOURCES:]
    ]
    faults += [
        f"{_shown(group.named, watched)} was not picked up: it changed after the run was last seen"
        for group in _chosen(group_files(sorted(late, key=lambda f: f.path)), watched.kinds)
    ]
    sources: list[SourceValues] = []
    for group in groups[:MAX_SOURCES]:
        sources += _read(group, reading, watched, faults)
    if others:
        faults.append(
            f"{_shown(others[0].named, watched)} was not picked up: other runs were going on here, "
            "and the command does not name it"
        )
    rows = _chosen(group_files(map(Written, unknown)), watched.kinds)
    faults += [
        f"{_shown(g.named, watched)} was not picked up: it may have older rows" for g in rows
    ]
    if not after.is_whole:
        faults.append("not all directories were scanned: there are too many files")
    _merge(harvest, sources)
    harvest.warnings += _few(faults)


def _is_late(mark: Mark, until_ns: int | None) -> bool:
    return until_ns is not None and mark.modified_ns > until_ns


def _chosen(groups: list[Group], kinds: Sequence[str]) -> list[Group]:
    """Return the groups of the wanted kinds, the most exact kind first."""
    order = list(READERS)
    wanted = set(order) if HARVEST_ALL in kinds else set(kinds)
    groups = [group for group in groups if group.kind in wanted]
    return sorted(groups, key=lambda group: (order.index(group.kind), _natural(group.path)))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key under which `version_9` comes before `version_10`."""
    return [(int(n or 0), t) for t, n in re.findall(r"(\D*)(\d{0,18})", str(path))]


def _read(group: Group, reading: Reading, watched: Watch, faults: list[str]) -> list[SourceValues]:
    """Return the values of a group; none, and a fault, if it cannot be read."""
    shown = _shown(group.named, watched)
    try:
        sources = read_group(group, reading)
    except OutOfBudget as limit:
        faults.append(f"{shown} was not read: {limit}")
    except GitexpError as fault:
        why = "; ".join(text for text in (fault.what, fault.why) if text)
        faults.append(f"cannot read {shown}: {why}")
    except Exception as error:  # noqa: BLE001 - a reader's bug must not lose the other files
        faults.append(f"cannot read {shown}: {type(error).__name__}: {error}")
    else:
        faults += [
            f"{_shown(one.path, watched)}: {fault}" for one in sources for fault in one.faults
        ]
        return sources
    return []


def _shown(path: Path, watched: Watch) -> str:
    base = watched.top if path.is_relative_to(watched.top) else watched.directory
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _few(faults: list[str]) -> list[str]:
    shown = [f"picking up values: {fault[:300]}" for fault in faults[:_MAX_WARNINGS]]
    more = len(faults) - _MAX_WARNINGS
    return [*shown, f"picking up values: {more} more problems"] if more > 0 else shown


# --- merging --------------------------------------------------------------------------------------


def _merge(harvest: Harvest, sources: list[SourceValues]) -> None:
    """Merge the values of the sources; those of the first kind win."""
    leaves: dict[str, Value] = {}
    params: dict[str, Value] = {}
    several: list[Series] = []
    for kind in dict.fromkeys(one.kind for one in sources):
        alike = [one for one in sources if one.kind == kind]
        _drop_contradictions(harvest, alike)
        for one in _told_apart(alike):
            _take(harvest, one, leaves, params, several)
    harvest.metrics = nest(leaves)
    harvest.series = merge_series(*several)
    harvest.params = _bounded_params(harvest, params)
    kept = {name for name, _ in flatten(harvest.params)}
    for path, source in harvest.sources.items():
        names = tuple(name for name in source.params if name in kept)
        harvest.sources[path] = replace(source, params=names)


def _drop_contradictions(harvest: Harvest, sources: list[SourceValues]) -> None:
    """Drop parameters with several values: a search within one program has no single value."""
    first: dict[str, Value] = {}
    several: dict[str, None] = {}
    for one in sources:
        for name, value in one.params.items():
            if first.setdefault(name, value) != value:
                several[name] = None
    for one in sources:
        one.params = {name: value for name, value in one.params.items() if name not in several}
    if several:
        names = ", ".join([*several][:3])
        more = "" if len(several) <= 3 else f" and {len(several) - 3:,} more"
        harvest.warnings.append(
            f"picking up values: {names}{more} left out: "
            f"{sources[0].kind} files have several values"
        )


def _take(
    harvest: Harvest,
    one: SourceValues,
    leaves: dict[str, Value],
    params: dict[str, Value],
    several: list[Series],
) -> None:
    fresh = {name: value for name, value in one.metrics.items() if name not in leaves}
    few = dict(list(fresh.items())[: MAX_METRICS - len(leaves)])
    kept = {name for name, _ in flatten(fit(few, "metric")[0])}
    if len(kept) < len(fresh):
        left = len(fresh) - len(kept)
        harvest.warnings.append(f"picking up values: {left:,} metrics of {one.path.name} left out")
    leaves.update({name: value for name, value in few.items() if name in kept})
    rows: Series = [
        {name: value for name, value in row.items() if name in kept or name in ("step", "time")}
        for row in one.series
        if not kept.isdisjoint(row)
    ]
    several.append(rows)
    harvest.directions.update({n: way for n, way in one.directions.items() if n in kept})
    fresh_params = {name: value for name, value in one.params.items() if name not in params}
    params.update(fresh_params)
    harvest.files.update(one.files)
    if kept or fresh_params:
        was = harvest.sources.get(one.path, Harvested(kind=one.kind))
        harvest.sources[one.path] = replace(
            was,
            metrics=was.metrics + len(kept),
            steps=was.steps + len({row.get("step") for row in rows}),
            params=(*was.params, *fresh_params),
        )


def _told_apart(sources: list[SourceValues]) -> list[SourceValues]:
    """Prefix names with a label of the source where two sources of a kind share a name."""
    counts: dict[str, int] = {}
    for one in sources:
        for name in one.metrics:
            counts[name] = counts.get(name, 0) + 1
    shared = {name for name, count in counts.items() if count > 1}
    if not shared:
        return sources
    loud = [one for one in sources if not shared.isdisjoint(one.metrics)]
    labels = dict(zip(map(id, loud), _labels([one.path for one in loud]), strict=True))
    return [
        _labelled(one, shared, labels[id(one)]) if id(one) in labels else one for one in sources
    ]


def _labelled(one: SourceValues, shared: set[str], label: str) -> SourceValues:
    def name_of(name: str) -> str:
        return f"{label}.{name}" if name in shared else name

    return replace(
        one,
        metrics={name_of(name): value for name, value in one.metrics.items()},
        series=[{name_of(name): value for name, value in row.items()} for row in one.series],
        directions={name_of(name): way for name, way in one.directions.items()},
    )


def _labels(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each path: the part that differs, else its number.

    Parts with digits are counters, times or ids, and differ between runs; their order does not.
    """
    parts = [path.with_suffix("").parts for path in paths]
    depth = max(map(len, parts))
    for place in range(depth):
        column = [part[place] if place < len(part) else "" for part in parts]
        are_names = all(name and not re.search(r"\d", name) for name in column)
        if are_names and len(set(column)) == len(column):
            return [re.sub(r"[.\s]+", "_", name) for name in column]
    return [str(number) for number in range(1, len(paths) + 1)]


def _bounded_params(harvest: Harvest, params: dict[str, Value]) -> Table:
    """Return the parameters that a record can hold, without secrets."""
    few = dict(list(params.items())[:MAX_PARAMS])
    table, left_out = fit(redact_table(nest(few)), "parameter")
    harvest.warnings += _few(list(left_out))
    if len(params) > MAX_PARAMS:
        harvest.warnings.append(
            f"picking up values: {len(params) - MAX_PARAMS:,} parameters left out"
        )
    try:
        size = len(encode_table(table))
    except (InvalidInput, ValueError, TypeError):
        size = MAX_PARAMS_BYTES + 1
    if size > MAX_PARAMS_BYTES:
        harvest.warnings.append("picking up values: the parameters are too large for the record")
        return {}
    return table
