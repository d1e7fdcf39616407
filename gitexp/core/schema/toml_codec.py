"""Convert runs and annotations to canonical TOML bytes and back.

`decode(encode(x)) == x`, and equal values have equal bytes. Files of the branch are untrusted:
size, depth and integers are checked before and after parsing, and every fault becomes one
`UnreadableRecord`.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.model.run import Annotation, Run, Table, Value
from gitexp.core.schema.fields import ANNOTATION, RUN, SCHEMA, known_schema
from gitexp.core.schema.kinds import FIELD_ERRORS, Convert, sorted_table
from gitexp.core.schema.limits import MAX_RECORD_BYTES, check_table, refuse_depth, refuse_values

# --- runs ---------------------------------------------------------------------------------------


def encode_run(run: Run) -> bytes:
    """Encode a run as canonical TOML. Raises `InvalidInput` if it exceeds the limits."""
    _check_tables(run)
    data = _dump({"schema": SCHEMA, **RUN.toml(run)})
    if len(data) > MAX_RECORD_BYTES:
        raise InvalidInput(
            f"cannot record run {run.id[:7]}",
            why=f"its record has {len(data):,} bytes, at most {MAX_RECORD_BYTES:,} are kept",
            hints=["put long values in files and name them with `--input` or `--output`"],
        )
    return data


def _check_tables(run: Run) -> None:
    """Raise `InvalidInput` for tables that a record cannot hold."""
    check_table(run.params, "parameter")
    check_table(run.parsed, "parameter")
    check_table(run.metrics, "metric")


def decode_run(data: bytes) -> Run:
    """Decode a run. Raises `UnreadableRecord` for data that is no record of a known schema."""
    run: Run = _decode(data, RUN.read)
    return run


def recode_run(data: bytes) -> tuple[Table, dict[str, Any]]:
    """Return the TOML table of a run and its JSON document, without annotations.

    Accepts what `decode_run` accepts. Raises `UnreadableRecord`.
    """
    table = _parse(data)
    return table, _read(table, RUN.recode)


# --- annotations --------------------------------------------------------------------------------


def encode_annotation(annotation: Annotation) -> bytes:
    """Encode an annotation as canonical TOML. Raises `InvalidInput` for metrics over the limits."""
    check_table(annotation.metrics, "metric")
    return _dump({"schema": SCHEMA, **ANNOTATION.toml(annotation)})


def decode_annotation(data: bytes) -> Annotation:
    """Decode an annotation. Raises `UnreadableRecord`."""
    annotation: Annotation = _decode(data, ANNOTATION.read)
    return annotation


# --- plain tables: environments, format, a run's own parameter file -------------------------------


def encode_table(table: Mapping[str, Value]) -> bytes:
    """Encode any table as canonical TOML with sorted keys. Keeps empty lists and tables."""
    return _write(sorted_table(table)).encode()


def decode_table(data: bytes) -> Table:
    """Decode any TOML within the limits. Raises `UnreadableRecord`."""
    return _parse(data)


# --- TOML, bounded --------------------------------------------------------------------------------


def _dump(table: Mapping[str, object]) -> bytes:
    return _write(table).encode(errors="replace")


def _write(table: Mapping[str, object]) -> str:
    import tomli_w

    return tomli_w.dumps(table)


_BRACKETS = 1000
"""More than a record of gitexp needs, and a tenth of the number that crashes toml-rs."""


@cache
def _reader() -> Callable[[str], dict[str, Any]]:
    """Return the fastest available TOML 1.0 parser: toml-rs if installed, else tomllib.

    Thousands of open brackets crash toml-rs, which also continues after an error: misplaced quotes
    can hide brackets from `refuse_depth`. So tomllib parses texts with more than `_BRACKETS`.
    """
    try:
        import toml_rs  # an optional extra
    except ImportError:
        import tomllib  # 6 ms: imported only to read records

        return tomllib.loads

    def read(text: str) -> dict[str, Any]:
        if text.startswith("\ufeff"):  # tomllib refuses it, so both must
            raise ValueError("it begins with a byte order mark")
        if text.count("[") + text.count("{") > _BRACKETS:
            import tomllib

            return tomllib.loads(text)
        table: dict[str, Any] = toml_rs.loads(text, toml_version="1.0.0")
        return table

    return read


def _decode(data: bytes, read: Convert) -> Any:
    return _read(_parse(data), read)


def _read(table: Table, read: Convert) -> Any:
    known_schema(table.get("schema"))
    try:
        return read(table)
    except FIELD_ERRORS as error:
        raise _unreadable(error) from error


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_RECORD_BYTES:
        raise UnreadableRecord(
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


def _unreadable(error: Exception) -> UnreadableRecord:
    if isinstance(error, UnreadableRecord):
        return error
    why = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
    return UnreadableRecord("cannot read a record", why=why.splitlines()[0][:200] if why else None)
