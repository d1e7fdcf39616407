"""An entry as a JSON document and back: what `--json` prints and what the run index keeps.

Floor 1, pure. The document is a promise (`docs/json.md`): keys are added, never renamed, within
one `DOCUMENT_SCHEMA`. JSON has no NaN, infinity or dates: numbers that are not finite become the
texts `NaN`, `Infinity`, `-Infinity`, dates become ISO 8601 text. Coming back, only metrics turn
into numbers again; whoever needs a run's exact parameters loads its record.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gitexp.ids import ObjectId, RunId
from gitexp.model import (
    Annotation,
    AnnotationKind,
    Checks,
    Code,
    Command,
    Decision,
    Direction,
    Entry,
    FileState,
    Harvested,
    Origin,
    Outcome,
    ParentRule,
    Parser,
    ReproductionVerdict,
    Run,
    Value,
)

DOCUMENT_SCHEMA = 1

_AS_IT_IS = frozenset((str, int, bool))
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def entry_document(entry: Entry, group: str | None = None) -> dict[str, Any]:
    """The JSON document of a run and all that was added to it; absent values are left out.

    `group` is the key of its group of repeats.
    """
    run, decision = entry.run, entry.decision
    document: dict[str, Any] = {
        "id": run.id,
        "name": run.name,
        "outcome": run.outcome.value,
        "clock": run.clock,
        "started": run.started.isoformat(),
        "duration_s": run.duration_s,
        "author": run.author,
        "origin": run.origin.value,
        "fingerprint": run.fingerprint or None,
        "group": group,
        "reason": run.reason,
        "parent": run.parent,
        "parent_rule": run.parent_rule and run.parent_rule.value,
        "reproduces": run.reproduces,
        "batch": run.batch,
        "round": run.round,
        "session": run.session,
        "source": run.source,
        "tags": list(entry.tags),
        "decision": decision and decision.decision and decision.decision.value,
        "disputed": [word.value for word in entry.disputed],
        "params": _plain(run.parameters),
        "given": _plain(run.params) if run.parsed else None,
        "parsed": _plain(run.parsed),
        "parser": _parser_document(run.parser),
        **_measured(entry),
        "directions": {name: way.value for name, way in run.directions.items()},
        "code": _code_document(run.code),
        "command": None if run.command is None else _command_document(run.command),
        "checks": None if run.checks is None else _checks_document(run.checks),
        "inputs": {path: _file_document(state) for path, state in run.inputs.items()},
        "outputs": {path: _file_document(state) for path, state in run.outputs.items()},
        "reads": {path: _file_document(state) for path, state in run.reads.items()},
        "produced": list(run.produced),
        "harvested": _harvested(run.harvested),
        "environment": _plain(run.environment),
        "output_tail": run.output_tail or None,
        "warnings": list(run.warnings),
        "start_tags": list(run.tags),
        "annotations": [annotation_document(a) for a in entry.annotations],
    }
    return _without_none(document)


def _added_document(annotation: Annotation) -> dict[str, str]:
    time = annotation.time.isoformat()
    return {"by": annotation.id, "time": time, "author": annotation.author}


def _code_document(code: Code) -> dict[str, Any]:
    return _without_none(
        {
            "commit": code.commit,
            "tree": code.tree,
            "dirty": code.dirty,
            "snapshot": code.snapshot,
            "digest": code.digest or None,
            "branch": code.branch,
            "remote": code.remote,
            "left_out": list(code.left_out),
            "hashed": {path: _file_document(state) for path, state in code.hashed.items()},
            "unhashed": list(code.unhashed),
        }
    )


def _parser_document(parser: Parser | None) -> dict[str, Any] | None:
    if parser is None:
        return None
    given, renamed = list(parser.given), parser.renamed
    return _without_none({"by": parser.by, "given": given, "renamed": renamed})


def _file_document(state: FileState) -> dict[str, Any]:
    document: dict[str, Any] = {"sha256": state.sha256, "bytes": state.bytes}
    return {**document, "named": True} if state.named else document


def _checks_document(checks: Checks) -> dict[str, Any]:
    return _without_none(
        {
            "outcome": checks.outcome.value,
            "exit_code": checks.exit_code,
            "output": checks.output or None,
        }
    )


def _parse_checks(document: Mapping[str, Any]) -> Checks:
    return Checks(**{**document, "outcome": Outcome(document["outcome"])})


def _command_document(command: Command) -> dict[str, Any]:
    return _without_none(
        {
            "argv": list(command.argv),
            "template": list(command.template),
            "directory": command.directory,
            "exit_code": command.exit_code,
            "metrics_files": list(command.metrics_files),
            "metric_patterns": list(command.metric_patterns),
            "timeout_s": command.timeout_s,
        }
    )


def _harvested(files: Mapping[str, Harvested]) -> dict[str, Any]:
    documents = {}
    for path, found in files.items():
        counts = {"metrics": found.metrics, "steps": found.steps, "params": list(found.params)}
        documents[path] = {"kind": found.kind, **{key: n for key, n in counts.items() if n}}
    return documents


def _parse_harvested(document: Mapping[str, Any]) -> Harvested:
    return Harvested(**{**document, "params": tuple(document.get("params", ()))})


def annotation_document(annotation: Annotation) -> dict[str, Any]:
    """The JSON document of one annotation."""
    saw = {} if annotation.saw is None else {"saw": list(annotation.saw)}
    document = _without_none(
        {
            "id": annotation.id,
            "run": annotation.run,
            "kind": annotation.kind.value,
            "clock": annotation.clock,
            "time": annotation.time.isoformat(),
            "author": annotation.author,
            "decision": annotation.decision and annotation.decision.value,
            "text": annotation.text,
            "hint": annotation.hint,
            "tags": list(annotation.tags),
            "verdict": annotation.verdict and annotation.verdict.value,
            "by": annotation.by,
            "metrics": _plain(annotation.metrics),
            "units": annotation.units,
        }
    )
    return document | saw  # also when it saw none


def _measured(entry: Entry) -> dict[str, Any]:
    """The metrics in force, and where some were added later, those of the record."""
    run, added = entry.run, entry.added_metrics
    return {
        "metrics": _plain(entry.metrics),
        "recorded_metrics": _plain(run.metrics) if added else {},
        "added_metrics": {name: _added_document(annotation) for name, annotation in added.items()},
        "units": entry.units,
        "recorded_units": run.units if added else {},
    }


def parse_entry(document: Mapping[str, Any]) -> Entry:
    """Read back what `entry_document` made. Raises `KeyError` or `ValueError` on anything else."""
    command = document.get("command")
    recorded = "recorded_" if "added_metrics" in document else ""
    run = Run(
        id=RunId(document["id"]),
        name=document["name"],
        outcome=Outcome(document["outcome"]),
        clock=document["clock"],
        started=datetime.fromisoformat(document["started"]),
        duration_s=document.get("duration_s"),
        author=document["author"],
        origin=Origin(document["origin"]),
        fingerprint=document.get("fingerprint", ""),
        reason=document.get("reason"),
        parent=_run_id(document.get("parent")),
        parent_rule=ParentRule(document["parent_rule"]) if "parent_rule" in document else None,
        reproduces=_run_id(document.get("reproduces")),
        batch=document.get("batch"),
        round=document.get("round"),
        session=document.get("session"),
        source=document.get("source"),
        tags=tuple(document.get("start_tags", ())),
        params=document.get("given", {}) if "parsed" in document else document.get("params", {}),
        parsed=document.get("parsed", {}),
        parser=_parse_parser(document.get("parser")),
        metrics=_numbers_again(document.get(f"{recorded}metrics", {})),
        units=document.get(f"{recorded}units", {}),
        directions={n: Direction(way) for n, way in document.get("directions", {}).items()},
        code=_parse_code(document["code"]),
        command=None if command is None else _parse_command(command),
        checks=_parse_checks(document["checks"]) if "checks" in document else None,
        inputs={p: FileState(**s) for p, s in document.get("inputs", {}).items()},
        outputs={p: FileState(**s) for p, s in document.get("outputs", {}).items()},
        reads={p: FileState(**s) for p, s in document.get("reads", {}).items()},
        produced=tuple(document.get("produced", ())),
        harvested={p: _parse_harvested(h) for p, h in document.get("harvested", {}).items()},
        environment=document.get("environment", {}),
        output_tail=document.get("output_tail", ""),
        warnings=tuple(document.get("warnings", ())),
    )
    return Entry(run, tuple(_parse_annotation(a) for a in document.get("annotations", ())))


def _parse_code(code: Mapping[str, Any]) -> Code:
    return Code(
        commit=ObjectId(code["commit"]),
        tree=ObjectId(code["tree"]),
        dirty=code["dirty"],
        snapshot=None if "snapshot" not in code else ObjectId(code["snapshot"]),
        digest=code.get("digest", ""),
        branch=code.get("branch"),
        remote=code.get("remote"),
        left_out=tuple(code.get("left_out", ())),
        hashed={p: FileState(**s) for p, s in code.get("hashed", {}).items()},
        unhashed=tuple(code.get("unhashed", ())),
    )


def _parse_parser(document: Mapping[str, Any] | None) -> Parser | None:
    if document is None:
        return None
    given, renamed = tuple(document.get("given", ())), document.get("renamed", {})
    return Parser(by=document["by"], given=given, renamed=renamed)


def _parse_command(command: Mapping[str, Any]) -> Command:
    return Command(
        argv=tuple(command["argv"]),
        template=tuple(command.get("template", ())),
        directory=command["directory"],
        exit_code=command.get("exit_code"),
        metrics_files=tuple(command.get("metrics_files", ())),
        timeout_s=command.get("timeout_s"),
        metric_patterns=tuple(command.get("metric_patterns", ())),
    )


def _parse_annotation(document: Mapping[str, Any]) -> Annotation:
    decision, verdict = document.get("decision"), document.get("verdict")
    return Annotation(
        id=document["id"],
        run=RunId(document["run"]),
        kind=AnnotationKind(document["kind"]),
        clock=document["clock"],
        time=datetime.fromisoformat(document["time"]),
        author=document["author"],
        decision=None if decision is None else Decision(decision),
        text=document.get("text"),
        hint=document.get("hint"),
        tags=tuple(document.get("tags", ())),
        verdict=None if verdict is None else ReproductionVerdict(verdict),
        by=_run_id(document.get("by")),
        saw=None if "saw" not in document else tuple(document["saw"]),
        metrics=_numbers_again(document.get("metrics", {})),
        units=document.get("units", {}),
    )


def json_value(value: Value) -> Any:
    """A value as JSON can carry it; see the module's words on NaN and dates."""
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, dict):
        return {key: json_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [json_value(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat()


def _plain(table: Mapping[str, Value]) -> dict[str, Any]:
    return {
        key: value
        if type(value) in _AS_IT_IS or (type(value) is float and value - value == 0)
        else json_value(value)
        for key, value in table.items()
    }


def _numbers_again(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _numbers_again(value)
        if isinstance(value, dict)
        else _NOT_FINITE.get(value, value)
        if isinstance(value, str)
        else value
        for key, value in table.items()
    }


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in document.items() if v is not None and v not in ([], {})}


def _run_id(text: str | None) -> RunId | None:
    return None if text is None else RunId(text)
