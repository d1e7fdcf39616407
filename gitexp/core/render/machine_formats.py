"""Output for programs: JSON, CSV and porcelain lines. Later versions only add keys and columns.

Takes documents (`gitexp.core.schema.json_codec`), not entries.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from gitexp.core.model.run import flatten
from gitexp.core.render.text import UNSAFE
from gitexp.core.schema.json_codec import json_value

PORCELAIN_KEYS = (
    "id",
    "name",
    "outcome",
    "decision",
    "started",
    "duration_s",
    "code.commit",
    "fingerprint",
    "group",
)
"""Default columns of porcelain lines; later versions add new ones at the end."""


def format_json(value: object, *, indent: int | None = 2) -> str:
    """Return JSON in printable ASCII, which every terminal and encoding can show.

    Dataclasses become objects without their absent fields; NaN and dates are as in documents.
    """
    import json

    text = json.dumps(_jsonable(value), allow_nan=False, indent=indent)
    return text.replace("\x7f", "\\u007f")


def _jsonable(value: Any) -> Any:
    if is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _jsonable(inner) for name, inner in pairs if inner is not None}
    if isinstance(value, Mapping):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    return None if value is None else json_value(value)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def format_csv(documents: Sequence[Mapping[str, Any]], keys: Sequence[str] | None = None) -> str:
    """Return CSV: a header, then one line for each run, with exact numbers; missing values are
    empty.

    Without `keys`: all single values by dotted name, in order of first occurrence.
    """
    import csv
    import io

    rows = [flat_document(document) for document in documents]
    columns = list(dict.fromkeys(k for row in rows for k in row) if keys is None else keys)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_field(column) for column in columns])
    writer.writerows([_field(row.get(column)) for column in columns] for row in rows)
    return out.getvalue().rstrip("\n")


def format_porcelain(
    documents: Sequence[Mapping[str, Any]], keys: Sequence[str] = PORCELAIN_KEYS
) -> str:
    r"""Return one line for each run, with fields separated by tabs and no header.

    `\t`, `\n` and `\\` in a field represent a tab, a line end and a backslash. Missing values are
    empty.
    """
    lines = []
    for document in documents:
        row = flat_document(document)
        lines.append("\t".join(_field(row.get(key), escape_backslash=True) for key in keys))
    return "\n".join(lines)


def flat_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return single values and lists of them by dotted name, without lists of documents."""
    return {
        name: value
        for name, value in flatten(document)
        if not (isinstance(value, list) and any(isinstance(member, dict) for member in value))
    }


_UNSAFE_IN_FIELD = re.compile(f"[{UNSAFE}]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _field(value: Any, *, escape_backslash: bool = False) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else _exact(value)
    if escape_backslash:
        text = text.replace("\\", "\\\\")
    return _UNSAFE_IN_FIELD.sub(lambda found: _NAMED.get(found[0]) or _escape(found), text)


def _exact(value: Any) -> str:
    if isinstance(value, int | float):
        return repr(value)
    return format_json(value, indent=None)
