"""Runs and annotations to canonical TOML bytes and back.

Floor 1, pure. `decode(encode(x)) == x`, and equal values have equal bytes. Whatever arrives on the
branch is untrusted: size, depth and integers are bounded before and after parsing, and every
fault becomes one `Unreadable`.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from gitexp.errors import InvalidInput, Unreadable
from gitexp.ids import parse_object_id, parse_run_id
from gitexp.model import (
    Annotation,
    AnnotationKind,
    Code,
    Command,
    Decision,
    Direction,
    FileState,
    Origin,
    Outcome,
    ReproductionVerdict,
    Run,
    Table,
    Value,
)
from gitexp.records.bounds import (
    MAX_CLOCK,
    MAX_RECORD_BYTES,
    check_table,
    refuse_depth,
    refuse_values,
)

T = TypeVar("T")

SCHEMA = 1
"""Version of the record; reading old ones is for ever, writing old ones is never."""

# --- runs ---------------------------------------------------------------------------------------


def encode_run(run: Run) -> bytes:
    """The canonical TOML of a run. Raises `InvalidInput` when it would exceed the bounds."""
    check_table(run.params, "parameter")
    check_table(run.metrics, "metric")
    code, command = run.code, run.command
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
        "reproduces": run.reproduces,
        "source": run.source,
        "tags": sorted(run.tags),
        "produced": sorted(run.produced),
        "warnings": list(run.warnings),
        "output_tail": run.output_tail or None,
        "code": _present(
            {
                "commit": code.commit,
                "tree": code.tree,
                "dirty": code.dirty,
                "snapshot": code.snapshot,
                "digest": code.digest or None,
                "branch": code.branch,
                "remote": code.remote,
                "left_out": list(code.left_out),
            }
        ),
        "command": None
        if command is None
        else _present(
            {
                "argv": list(command.argv),
                "template": list(command.template),
                "directory": command.directory,
                "exit_code": command.exit_code,
                "metrics_files": list(command.metrics_files),
            }
        ),
        "params": _sorted(run.params),
        "metrics": _sorted(run.metrics),
        "directions": {name: run.directions[name].value for name in sorted(run.directions)},
        "inputs": _encode_files(run.inputs),
        "outputs": _encode_files(run.outputs),
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


def decode_run(data: bytes) -> Run:
    """Read a run. Raises `Unreadable` for anything that is not a record of a known schema."""
    table = _load(data)
    try:
        code = table["code"]
        command = table.get("command")
        return Run(
            id=parse_run_id(table["id"]),
            name=_text(table["name"]),
            outcome=Outcome(table["outcome"]),
            clock=_clock(table["clock"]),
            started=_moment(table["started"]),
            duration_s=_optional(table, "duration_s", _float),
            author=_text(table["author"]),
            origin=Origin(table["origin"]),
            fingerprint=_text(table.get("fingerprint", "")),
            reason=_optional(table, "reason", _text),
            parent=_optional(table, "parent", parse_run_id),
            reproduces=_optional(table, "reproduces", parse_run_id),
            source=_optional(table, "source", _text),
            tags=_texts(table.get("tags", [])),
            produced=_texts(table.get("produced", [])),
            warnings=_texts(table.get("warnings", [])),
            output_tail=_text(table.get("output_tail", "")),
            code=Code(
                commit=parse_object_id(code["commit"]),
                tree=parse_object_id(code["tree"]),
                dirty=bool(code["dirty"]),
                snapshot=_optional(code, "snapshot", parse_object_id),
                digest=_text(code.get("digest", "")),
                branch=_optional(code, "branch", _text),
                remote=_optional(code, "remote", _text),
                left_out=_texts(code.get("left_out", [])),
            ),
            command=None
            if command is None
            else Command(
                argv=_texts(command["argv"]),
                template=_texts(command.get("template", [])),
                directory=_text(command["directory"]),
                exit_code=_optional(command, "exit_code", _int),
                metrics_files=_texts(command.get("metrics_files", [])),
            ),
            params=_table(table.get("params", {})),
            metrics=_table(table.get("metrics", {})),
            directions={
                _text(k): Direction(v) for k, v in _table(table.get("directions", {})).items()
            },
            inputs=_decode_files(table.get("inputs", {})),
            outputs=_decode_files(table.get("outputs", {})),
            environment=_table(table.get("environment", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidInput) as error:
        raise _unreadable(error) from error


def _encode_files(files: Mapping[str, FileState]) -> dict[str, object]:
    return {
        path: {"sha256": files[path].sha256, "bytes": files[path].bytes} for path in sorted(files)
    }


def _decode_files(table: Mapping[str, Any]) -> dict[str, FileState]:
    return {
        _text(path): FileState(sha256=_text(state["sha256"]), bytes=_int(state["bytes"]))
        for path, state in table.items()
    }


# --- annotations --------------------------------------------------------------------------------


def encode_annotation(annotation: Annotation) -> bytes:
    """The canonical TOML of an annotation."""
    return _dump(
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
        }
    )


def decode_annotation(data: bytes) -> Annotation:
    """Read an annotation. Raises `Unreadable`."""
    table = _load(data)
    try:
        return Annotation(
            id=_text(table["id"]),
            run=parse_run_id(table["run"]),
            kind=AnnotationKind(table["kind"]),
            clock=_clock(table["clock"]),
            time=_moment(table["time"]),
            author=_text(table["author"]),
            decision=_optional(table, "decision", Decision),
            text=_optional(table, "text", _text),
            hint=_optional(table, "hint", _text),
            tags=_texts(table.get("tags", [])),
            verdict=_optional(table, "verdict", ReproductionVerdict),
            by=_optional(table, "by", parse_run_id),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidInput) as error:
        raise _unreadable(error) from error


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
    import tomli_w  # noqa: PLC0415 - readers need none

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
        import toml_rs  # noqa: PLC0415 - an optional extra
    except ImportError:
        import tomllib  # noqa: PLC0415 - 6 ms that only readers of records pay

        return tomllib.loads

    def read(text: str) -> dict[str, Any]:
        if text.startswith("\ufeff"):  # tomllib refuses it, and so must we
            raise ValueError("it begins with a byte order mark")
        if text.count("[") + text.count("{") > _BRACKETS:
            import tomllib  # noqa: PLC0415 - see above

            return tomllib.loads(text)
        table: dict[str, Any] = toml_rs.loads(text, toml_version="1.0.0")
        return table

    return read


def _load(data: bytes) -> dict[str, Any]:
    table = _parse(data)
    schema = table.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise Unreadable(
            "cannot read a record",
            why=f"it has schema {schema}, this gitexp knows up to {SCHEMA}",
            hints=["update gitexp: `pip install -U gitexp`"],
        )
    if schema != SCHEMA:
        raise Unreadable("cannot read a record", why="it names no schema that gitexp ever wrote")
    return table


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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return tuple(map(_text, value)) if value else ()


def _int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an integer, found {type(value).__name__}")
    return value


def _clock(value: object) -> int:
    number = _int(value)
    if not 0 <= number <= MAX_CLOCK:
        raise ValueError(f"expected a logical time up to {MAX_CLOCK}, found {number}")
    return number


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"expected a finite number, found {value!r}")
    return float(value)


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a date with time, found {type(value).__name__}")
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a table, found {type(value).__name__}")
    return value


def _optional(table: Mapping[str, Any], key: str, parse: Callable[[Any], T]) -> T | None:
    return None if key not in table else parse(table[key])
