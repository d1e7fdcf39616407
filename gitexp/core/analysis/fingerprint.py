"""Fingerprints: one hash over the code that counts, command, parameters and inputs.

Two runs with equal fingerprints are the same trial. Records hold fingerprints, so a change of the
hashed text needs a new version; `tests/core/analysis/test_fingerprint.py` has golden values.
"""

import math
import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from itertools import groupby

from gitexp.core.inputs.argv import iter_options, option_path, parse_value
from gitexp.core.model.run import FileState, Run, Table, Value, flatten, nest

DEFAULT_EXCLUDE = (
    "README*",
    "CHANGELOG*",
    "CHANGES*",
    "LICENSE*",
    "/*.md",
    "/*.rst",
    "/docs/",
    ".gitignore",
    ".gitattributes",
    ".mailmap",
    "/.github/",
    "/.gitexp*",
    "/gitexp.toml",
)
"""Files that cannot change a result: documentation, and settings of git and gitexp.

Markdown at the top and READMEs are documentation; other Markdown may be a prompt or data.
`gitexp.toml` defines how to judge a run, not how to execute it.
"""

WRITTEN_BY_TOOLS = (
    "wandb/",
    "mlruns/",
    "lightning_logs/",
    ".ipynb_checkpoints/",
    "outputs/**/.hydra/",
    "multirun/**/.hydra/",
    "multirun/**/multirun.yaml",
    "runs/",
    *(
        f"!runs/**/*{ending}"
        for ending in (".py", ".ipynb", ".sh", ".c", ".cpp", ".cu", ".jl", ".R")
    ),
    "nohup.out",
    "*.log",
)
"""Files that trackers, frameworks and shells write. They are code only if git tracks them."""

# --- the code that counts -------------------------------------------------------------------------


def counts_as_code(
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = DEFAULT_EXCLUDE,
    produced: Collection[str] = (),
) -> Callable[[str], bool]:
    """Return a function that decides whether a path counts; see `code_digest`."""
    is_included = path_matcher(include) if include else None
    is_excluded = path_matcher(exclude)
    return lambda path: (
        path not in produced
        and not is_excluded(path)
        and (is_included is None or is_included(path))
    )


def code_digest(
    entries: Iterable[tuple[str, str, str]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = DEFAULT_EXCLUDE,
    produced: Collection[str] = (),
) -> str:
    """Return the SHA-256 of the tree entries (mode, path, object id) that count, in any order.

    Paths that match `include` count (all if it is empty), except those that match `exclude` and
    those in `produced`, which earlier runs wrote. Patterns are those of `.gitignore`: `docs/`,
    `*.md`, `/README*`, `src/**/data`; `!kept.md` includes a path again.
    """
    counts = counts_as_code(include=include, exclude=exclude, produced=produced)
    lines = sorted(
        f"{mode} {oid}\t{path}".encode(errors="surrogateescape")
        for mode, path, oid in entries
        if counts(path)
    )
    import hashlib

    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\0")
    return digest.hexdigest()


def path_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for `/`-separated paths; the last match decides, as in `.gitignore`."""
    kept = [(p.startswith("!"), p.removeprefix("!")) for p in patterns if p.strip("!/ ")]
    rules = [
        (negated, re.compile("|".join(_regex(pattern) for _, pattern in group), re.DOTALL))
        for negated, group in groupby(kept, key=lambda rule: rule[0])
    ]
    rules.reverse()

    def matches(path: str) -> bool:
        for negated, regex in rules:
            if regex.fullmatch(path):
                return not negated
        return False

    return matches


def _regex(pattern: str) -> str:
    """Return a pattern as a regular expression for whole paths."""
    body = pattern.rstrip("/")
    start = "" if "/" in body else "(?:.*/)?"
    end = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    parts = [_part(p) for p in re.split(r"(\*\*/|/\*\*$|\*|\?|\[[^]/]+\])", body.lstrip("/"))]
    return start + "".join(parts) + end


def _part(text: str) -> str:
    wild = {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}
    if text in wild:
        return wild[text]
    if text.startswith("[") and text.endswith("]"):
        members = text[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^{members[1:]}/]" if members[0] in "!^" and members[1:] else f"[{members}]"
    return re.escape(text)


# --- the command and its parameters ---------------------------------------------------------------


def command_template(argv: Sequence[str], params: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the arguments with `--name={name}` for each option that repeats a parameter.

    So `train.py --lr 0.1` and `train.py --lr={lr}` are one command with different values of `lr`. A
    flag that repeats a parameter is removed, because its parameter records it.
    """
    options = list(iter_options(argv))
    if not options:
        return tuple(argv)
    known = dict(flatten(params))
    replaced: dict[int, tuple[int, str | None]] = {}
    seen = set()
    for option in options:
        path = option_path(option.name)
        name = ".".join(path)
        if name not in known or not _repeats(option.value, known[name]):
            continue
        shown = None if option.value is None or name in seen else f"--{option.name}={{{name}}}"
        replaced[option.start] = option.stop, shown
        seen.add(name)
    template: list[str] = []
    position = 0
    while position < len(argv):
        stop, shown = replaced.get(position, (position + 1, argv[position]))
        template += [] if shown is None else [shown]
        position = stop
    return tuple(template)


def _repeats(text: str | None, value: Value) -> bool:
    if text is None:
        return value is True or (isinstance(value, list) and True in value)
    if re.fullmatch(r"\{[^{}]+\}", text):
        return True
    parsed = parse_value(text)
    if type(parsed) is type(value) and isinstance(value, bool | int | float | str):
        return parsed == value or canonical(parsed) == canonical(value)
    same = canonical(parsed)
    return same == canonical(value) or (
        isinstance(value, list) and any(same == canonical(member) for member in value)
    )


# --- the command of a trial -----------------------------------------------------------------------

_SCRIPT = r"(?s:[^-].*\.(?:py|pyc|ipynb|sh|bash|r|R|jl|rb|pl|js|ts|lua|php|m|scm)\Z)"
_INTERPRETER = r"(?:.*/)?(?P<name>python|pypy)(?:\d+(?:\.\d+)?t?)?(?:\.exe)?\Z"


def trial_command(argv: Sequence[str], params: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the arguments in a normal form that is equal for the same trial.

    In addition to `command_template`: a Python interpreter before the script becomes `python`,
    because the environment records which one it is; `./t.py` becomes `t.py`; neighbouring long
    options after the script are sorted if their names are distinct.
    """
    script = script_position(argv)
    words = list(argv)
    for position, word in enumerate(words[: max(script, 1)]):
        if found := re.match(_INTERPRETER, word):
            words[position] = found["name"]
            break
    if 0 < script < len(words):
        words[script] = re.sub(r"\A(?:\./+)+(?=.)", "", words[script])
    return command_template(_sorted_options(words, script + 1), params)


def script_position(argv: Sequence[str]) -> int:
    """Return the position of the script, or 0; the options after it are those of the script."""
    for position, word in enumerate(argv[1:], start=1):
        if re.match(_SCRIPT, word):
            return position
        if word == "-m" and position + 1 < len(argv):
            return position + 1
        if word == "-c":
            return len(argv)  # the program is among the arguments: their order may matter
    return 0


def _sorted_options(words: list[str], start: int) -> list[str]:
    """Return the words with each sequence of long options from `start` on sorted by name."""
    end = words.index("--", start) if "--" in words[start:] else len(words)
    options = [o for o in iter_options(words) if o.start >= start and o.stop <= end]
    result = list(words)
    while options:
        row = [options.pop(0)]
        while options and options[0].start == row[-1].stop:
            row.append(options.pop(0))
        names = {_switch(option.name) for option in row}
        if len(names) == len(row):
            ordered = sorted(row, key=lambda option: option.name)
            result[row[0].start : row[-1].stop] = [
                word for option in ordered for word in words[option.start : option.stop]
            ]
    return result


def _switch(name: str) -> str:
    """Return the name without `no-`, because `--cache` and `--no-cache` set one thing."""
    return name.replace("_", "-").removeprefix("no-")


# --- the fingerprint ------------------------------------------------------------------------------

VERSION = 2
"""Version of the fingerprint, before the digits: `2:5e88…`. Version 1 had only digits."""


def fingerprint(
    digest: str,
    template: Sequence[str],
    *,
    directory: str,
    params: Mapping[str, Value],
    inputs: Mapping[str, FileState],
    full: Mapping[str, Value] | None = None,
    outside: Mapping[str, FileState] = {},
) -> str:
    """Return `2:` and a SHA-256 over code digest, command, directory, parameters and inputs.

    Numbers are compared by value, so 1 equals 1.0; the order of parameters does not matter.
    `trial_command` normalizes `template`; with `full` its options are compared with these
    parameters, so that `params` may omit some, such as seeds. `outside` has the files that count
    and that no snapshot holds.
    """
    command = trial_command(template, params if full is None else full)
    return f"{VERSION}:{_digest(digest, command, directory, params, inputs, outside)}"


def fingerprint_1(
    digest: str,
    template: Sequence[str],
    *,
    directory: str,
    params: Mapping[str, Value],
    inputs: Mapping[str, FileState],
) -> str:
    """Return the fingerprint of version 1, to find runs that have one."""
    return _digest(digest, command_template(template, params), directory, params, inputs)


def _digest(
    digest: str,
    command: Sequence[str],
    directory: str,
    params: Mapping[str, Value],
    inputs: Mapping[str, FileState],
    outside: Mapping[str, FileState] = {},
) -> str:
    trial: Table = {
        "code": digest,
        "command": list(command),
        "directory": directory,
        "params": nest(params),
        "inputs": dict(input_digests(inputs)),
    }
    if outside:
        trial["outside"] = dict(input_digests(outside))
    import hashlib

    return hashlib.sha256(canonical(trial).encode()).hexdigest()


def version_of(text: str) -> int:
    """Return the version of a fingerprint; 0 without one."""
    version, colon, _ = text.partition(":")
    return int(version) if colon and version.isdecimal() else 1 if text else 0


def key_of(run: Run) -> str:
    """Compute the current fingerprint of a record; empty for a run without one."""
    if not run.fingerprint or version_of(run.fingerprint) == VERSION:
        return run.fingerprint
    return fingerprint_of(run)


def group_key(run: Run, left_out: Container[str]) -> str:
    """Return the key of runs that differ only in the parameters `left_out`, by dotted name."""
    kept = {name: value for name, value in flatten(run.params) if name not in left_out}
    command = run.command
    return fingerprint(
        run.code.digest,
        () if command is None else command.template or command.argv,
        directory="." if command is None else command.directory,
        params=nest(kept),
        inputs=run.inputs,
        full=run.params,
        outside=outside_of(run),
    )


def fingerprint_of(run: Run) -> str:
    """Compute the current fingerprint from the parts of a run."""
    return group_key(run, ())


def outside_of(run: Run) -> dict[str, FileState]:
    """Return files that count for the trial and that neither its snapshot nor its inputs hold."""
    return {**run.code.hashed, **run.changed_reads}


def input_digests(inputs: Mapping[str, FileState]) -> tuple[tuple[str, str], ...]:
    """Return path and content hash of each input, sorted."""
    return tuple((path, inputs[path].digest) for path in sorted(inputs))


def canonical(value: Value) -> str:
    """Return equal text for equal values: JSON with types, whatever the order of keys."""
    import json

    if type(value) is int:
        return str(value)  # the same, and most values of large searches are numbers
    if type(value) is float and math.isfinite(value) and not value.is_integer():
        return repr(value)
    return json.dumps(_marked(value), sort_keys=True, separators=(",", ":"))


def _marked(value: Value) -> object:
    if isinstance(value, dict):
        return {"t": {key: _marked(inner) for key, inner in value.items()}}
    if isinstance(value, list | tuple):
        return [_marked(inner) for inner in value]
    if isinstance(value, float):
        whole = math.isfinite(value) and value.is_integer() and abs(value) < 2**63
        return int(value) if whole else value if math.isfinite(value) else {"f": repr(value)}
    if isinstance(value, bool | int | str):
        return value
    return {"d": value.isoformat()}
