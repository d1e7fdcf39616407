"""The logs of agent loops: autoresearch's `results.tsv` and pi-autoresearch's JSON lines.

Both write a row for every attempt, also for those whose code was discarded.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gitexp.adapters.trackers.source_run import (
    ImportedRun,
    ScanResult,
    distinct,
    parse_moment,
    parse_status,
)
from gitexp.adapters.trackers.table_rows import Row
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Direction, Outcome, Table, Value, nest

_REVERTED = "the change was thrown away; the code is the commit that the log names"


def is_results(columns: Sequence[str]) -> bool:
    """Return whether these are the columns of a `results.tsv`."""
    names = {column.strip().lower() for column in columns}
    return {"commit", "status", "description"} <= names


def read_results(rows: Sequence[Row]) -> ScanResult:
    """Read the runs of a `results.tsv`: commit, metrics, status, description.

    The log writes zero for values that a crashed attempt did not measure; these are skipped. Raises
    `InvalidInput`.
    """
    sources = distinct(f"autoresearch:{row.get('commit', 'none')}" for row in rows)
    runs = []
    for number, (row, source) in enumerate(zip(rows, sources, strict=True), start=1):
        try:
            outcome, decision = parse_status(str(row.get("status", "unknown")))
        except InvalidInput as fault:
            raise InvalidInput(f"cannot read row {number}", why=fault.what) from fault
        measured = {
            column: value
            for column, value in row.items()
            if column not in ("commit", "status", "description")
            and not (outcome is Outcome.FAILED and value == 0)
        }
        commit = _text(row.get("commit"))
        runs.append(
            ImportedRun(
                source=source,
                outcome=outcome,
                decision=decision,
                reason=_text(row.get("description")),
                commit=commit,
                is_exact=commit is not None,
                metrics=nest(measured),
                directions={"val_bpb": Direction.MINIMIZE} if "val_bpb" in measured else {},
                environment={"tracker": "autoresearch"},
            )
        )
    return ScanResult(tuple(runs))


def _text(value: Value | None) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


# --- JSON lines -----------------------------------------------------------------------------------


def parse_log(text: str) -> list[dict[str, Any]]:
    """Return the entries of a log. Skip lines that are no objects, as the tool itself does."""
    entries = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def is_log(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether entries are those of a pi-autoresearch log."""
    return any(e.get("type") == "config" and _metric_name(e) for e in entries) or any(
        {"commit", "metric", "status", "description"} <= e.keys() for e in entries
    )


def read_log(entries: Sequence[Mapping[str, Any]]) -> ScanResult:
    """Read the runs of a log: one for each attempt, with the session's metric and direction."""
    config: Mapping[str, Any] = {}
    attempts = []
    for entry in entries:
        if entry.get("type") == "config":
            config = entry
        elif "status" in entry and "metric" in entry:
            attempts.append((config, entry))
    sources = distinct(
        f"pi-autoresearch:{entry.get('timestamp') or entry.get('run', 0)}" for _, entry in attempts
    )
    return ScanResult(
        tuple(
            _attempt(config, entry, source)
            for (config, entry), source in zip(attempts, sources, strict=True)
        )
    )


def _metric_name(config: Mapping[str, Any]) -> str:
    return str(config.get("metricName") or config.get("metric_name") or "")


def _attempt(config: Mapping[str, Any], entry: Mapping[str, Any], source: str) -> ImportedRun:
    try:
        outcome, decision = parse_status(str(entry["status"]))
    except InvalidInput:
        outcome, decision = Outcome.UNKNOWN, None
    name = _metric_name(config) or "metric"
    others = entry.get("metrics")
    measured = {name: entry["metric"], **(others if isinstance(others, dict) else {})}
    is_crash = str(entry["status"]) == "crash"
    metrics = {
        key: float(value) if isinstance(value, float) else value
        for key, value in measured.items()
        if isinstance(value, int | float) and math.isfinite(value) and not (is_crash and value == 0)
    }
    higher = "higher" in (config.get("bestDirection"), config.get("direction"))
    direction = Direction.MAXIMIZE if higher else Direction.MINIMIZE
    asi = entry.get("asi")
    told = {str(k): _said(v) for k, v in asi.items()} if isinstance(asi, dict) else {}
    is_kept = entry["status"] == "keep"
    environment: Table = {"tracker": "pi-autoresearch"}
    if config.get("name"):
        environment["session"] = str(config["name"])
    return ImportedRun(
        source=source,
        outcome=outcome,
        decision=decision,
        started=parse_moment(entry.get("timestamp", "")),
        reason=_text(entry.get("description")),
        why=told.pop("rollback_reason", None),
        hint=told.pop("next_action_hint", None),
        commit=_text(entry.get("commit")),
        is_exact=True,
        metrics=nest(metrics),
        directions={name: direction} if name in metrics else {},
        environment=environment,
        notes=tuple(f"{key}: {value}" for key, value in told.items() if value),
        warnings=() if is_kept else (_REVERTED,),
    )


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
