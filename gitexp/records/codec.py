"""Runs and annotations to canonical TOML bytes and back.

Floor 1, pure. `decode(encode(x)) == x`, and equal values have equal bytes. Whatever arrives on the
branch is untrusted: size, depth and integers are bounded before and after parsing, and every
fault becomes one `Unreadable`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC
from functools import cache
from typing import Any

from gitexp.errors import InvalidInput, Unreadable
from gitexp.model import (
    Annotation,
    Checks,
    Code,
    Command,
    FileState,
    Harvested,
    Parser,
    Run,
    Table,
    Value,
)
from gitexp.records.bounds import MAX_RECORD_BYTES, check_table, refuse_depth, refuse_values
from gitexp.records.fields import ANNOTATION, FAULTS, RUN, SCHEMA, Form, known_schema

# --- runs ---------------------------------------------------------------------------------------


def encode_run(run: Run) -> bytes:
    """The canonical TOML of a run. Raises `InvalidInput` when it would exceed the bounds."""
    _check_tables(run)
    table: dict[str, object] = {
        "schema": SCHEMA,
        "id": run.id,
        "name": run.name,
        "outcome": run.outcome.value,
        "clock": run.clock,
        "started": run.started.astimezone(UTC),
        "duration_s": run.duration_s,
        "author": run.author,
        "origin": run.origin.value,
        "fingerprint": run.fingerprint or None,
        "reason": run.reason,
        "parent": run.parent,
        "parent_rule": run.parent_rule and run.parent_rule.value,
        "reproduces": run.reproduces,
        "batch": run.batch,
        "round": run.round,
        "session": run.session,
        "source": run.source,
        "tags": sorted(run.tags),
        "produced": sorted(run.produced),
        "warnings": list(run.warnings),
        "output_tail": run.output_tail or None,
        "code": _encode_code(run.code),
        "command": None if run.command is None else _encode_command(run.command),
        "checks": None if run.checks is None else _encode_checks(run.checks),
        "params": _sorted(run.params),
        "parsed": _sorted(run.parsed),
        "parser": _encode_parser(run.parser),
        "metrics": _sorted(run.metrics),
        "units": _sorted({**run.units}),
        "directions": {name: run.directions[name].value for name in sorted(run.directions)},
        "inputs": _encode_files(run.inputs),
        "outputs": _encode_files(run.outputs),
        "harvested": _encode_harvested(run.harvested),
        "reads": _encode_files(run.reads),
        "environment": _sorted(run.environment),
    }
    data = _dump(table)
    if len(data) > MAX_RECORD_BYTES:
        raise InvalidInput(
            f"cannot record run {run.id[:7]}",
            why=f"its record has {len(data):,} bytes, at most {MAX_RECORD_BYTES:,} are kept",
            hints=["put long values in files and name them with `--input` or `--output`"],
        )
    return data


def _check_tables(run: Run) -> None:
    """Refuse what a record cannot carry. Raises `InvalidInput`."""
    check_table(run.params, "parameter")
    check_table(run.parsed, "parameter")
    check_table(run.metrics, "metric")


def decode_run(data: bytes) -> Run:
    """Read a run. Raises `Unreadable` for anything that is not a record of a known schema."""
    run: Run = _decode(data, RUN)
    return run


def _encode_code(code: Code) -> dict[str, object]:
    return _present(
        {
            "commit": code.commit,
            "tree": code.tree,
            "dirty": code.dirty,
            "snapshot": code.snapshot,
            "digest": code.digest or None,
            "branch": code.branch,
            "remote": code.remote,
            "left_out": list(code.left_out),
            "hashed": _encode_files(code.hashed),
            "unhashed": list(code.unhashed),
        }
    )


def _encode_parser(parser: Parser | None) -> dict[str, object] | None:
    if parser is None:
        return None
    given, renamed = sorted(parser.given), dict(sorted(parser.renamed.items()))
    return _present({"by": parser.by, "given": given, "renamed": renamed})


def _encode_command(command: Command) -> dict[str, object]:
    return _present(
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


def _encode_checks(checks: Checks) -> dict[str, object]:
    return _present(
        {
            "outcome": checks.outcome.value,
            "exit_code": checks.exit_code,
            "output": checks.output or None,
        }
    )


def _encode_files(files: Mapping[str, FileState]) -> dict[str, object]:
    table: dict[str, object] = {}
    for path in sorted(files):
        state = files[path]
        table[path] = {"sha256": state.sha256, "bytes": state.bytes}
        if state.named:
            table[path] = {"sha256": state.sha256, "bytes": state.bytes, "named": True}
    return table


def _encode_harvested(files: Mapping[str, Harvested]) -> dict[str, object]:
    table: dict[str, object] = {}
    for path in sorted(files):
        found = files[path]
        counts = {"metrics": found.metrics, "steps": found.steps, "params": list(found.params)}
        table[path] = {"kind": found.kind, **{key: n for key, n in counts.items() if n}}
    return table


# --- annotations --------------------------------------------------------------------------------


def encode_annotation(annotation: Annotation) -> bytes:
    """The canonical TOML of an annotation. Raises `InvalidInput` for metrics beyond the bounds."""
    check_table(annotation.metrics, "metric")
    saw: dict[str, object] = {} if annotation.saw is None else {"saw": list(annotation.saw)}
    table = _present(
        {
            "schema": SCHEMA,
            "id": annotation.id,
            "run": annotation.run,
            "kind": annotation.kind.value,
            "clock": annotation.clock,
            "time": annotation.time.astimezone(UTC),
            "author": annotation.author,
            "decision": None if annotation.decision is None else annotation.decision.value,
            "text": annotation.text,
            "hint": annotation.hint,
            "tags": sorted(annotation.tags),
            "verdict": None if annotation.verdict is None else annotation.verdict.value,
            "by": annotation.by,
            "metrics": _sorted(annotation.metrics),
            "units": _sorted({**annotation.units}),
        }
    )
    return _write(table | saw).encode(errors="replace")  # also when it saw none


def decode_annotation(data: bytes) -> Annotation:
    """Read an annotation. Raises `Unreadable`."""
    annotation: Annotation = _decode(data, ANNOTATION)
    return annotation


# --- plain tables: environments, format, a run's own parameter file -------------------------------


def encode_table(table: Mapping[str, Value]) -> bytes:
    """Any table as canonical TOML, keys sorted; empty lists and tables stay."""
    return _write(_sorted(table)).encode()


def decode_table(data: bytes) -> Table:
    """Read any bounded TOML. Raises `Unreadable`."""
    return _parse(data)


# --- TOML, bounded --------------------------------------------------------------------------------


def _dump(table: Mapping[str, object]) -> bytes:
    return _write(_present(table)).encode(errors="replace")


def _write(table: Mapping[str, object]) -> str:
    import tomli_w

    return tomli_w.dumps(table)


def _present(table: Mapping[str, object]) -> dict[str, object]:
    """Without what is absent or empty; for the record's own fields, never for the user's tables."""
    return {key: value for key, value in table.items() if value not in (None, [], {})}


def _sorted(table: Mapping[str, Value]) -> dict[str, object]:
    return {
        key: _sorted(value) if isinstance(value, dict) else value
        for key, value in sorted(table.items())
    }


_BRACKETS = 1000
"""More than a record of ours ever needs in practice; a tenth of what toml-rs survives."""


@cache
def _reader() -> Callable[[str], dict[str, Any]]:
    """The fastest TOML 1.0 reader at hand: toml-rs when installed, else the standard library's.

    toml-rs dies of some thousand open brackets, and it goes on after an error: quotes where none
    may be can hide them from `refuse_depth`. So many are left to the standard library.
    """
    try:
        import toml_rs  # an optional extra
    except ImportError:
        import tomllib  # 6 ms that only readers of records pay

        return tomllib.loads

    def read(text: str) -> dict[str, Any]:
        if text.startswith("\ufeff"):  # tomllib refuses it, and so must we
            raise ValueError("it begins with a byte order mark")
        if text.count("[") + text.count("{") > _BRACKETS:
            import tomllib

            return tomllib.loads(text)
        table: dict[str, Any] = toml_rs.loads(text, toml_version="1.0.0")
        return table

    return read


def _decode(data: bytes, form: Form) -> Any:
    table = _parse(data)
    known_schema(table.get("schema"))
    try:
        return form(table)
    except FAULTS as error:
        raise _unreadable(error) from error


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_RECORD_BYTES:
        raise Unreadable(
            "cannot read a record", why=f"it has {len(data):,} bytes, at most {MAX_RECORD_BYTES:,}"
        )
    try:
        text = data.decode()
        refuse_depth(text)
        table = _reader()(text)
    except (ValueError, RecursionError, OverflowError) as error:
        raise _unreadable(error) from error
    refuse_values(table)
    return table


def _unreadable(error: Exception) -> Unreadable:
    if isinstance(error, Unreadable):
        return error
    why = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
    return Unreadable("cannot read a record", why=why.splitlines()[0][:200] if why else None)
