"""Tables with one run a row: CSV, TSV, JSON and JSON lines, by a mapping or by guesses.

Guesses are reported, so that the user can correct them by a mapping.
"""

import csv
import difflib
import hashlib
import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from gitexp.adapters.trackers.source_run import (
    ImportedRun,
    ScanResult,
    distinct,
    parse_moment,
    parse_status,
)
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import parse_value
from gitexp.core.model.directions import guess_direction
from gitexp.core.model.run import Decision, Outcome, Table, Value, flatten, nest

MAX_BYTES: Final = 256 << 20

Row = dict[str, Value]
"""Values by column name; absent values are left out."""

ROLES: Final[Mapping[str, str]] = {
    "id": "id run_id run_uuid uuid runid",
    "name": "name run_name runname display_name",
    "commit": "commit sha git_commit git_sha commit_hash code.commit",
    "branch": "branch git_branch code.branch",
    "status": "status state outcome",
    "started": "started start_time started_at created created_at timestamp date datetime",
    "duration_s": "duration_s duration runtime",
    "reason": "reason description hypothesis message",
    "note": "note notes comment",
    "tags": "tags tag",
    "decision": "decision",
    "why": "why",
    "hint": "hint next",
    "user": "user author",
    "command": "command command.argv",
}
"""Columns for facts other than parameters and metrics, with their usual names."""

SKIP: Final = "skip"
_NAMED: Final = 20
_ROLE_OF: Final = {name: role for role, names in ROLES.items() for name in names.split()}
_PREFIXES: Final = {
    "params": ("params", "param", "config", "hparams", "parameters"),
    "metrics": ("metrics", "metric", "summary", "result", "results"),
}
_OWN: Final = re.compile(
    r"(?:added_metrics|changed_reads|checks|code|command|directions|environment|given|harvested"
    r"|inputs|outputs|parsed|parser|reads|recorded_metrics|recorded_units|sweep|units)\..*"
    r"|annotations|batch|clock|disputed|fingerprint|group|origin|output_tail|parent|parent_rule"
    r"|produced|reproduces|round|session|source|start_tags|warnings"
)
"""Columns of `git exp export` that an imported row cannot restore."""


# --- reading --------------------------------------------------------------------------------------


def read_rows(content: bytes, suffix: str, *, name: str) -> list[Row]:
    """Return the rows of a table, JSON flattened to dotted names. Raises `InvalidInput`."""
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"cannot read '{name}'", why=f"it has {len(content):,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"cannot read '{name}'", why=f"not UTF-8 at {error.start}") from error
    if suffix in (".jsonl", ".ndjson", ".json"):
        return [_flat_row(document) for document in _documents(text, suffix, name)]
    delimiter = "\t" if suffix == ".tsv" else ","
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if any(line)]
    except csv.Error as error:
        raise InvalidInput(f"cannot read '{name}'", why=str(error)) from error
    columns = [column.strip() for column in lines[0]] if lines else []
    return [
        {
            column: _cell(cell)
            for column, cell in zip(columns, line, strict=False)
            if column and cell.strip()
        }
        for line in lines[1:]
    ]


def _cell(text: str) -> Value:
    value = parse_value(text)
    return value if isinstance(value, bool | int | float) else text.strip()


def _documents(text: str, suffix: str, name: str) -> list[Any]:
    try:
        if suffix == ".json":
            whole = json.loads(text)
            inner = whole.get("runs", [whole]) if isinstance(whole, dict) else whole
            return list(inner) if isinstance(inner, list) else [inner]
        lines = [line for line in text.splitlines() if line.strip()]
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"cannot read '{name}'", why=f"not JSON: {error}") from error


def _flat_row(document: Any) -> Row:
    if not isinstance(document, dict):
        raise InvalidInput("cannot read a row", why="it is not an object of names and values")
    return {name: _number(value) for name, value in flatten(document) if value is not None}


def _number(value: Any) -> Value:
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, list):
        return [inner for inner in value if inner is not None]
    plain: Value = value
    return plain


# --- the mapping ----------------------------------------------------------------------------------


def parse_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Parse `--map TARGET=COLUMN` into targets by column. Raises `InvalidInput`."""
    mapping: dict[str, str] = {}
    for text in texts:
        target, sign, column = text.partition("=")
        is_value = target.startswith(("params.", "metrics.")) and not target.endswith(".")
        if not sign or not column or not (is_value or target in ROLES or target == SKIP):
            raise InvalidInput(
                f"cannot use the mapping '{text[:60]}'",
                hints=[
                    "write TARGET=COLUMN, for example `--map metrics.acc=test_accuracy`",
                    f"targets: metrics.NAME, params.NAME, {', '.join(ROLES)}, {SKIP}",
                ],
            )
        mapping[column] = target
    return mapping


def map_columns(rows: Sequence[Row], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the target of every column, mapped or guessed. Raises `InvalidInput`.

    Numbers in a column whose name implies a direction (`accuracy`, `val_loss`) are metrics; all
    others are parameters.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for column in mapping:
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=3)
            raise InvalidInput(
                f"there is no column '{column}'",
                hints=[f"columns: {', '.join(near or columns[:12])}"],
            )
    taken = set(mapping.values())
    targets: dict[str, str] = {}
    for column in columns:
        if column in mapping:
            targets[column] = mapping[column]
            continue
        values = [row[column] for row in rows if column in row]
        is_own = "code.commit" in columns and _OWN.fullmatch(column) and column not in _ROLE_OF
        target = SKIP if is_own else _guess(column, values)
        if target in taken and target in ROLES:
            target = f"params.{column}"
        taken.add(target)
        targets[column] = target
    return targets


def _kind_said(column: str) -> str | None:
    """Return the target that is part of a column's name: `config/lr` is `params.lr`."""
    head, _, rest = column.replace("/", ".", 1).partition(".")
    kinds = (kind for kind, prefixes in _PREFIXES.items() if rest and head.lower() in prefixes)
    kind = next(kinds, None)
    return None if kind is None else f"{kind}.{rest}"


def _guess(column: str, values: Sequence[Value]) -> str:
    role = _ROLE_OF.get(column.lower().replace(" ", "_"))
    if role == "started" and not all(parse_moment(value) for value in values):
        role = None
    if role:
        return role
    if said := _kind_said(column):
        return said
    if column.startswith(("_", "Unnamed:")):
        return SKIP
    if any(isinstance(value, list) and any(isinstance(v, dict) for v in value) for value in values):
        return SKIP
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return f"{'metrics' if is_number and guess_direction(column) else 'params'}.{column}"


def remarks_on(targets: Mapping[str, str], mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each kind of guess."""
    guessed = {column: target for column, target in targets.items() if column not in mapping}
    remarks = []
    for kind in ("metrics", "params"):
        names = [
            column
            for column, target in guessed.items()
            if target.startswith(f"{kind}.") and not _kind_said(column)
        ]
        if names:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            remarks.append(f"taken as {kind}: {', '.join(names[:_NAMED])}{more}")
    if not any(target.startswith("metrics.") for target in targets.values()):
        remarks.append("no column looks like a metric; say which: `--map metrics.NAME=COLUMN`")
    return tuple(remarks)


# --- rows to runs ---------------------------------------------------------------------------------


def imported_rows(rows: Sequence[Row], mapping: Mapping[str, str], *, tracker: str) -> ScanResult:
    """Convert the rows of a table to runs. Raises `InvalidInput` with the number of a bad row.

    A run's source is its id if the table has one, else a hash of its row.
    """
    targets = map_columns(rows, mapping)
    sources = distinct(_source(row, targets, tracker) for row in rows)
    runs = []
    for number, (row, source) in enumerate(zip(rows, sources, strict=True), start=1):
        try:
            runs.append(_imported(row, targets, source))
        except InvalidInput as fault:
            raise InvalidInput(f"cannot read row {number}", why=fault.what) from fault
    return ScanResult(tuple(runs), remarks_on(targets, mapping))


def _source(row: Row, targets: Mapping[str, str], tracker: str) -> str:
    for column, target in targets.items():
        if target == "id" and column in row:
            return f"{tracker}:{row[column]}"
    text = json.dumps(row, sort_keys=True, default=str)
    return f"{tracker}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _imported(row: Row, targets: Mapping[str, str], source: str) -> ImportedRun:
    said: dict[str, Value] = {}
    params: Row = {}
    metrics: Row = {}
    for column, value in row.items():
        target = targets[column]
        kind, _, name = target.partition(".")
        if name and kind == "params":
            params[name] = value
        elif name and kind == "metrics":
            metrics[name] = value
        else:
            said[target] = value
    run = ImportedRun(
        source=source,
        outcome=Outcome.SUCCEEDED if metrics else Outcome.UNKNOWN,
        is_outcome_said=False,
        original=_text(said.get("id")),
        name=_text(said.get("name")),
        commit=_text(said.get("commit")),
        branch=_text(said.get("branch")),
        reason=_text(said.get("reason")),
        started=parse_moment(said["started"]) if "started" in said else None,
        duration_s=_seconds(said.get("duration_s")),
        tags=_tags(said.get("tags")),
        notes=tuple(note for note in [_text(said.get("note"))] if note),
        why=_text(said.get("why")),
        hint=_text(said.get("hint")),
        argv=_argv(said.get("command")),
        params=nest(params),
        metrics=nest(metrics),
        environment=_environment(source, said),
    )
    if "status" in said:
        outcome, decision = parse_status(str(said["status"]))
        is_said = outcome is not Outcome.UNKNOWN
        run = replace(run, outcome=outcome, is_outcome_said=is_said, decision=decision)
    if "decision" in said:
        with suppress(ValueError):
            run = replace(run, decision=Decision(str(said["decision"]).strip().lower()))
    return run


def _environment(source: str, said: Mapping[str, Value]) -> Table:
    table: Table = {"tracker": source.partition(":")[0]}
    if "user" in said:
        table["user"] = str(said["user"])
    return table


def _text(value: Value | None) -> str | None:
    return None if value is None or not str(value).strip() else str(value).strip()


def _seconds(value: Value | None) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value >= 0 else None  # type: ignore[arg-type, operator]


def _tags(value: Value | None) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else re.split(r"[,;]", str(value or ""))
    return tuple(text for text in (str(part).strip() for part in parts) if text)


def _argv(value: Value | None) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(part) for part in value)
    try:
        return tuple(shlex.split(str(value or "")))
    except ValueError:
        return (str(value),)
