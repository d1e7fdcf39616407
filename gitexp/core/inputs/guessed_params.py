"""Guess the parameters that a command line sets, without knowledge of the program.

Parameters that the program's own parser returned replace the guess in the record. The guess serves
other programs, and decisions before the start. It never raises.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gitexp.core.inputs.argv import option_path, parse_value
from gitexp.core.model.run import Table, Value, nest

_LONG = re.compile(r"--([A-Za-z][\w.-]*)(?:=(.*))?\Z", re.DOTALL)
_SHORT = re.compile(r"-([A-Za-z][\w-]*)(?:=(.*))?\Z", re.DOTALL)
_ATTACHED = re.compile(r"-([A-Za-z])([+-]?\d.*)\Z", re.DOTALL)
_OVERRIDE = re.compile(r"(?:\+{0,2}|(~))([A-Za-z_][\w.@/:-]*)=(.*)\Z", re.DOTALL)
_DELETION = re.compile(r"~([A-Za-z_][\w.@/:-]*)\Z")
_NEGATIVE = re.compile(r"-(?:\d|\.\d|inf\Z)")

_RUNNER = re.compile(
    r"(?:python|pypy|ruby|perl|node|julia)[\d.]*|(?:ba|da|z|k|fi)?sh|Rscript|accelerate|bun|caffeinate"
    r"|chrt|conda|coverage|deepspeed|deno|env|horovodrun|ionice|mamba|mpiexec|mpirun|nice|nohup|numactl"
    r"|pdm|perf|pipenv|poetry|srun|stdbuf|strace|taskset|time|timeout|torchrun|uv|xvfb-run"
)
"""Programs that run the program named among their arguments."""
_SCRIPT = re.compile(r"[^-].*\.(?:py|pyc|ipynb|sh|bash|r|R|jl|rb|pl|js|ts|lua|php)\Z", re.DOTALL)

_FLAGS = frozenset(
    "all amp bf16 cpu cuda debug deterministic distributed dry_run fast_dev_run force fp16 help"
    " overwrite pretrained quiet recursive shuffle silent tf32 verbose version yes".split()
)
_FLAG_PREFIXES = ("no", "use", "enable", "disable", "dont", "without")
_SHORT_FLAGS = frozenset("fhqvVy")
"""Options that are mostly flags: their value is a number or a boolean, but no word."""


class _Found(NamedTuple):
    path: tuple[str, ...]
    value: Value
    stop: int
    """Position after the option and its values."""


def params_from_argv(argv: Sequence[str]) -> Table:
    """Return the typed parameters that a command line sets.

    An option given twice becomes a list, and so do several numbers after an option. Long options
    count everywhere. Short options and `key=value` count only after the program's name, because
    before it they belong to an interpreter or a launcher.
    """
    found: dict[tuple[str, ...], list[Value]] = {}
    start = program_position(argv) + 1
    position = 0
    while position < len(argv):
        word = argv[position]
        if word == "--" and position >= start:
            break
        one = _read(argv, position, start)
        position = position + 1 if one is None else one.stop
        if one is not None:
            found.setdefault(one.path, []).append(one.value)
    return nest(
        {
            ".".join(path): values[0] if len(values) == 1 else values
            for path, values in found.items()
        }
    )


def program_position(argv: Sequence[str]) -> int:
    """Return the position of the program: a script, a module, or the first word.

    The last position if a launcher's program is unknown.
    """
    if not argv or not _RUNNER.fullmatch(argv[0].rpartition("/")[2]):
        return 0
    for position, word in enumerate(argv[1:], start=1):
        if _SCRIPT.match(word):
            return position
        if word in ("-m", "-c") and position + 1 < len(argv):
            return position + 1
    return len(argv) - 1


def is_override(word: str) -> bool:
    """Return whether a word looks like an override of a configuration: `a.b=1`, `~a.b`."""
    return _OVERRIDE.match(word) is not None or _DELETION.match(word) is not None


def _read(argv: Sequence[str], position: int, start: int) -> _Found | None:
    """Return what the word at a position sets, and the end of its values."""
    word, after = argv[position], position + 1
    if long := _LONG.match(word):
        path = tuple(option_path(long[1]))
        if long[2] is not None:
            return _Found(path, parse_value(long[2]), after)
        is_flag = "_".join(path) in _FLAGS or path[0].split("_")[0] in _FLAG_PREFIXES
        return _with_values(argv, path, after, start, is_flag=is_flag)
    if position < start:
        return None
    return _read_short(argv, word, after, start) or _read_override(word, after)


def _read_short(argv: Sequence[str], word: str, after: int, start: int) -> _Found | None:
    if attached := _ATTACHED.match(word):
        return _Found((attached[1],), parse_value(attached[2]), after)
    short = _SHORT.match(word)
    if short is None:
        return None
    name, value = short.groups()
    path = tuple(option_path(name))
    if value is not None:
        return _Found(path, parse_value(value), after)
    if len(name) == 1:
        is_flag = name in _SHORT_FLAGS or any(map(is_override, argv[after : after + 1]))
        return _with_values(argv, path, after, start, is_flag=is_flag)
    # `-lr 0.1` is one option; `-xvf file` may be three flags.
    several = _with_values(argv, path, after, start, is_flag=True)
    return None if several.value is True and several.stop == after else several


def _with_values(
    argv: Sequence[str], path: tuple[str, ...], after: int, start: int, *, is_flag: bool
) -> _Found:
    """Return the option with the words after it that can be its values."""
    following = argv[after : after + 1]
    if not following or after == start - 1 or not _may_be_value(following[0]):
        return _Found(path, True, after)
    value = parse_value(following[0])
    if is_flag and isinstance(value, str):
        return _Found(path, True, after)
    if not _is_number(value):
        return _Found(path, value, after + 1)
    values = [value, *_numbers_from(argv, after + 1)]
    return _Found(path, value if len(values) == 1 else values, after + len(values))


def _numbers_from(argv: Sequence[str], position: int) -> Iterator[Value]:
    for word in argv[position:]:
        value = parse_value(word)
        if not _may_be_value(word) or not _is_number(value):
            return
        yield value


def _may_be_value(word: str) -> bool:
    return not word.startswith("-") or _NEGATIVE.match(word) is not None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_override(word: str, after: int) -> _Found | None:
    """Parse overrides: `a.b=1` and `+a.b=1` set `a.b`; `~a.b`, which removes it, sets `~a.b`.

    Overrides of Hydra's own settings (output directory, launcher) do not count.
    """
    found = _OVERRIDE.match(word)
    deleted, name, text = found.groups() if found else (None, "", "")
    if only := _DELETION.match(word):
        deleted, name, text = "~", only[1], "true"
    if not name or "://" in name or re.match(r"hydra[./@]", name):
        return None
    return _Found(((deleted or "") + name,), parse_value(text), after)
