"""Check whether the parameters that the user gave reach the command.

A record with an unused parameter is false, so gitexp warns: before the start if the command line
shows it, at the end if the program's parser does.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import format_value, parse_value
from gitexp.core.inputs.redaction import redact_table
from gitexp.core.model.run import Run, Table, Value, flatten

_PLACEHOLDER = re.compile(r"(?<![${])\{([A-Za-z_][\w.]*)\}(?!\})")

_PARAMS_VARIABLE = b"GITEXP_PARAMS"
MAX_SCRIPT_BYTES = 1 << 20
"""Size above which a file among the arguments is not searched for the variable."""


def check_placeholders(
    typed: Sequence[str], params: Table, given: Mapping[str, Value]
) -> list[str]:
    """Return notes about words in braces that look like a parameter name but name none.

    Raises `InvalidInput` if parameters were given, because the word is then probably a typo.
    """
    if not any("{" in word for word in typed):
        return []
    import difflib

    known = [name for name, _ in flatten(params)]
    notes = []
    for word in typed:
        for name in _PLACEHOLDER.findall(word):
            if name in known:
                continue
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean `{{{near[0]}}}`?" if near else ""
            if given and not re.search(r"\s", word):
                raise InvalidInput(
                    f"cannot fill in '{{{name}}}'",
                    why=f"no parameter is called '{name}'",
                    hints=[meant or f"give it with `-S {name}=VALUE`"],
                )
            more = f"; {meant}" if meant else ""
            notes.append(f"`{{{name}}}` names no parameter and is passed on unchanged{more}")
    return notes


def not_received(argv: Sequence[str], directory: Path, given: Mapping[str, Value]) -> list[str]:
    """Return warnings about given parameters that the command line does not pass on."""
    if not argv or not given:
        return []
    used = {name for word in argv for name in _PLACEHOLDER.findall(word)}
    missing = [name for name, _ in flatten(given) if name not in used]
    if not missing or _reads_params(argv, directory):
        return []
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
    what = f"it has no `{{{missing[0]}}}` and no mention of GITEXP_PARAMS"
    return [f"the command does not seem to receive {names}: {what}"]


def _reads_params(argv: Sequence[str], directory: Path) -> bool:
    """Return whether the command, or a script that it names, mentions the parameter file."""
    for word in argv:
        if _PARAMS_VARIABLE in word.encode(errors="replace"):
            return True
        with suppress(OSError, ValueError):
            path = directory / word
            if path.is_file() and path.stat().st_size <= MAX_SCRIPT_BYTES:
                content = path.read_bytes()
                if _PARAMS_VARIABLE in content or b"gitexp" in content:
                    return True
    return False


def contradictions(run: Run, given: Mapping[str, Value]) -> list[str]:
    """Return warnings about given parameters that the program parsed as another value."""
    parsed = dict(flatten(run.parsed))
    renamed: Mapping[str, str] = {} if run.parser is None else run.parser.renamed
    faults = []
    for name, value in flatten(redact_table(given)):
        theirs = renamed.get(name, name)
        if theirs in parsed and not _same(value, parsed[theirs]):
            faults.append(
                f"-S {name}={format_value(value)} is not what ran: "
                f"the program parsed {theirs} = {format_value(parsed[theirs])}"
            )
    return faults


def _same(given: Value, parsed: Value) -> bool:
    forms = [canonical(parse_value(v) if isinstance(v, str) else v) for v in (given, parsed)]
    return forms[0] == forms[1] or format_value(given) == format_value(parsed)
