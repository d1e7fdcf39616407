"""Get the result of the program's own argument parser: requested before a run, read after it.

The files in `adapters.inject` write a report beside the journal. Reading it never fails: unusable
parts become warnings, and the rest of the run is recorded.
"""

import ast
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitexp.adapters.inject import path
from gitexp.core.inputs.redaction import redact_table
from gitexp.core.model.run import Parser, Run, Table, Value, flatten, nest
from gitexp.core.schema import limits

REPORT_VARIABLE = "GITEXP_REPORT"
"""Environment variable: path of the file for the program's report."""

PATH_VARIABLE = "PYTHONPATH"

MAX_REPORT_BYTES = 1 << 20
MAX_WARNINGS = 5


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a Hydra program."""

    values: Table
    overrides: tuple[str, ...]
    given: tuple[str, ...]
    """Names that the overrides set."""
    directory: str
    status: str = ""
    """Hydra's status: `COMPLETED`, `FAILED`; empty when the job did not end."""
    result: float | None = None
    """Return value of the program's function, if it is a number."""
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A program's report of its parameters."""

    parser: Parser
    """`renamed` has all options of the parser, also those without a recorded parameter."""
    values: Table
    jobs: tuple[Job, ...] = ()
    """Jobs of a sweep; empty for a single run."""
    warnings: tuple[str, ...] = ()
    were_jobs_apart: bool = False
    """True when the jobs ran in other processes, so that their output cannot be separated."""


def report_path(journals: Path, run_id: str) -> Path:
    """Return the path of the report beside the journal of a run."""
    return journals / f"{run_id}.report"


def injected(environ: Mapping[str, str], report: Path) -> dict[str, str]:
    """Return the variables that make a Python program write a report.

    gitexp's directory comes first on PYTHONPATH. A trailing slash means that the variable was set
    and empty, so that the program's child processes get the original value.
    """
    ours = os.path.dirname(os.path.abspath(path.__file__))  # noqa: PTH100, PTH120
    before = environ.get(PATH_VARIABLE)
    rest = "" if before is None else f"{os.pathsep}{before}" if before else os.sep
    return {PATH_VARIABLE: ours + rest, REPORT_VARIABLE: str(report)}


def read_report(file: Path) -> Report | None:
    """Read a report; `None` if the program wrote none. Unusable parts become its warnings."""
    try:
        with file.open("rb") as stream:
            report = _report(ast.literal_eval(stream.read(MAX_REPORT_BYTES).decode()))
        if file.with_name(file.name + ".others").exists():
            report = replace(report, warnings=(*report.warnings, _OTHERS))
        return report
    except FileNotFoundError:
        if file.with_name(file.name + ".claim").exists():
            return _empty("the program parsed its parameters, but could not write them to disk")
        return None
    except OSError as error:
        return _empty(f"cannot read the program's parameters: {error.strerror}")
    except _DAMAGED:
        return _empty("cannot read the program's parameters: the report is damaged")


_OTHERS = (
    "the command ran several programs that parsed different parameters; the record has those of "
    "the first one, and the last value of each metric, whichever program printed it"
)

_DAMAGED = (
    *(ValueError, SyntaxError, TypeError, LookupError, AttributeError),
    *(MemoryError, RecursionError, OverflowError),
)
"""Exceptions from reading a report that the file of `adapters.inject` did not write."""


def discard_report(file: Path) -> None:
    """Delete the files of a report. Idempotent."""
    with suppress(OSError):
        names = os.listdir(file.parent)  # noqa: PTH208 - each trial of a sweep asks
        for name in names:
            if name.startswith(file.name) and name[len(file.name) :][:1] in ("", "."):
                (file.parent / name).unlink(missing_ok=True)


def with_report(run: Run, report: Report | None) -> Run:
    """Return the run with the values that its program reported."""
    if report is None:
        return run
    known, found = (dict(flatten(table)) for table in (run.params, report.values))
    renamed = {n: to for n, to in report.parser.renamed.items() if n in known and to in found}
    return replace(
        run,
        parsed=report.values,
        parser=replace(report.parser, renamed=renamed) if report.values else None,
        warnings=(*run.warnings, *report.warnings),
    )


def _empty(warning: str) -> Report:
    return Report(Parser(by=""), {}, warnings=(warning,))


def _report(content: Mapping[str, Any]) -> Report:
    if "bytes" in content:
        size = f"{content['bytes']:,} bytes"
        return _empty(f"the parameters that {content['by']} parsed are left out: {size}")
    jobs = [job for job in content["jobs"] if job["is_sweep"]]
    shared = _resolved(_typed_table(content["values"]))
    for job in jobs:
        shared = _shared(shared, _resolved(_typed_table(job["values"])))
    values, warnings = _usable(shared)
    names = {name for name, _ in flatten(values)}
    given = {str(name) for name in content["given"]}
    if content["jobs"] and not jobs:
        given |= {*_job(content["jobs"][0]).given}
    return Report(
        Parser(
            by=str(content["by"]),
            given=tuple(sorted(names & given)),
            renamed={str(name): str(to) for name, to in content["options"].items()},
        ),
        values,
        tuple(map(_job, jobs)),
        tuple(warnings[:MAX_WARNINGS]),
    )


def _job(content: Mapping[str, Any]) -> Job:
    values, _ = _usable(content["values"])
    overrides = tuple(map(str, content["overrides"]))
    result, seconds = content.get("result"), content.get("seconds")
    is_number = isinstance(result, int | float) and math.isfinite(result)
    return Job(
        values,
        overrides,
        _given_by(overrides, values),
        str(content["directory"]),
        status=str(content.get("status", "")),
        result=result if is_number else None,
        duration_s=round(seconds, 3) if isinstance(seconds, float) and seconds >= 0 else None,
    )


def _given_by(overrides: Sequence[str], values: Table) -> tuple[str, ...]:
    names = {name for name, _ in flatten(values)}
    return tuple(sorted(names & {_overridden(word) for word in overrides}))


def configured(values: Table, overrides: Sequence[str]) -> Report:
    """Build a report from the configuration that a Hydra program wrote."""
    usable, warnings = _usable(values)
    parser = Parser(by="hydra", given=_given_by(overrides, usable))
    return Report(parser, usable, warnings=tuple(warnings[:MAX_WARNINGS]))


def configured_jobs(found: Sequence[tuple[Table, Sequence[str], Path]]) -> Report:
    """Build a report of the jobs of a sweep that ran in other processes.

    Each job has the configuration and overrides that Hydra wrote, and its directory.
    """
    jobs = []
    for values, overrides, directory in found:
        usable, _ = _usable(values)
        given = _given_by(overrides, usable)
        jobs.append(Job(usable, tuple(overrides), given, str(directory)))
    shared = jobs[0].values
    for job in jobs:
        shared = _shared(shared, job.values)
    return Report(Parser(by="hydra"), shared, tuple(jobs), were_jobs_apart=True)


def _overridden(word: str) -> str:
    found = re.match(r"\+{0,2}([\w.]+)=", word)
    return found[1] if found else ""


def _shared(table: Table, other: Table) -> Table:
    """Return the values that both tables share."""
    found: Table = {}
    for name, value in table.items():
        theirs = other.get(name)
        if isinstance(value, dict) and isinstance(theirs, dict):
            found[name] = _shared(value, theirs)
        elif name in other and other[name] == value:
            found[name] = value
    return found


def _usable(reported: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """Return reported values as a record stores them, redacted, and what is left out."""
    values = _resolved(_typed_table(reported))
    table, left_out = limits.fit(nest(values), "parameter")
    return redact_table(table), list(left_out)


def _typed_table(reported: Mapping[str, Any]) -> Table:
    return {name: _typed(value) for name, value in reported.items()}


def _typed(value: Any) -> Value:
    """Convert a literal of the report to a value; the tuple `("float", "nan")` is a float."""
    if isinstance(value, dict):
        return {str(name): _typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(member) for member in value]
    if isinstance(value, tuple):
        return float(value[1])
    if isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"the report holds {type(value).__name__}")


_INTERPOLATION = re.compile(r"\$\{([\w.]+)\}")


def _resolved(table: Table) -> Table:
    """Replace `${a.b}` in a table by the value of `a.b`; resolvers stay as written."""
    leaves = dict(flatten(table))

    def resolve(value: Value, depth: int) -> Value:
        if isinstance(value, dict):
            return {name: resolve(inner, depth) for name, inner in value.items()}
        if isinstance(value, list):
            return [resolve(member, depth) for member in value]
        if not isinstance(value, str) or "${" not in value or not depth:
            return value
        whole = _INTERPOLATION.fullmatch(value)
        if whole is not None:
            return resolve(leaves.get(whole[1], value), depth - 1)
        return _INTERPOLATION.sub(lambda m: _shown(leaves.get(m[1]), m[0]), value)

    return {name: resolve(value, 8) for name, value in table.items()}


def _shown(value: Value | None, written: str) -> str:
    return str(value) if isinstance(value, bool | int | float | str) else written
