"""Parameters on command lines: `k=v`, `--name value`, `{name}`.

A value gets the type that it has in TOML, else it is text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Table, Value, flatten
from gitexp.core.schema.limits import INT_MAX, INT_MIN, refuse_depth

_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*)\Z", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:(?:\d+\.\d*|\.\d+)(?:e[+-]?\d+)?|\d+e[+-]?\d+|inf|nan)\Z", re.ASCII | re.IGNORECASE
)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}

# --- values -----------------------------------------------------------------------------------


def parse_value(text: str) -> Value:
    """Parse a value: integer, float (also `1e-3`, `inf`, `nan`), boolean, quoted text, list or
    table.

    Lists and tables are TOML or JSON. Anything else is text. Integers beyond 64 bits and `007` stay
    text, so that no digit is lost.
    """
    stripped = text.strip()
    if stripped in _BOOLEANS:
        return _BOOLEANS[stripped]
    if _INTEGER.match(stripped) and len(stripped) <= 20:
        number = int(stripped)
        return number if INT_MIN <= number <= INT_MAX else text
    if _FLOAT.match(stripped):
        return float(stripped)
    if stripped[:1] in ("[", "{", '"', "'") and len(stripped) > 1:
        return _structured(stripped, text)
    return text


def _structured(stripped: str, text: str) -> Value:
    """Parse a quoted text, list or table as TOML or JSON; return other text unchanged."""
    import json
    import tomllib

    try:
        refuse_depth(stripped)
        # One line each, or a value could add further keys.
        if "\n" not in stripped:
            table: Table = tomllib.loads(f"value = {stripped}")
            return table["value"]
    except (ValueError, RecursionError, UnreadableRecord):
        pass
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return text
    return text if value is None else _without_null(value)


def _without_null(value: Value) -> Value:
    if isinstance(value, dict):
        return {k: _without_null(inner) for k, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_null(inner) for inner in value if inner is not None]
    return value


# --- assignments ----------------------------------------------------------------------------------

_PATH_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^."'=\s][^."'=]*))\s*(\.|=|\Z)""")


def parse_assignment(text: str) -> tuple[list[str], Value]:
    """Parse `a.b=3` into path and typed value; quote a part with a dot: `a."b.c"=3`.

    Raises `InvalidInput`.
    """
    path: list[str] = []
    position, end = 0, ""
    while end != "=":
        found = _PATH_PART.match(text, position)
        if found is None or found[4] == "":
            raise InvalidInput(
                f"cannot read the assignment '{text[:60]}'",
                why="it has no `=`" if "=" not in text else "its name is not readable",
                hints=["write `name=value`, for example `-S model.depth=3`"],
            )
        double, single, bare, end = found.groups()
        quoted = re.sub(r"\\(.)", r"\1", double) if double is not None else single
        path.append(bare.strip() if quoted is None else quoted)
        position = found.end()
    return path, parse_value(text[position:])


def assign(table: Table, path: Sequence[str], value: Value) -> None:
    """Set a value in place and create missing tables.

    Raises `InvalidInput` if the path leads through a plain value, or would replace a table.
    """
    *tables, last = path
    inner = table
    for depth, key in enumerate(tables):
        below = inner.setdefault(key, {})
        if not isinstance(below, dict):
            raise _in_the_way(path, path[: depth + 1], "a value")
        inner = below
    if isinstance(inner.get(last), dict) and not isinstance(value, dict):
        raise _in_the_way(path, path, "a table")
    inner[last] = value


def _in_the_way(path: Sequence[str], taken: Sequence[str], what: str) -> InvalidInput:
    return InvalidInput(
        f"cannot set '{'.'.join(path)}'", why=f"'{'.'.join(taken)}' is already {what}"
    )


# --- options of the user's command ----------------------------------------------------------------

_OPTION = re.compile(r"--([A-Za-z][\w.-]*)(?:=(.*))?\Z", re.DOTALL)
_NEGATIVE = re.compile(r"-(?:\d|\.\d|inf\Z)")


@frozen
class Option:
    """Long option in an argument list."""

    name: str
    """Name as typed, without dashes."""
    value: str | None
    """`None` for a flag."""
    start: int
    """Position in the list."""
    stop: int
    """Position after the option and its value."""


def iter_options(argv: Sequence[str]) -> Iterator[Option]:
    """Yield the long options in order: `--name value`, `--name=value` and the flag `--flag`.

    The word after `--name` is its value, unless it starts with a dash and is no number.
    """
    position = 0
    while position < len(argv):
        start, found = position, _OPTION.match(argv[position])
        position += 1
        if found is None:
            continue
        value: str | None = found[2]
        if value is None and position < len(argv):
            following = argv[position]
            if not following.startswith("-") or _NEGATIVE.match(following):
                value = following
                position += 1
        yield Option(found[1], value, start, position)


def option_path(name: str) -> list[str]:
    """Return the parameter of an option: `--model.hidden-size` is `model`, `hidden_size`."""
    return [part for part in name.replace("-", "_").split(".") if part]


_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def fill_template(argv: Sequence[str], params: Mapping[str, Value]) -> list[str]:
    """Replace `{name}` by the value of the parameter `name`.

    Other braces stay, such as those of JSON and the `{{name}}` of template languages.
    """
    known = dict(flatten(params))

    def fill(argument: str) -> str:
        def value_of(found: re.Match[str]) -> str:
            start, stop = found.span()
            doubled = argument[start - 1 : start] == "{" and argument[stop : stop + 1] == "}"
            name = found[1]
            return found[0] if doubled or name not in known else format_value(known[name])

        return _PLACEHOLDER.sub(value_of, argument)

    return [fill(argument) for argument in argv]


def format_value(value: Value) -> str:
    """Return a value as a command line takes it; `parse_value` reads it back, except for dates."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | dict):
        import json

        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat()
