"""`git exp doctor`: inspect the repository and fix faults."""

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.progress import waiting
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import json_option
from gitexp.core.errors import ExitCode
from gitexp.core.render.text import clean, counted
from gitexp.features.doctor.checks import run_checks
from gitexp.features.doctor.findings import Diagnosis, Finding, Level
from gitexp.features.doctor.fixes import apply_fixes
from gitexp.storage.workspace import Workspace

_ROUNDS = 3
"""Maximum rounds of `--fix`: a fix may reveal a fault that the next round can fix."""


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Fix what can be fixed without risk.")
@json_option
def command(fix: bool, as_json: bool) -> int:
    """Check everything gitexp keeps and say how to fix it

    Checks every record, series and annotation, the code of every run, the run index, the journals,
    and leftovers. Exit code 0: no fault; 1: a fault; 125: something could not be checked. `--fix`
    never removes or replaces a record: it fetches damaged objects again, keeps code that git may
    drop, completes interrupted runs, and deletes leftovers.

    \b
    git exp doctor
    git exp doctor --fix
    """
    workspace = open_workspace(complete=False)
    workspace.progress = None
    with waiting("checking everything"):
        diagnosis = run_checks(workspace)
    if fix:
        diagnosis = _fix(workspace, diagnosis)
    if as_json:
        _print_json(diagnosis)
    else:
        answer("\n".join(line for f in diagnosis.findings for line in _lines(f)))
        say(_summary(diagnosis, fixed=fix))
    return _code(diagnosis)


def _fix(workspace: Workspace, diagnosis: Diagnosis) -> Diagnosis:
    for _ in range(_ROUNDS):
        before = diagnosis.fixable
        if not before:
            break
        for message in apply_fixes(workspace, diagnosis):
            say(message)
        diagnosis = run_checks(workspace)
        if diagnosis.fixable == before:
            warn("some faults could not be fixed")
            break
    return diagnosis


def _lines(finding: Finding) -> list[str]:
    lines = [f"{finding.level.value:<8} {finding.check:<15} {clean(finding.text)}"]
    return lines + [f"{'':<8} hint: {clean(hint)}" for hint in finding.hints]


def _summary(diagnosis: Diagnosis, *, fixed: bool) -> str:
    faults, unknown = diagnosis.of(Level.FAULT), diagnosis.of(Level.UNKNOWN)
    warnings = diagnosis.of(Level.WARNING)
    parts = [counted(faults, "fault")] if faults else []
    parts += [f"{counted(unknown, 'thing')} that could not be checked"] if unknown else []
    parts += [counted(warnings, "warning")] if warnings else []
    if not parts:
        return "all is well"
    fixable = "" if fixed or not diagnosis.fixable else "; `git exp doctor --fix` fixes some"
    return ", ".join(parts) + fixable


def _code(diagnosis: Diagnosis) -> ExitCode:
    if diagnosis.of(Level.FAULT):
        return ExitCode.NO
    return ExitCode.UNKNOWN if diagnosis.of(Level.UNKNOWN) else ExitCode.DONE


def _print_json(diagnosis: Diagnosis) -> None:
    from gitexp.core.render.machine_formats import format_json

    findings = [
        {
            "check": finding.check,
            "level": finding.level.value,
            "text": finding.text,
            "hints": finding.hints,
            "runs": finding.runs,
            "items": finding.items,
            "fixable": finding.fix is not None,
        }
        for finding in diagnosis.findings
    ]
    well = _code(diagnosis) is ExitCode.DONE
    answer(format_json({"schema": 1, "well": well, "findings": findings}))
