"""`git exp reproduce`: run a recorded command again and compare the results."""

import shlex
import sys
from collections.abc import Sequence

import click

from gitexp.cli.output.errors import tell, warn
from gitexp.cli.output.terminal import answer, open_workspace, say, view_of, wants_colour
from gitexp.cli.params.options import dry_run_option, json_option, run_argument, yes_option
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.errors import ExitCode, GitexpError, InvalidInput, Refused
from gitexp.core.model.run import Command, ReproductionVerdict, Run, Tolerance
from gitexp.core.render.machine_formats import format_json
from gitexp.core.render.text import clean
from gitexp.core.render.verdict import changes_table, reproduction_sentence, reproduction_table
from gitexp.features.execution.place_inputs import (
    Missing,
    Placement,
    changed_links,
    check_links,
    find_missing,
    name_missing,
    not_placed,
)
from gitexp.features.execution.reproduce import ReproductionResult, command_of, reproduce
from gitexp.features.recording.made_here import is_recorded_here
from gitexp.storage.workspace import Workspace

EXIT = {
    ReproductionVerdict.REPRODUCED: ExitCode.DONE,
    ReproductionVerdict.WITHIN_TOLERANCE: ExitCode.DONE,
    ReproductionVerdict.DRIFTED: ExitCode.NO,
    ReproductionVerdict.FAILED: ExitCode.UNKNOWN,
}


@click.command("reproduce")
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="[METRIC=]NUMBER[%]",
    help="How far a metric may move: absolute, or relative with `%`. Repeatable.",
)
@click.option(
    "--link",
    "links",
    multiple=True,
    metavar="PATH",
    help="Link a file or directory of your work tree that git does not track. Repeatable.",
)
@yes_option
@dry_run_option
@json_option
@run_argument
def command(
    tolerances: tuple[str, ...],
    links: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    as_json: bool,
    run: str,
) -> int:
    """Run a recorded run again and judge the result

    Checks out its recorded code, uncommitted changes included, into a temporary work tree inside
    the git directory, and runs its command there in the current environment. The verdict -
    reproduced, within tolerance, drifted or failed - is recorded with the run. A run that was not
    recorded in this clone runs only after you have seen its command and agreed. RUN may be a commit
    of the run branch.

    Inputs, and files left out of its snapshot, are linked from your work tree if their recorded
    hash is the same. Other files that its code lacks are named; `--link` adds them. Exit code 0:
    reproduced or within tolerance; 1: drifted; 125: failed or could not tell.

    \b
    git exp reproduce best:accuracy
    git exp reproduce last --tolerance accuracy=0.5%
    """
    default, allowed = _parse_tolerances(tolerances)
    workspace = open_workspace()
    entry = find_entry(workspace, run)
    recorded = workspace.branch.load_run(entry.run.id, entry.run.started)
    recorded_command = command_of(workspace, recorded)
    is_own = is_recorded_here(workspace, recorded.id)
    linked = check_links(workspace, links)
    if dry_run or not is_own:
        _show_plan(recorded, recorded_command, to_stdout=dry_run)
    if dry_run:
        missing = not_placed(find_missing(workspace, recorded), Placement(unchecked=[*linked]))
        _tell_missing(missing, Placement())
        return ExitCode.DONE
    if not is_own and not yes:
        _ask(recorded)
    done = reproduce(
        workspace,
        entry,
        tolerances={**workspace.settings.tolerances, **allowed},
        default=default,
        links=linked,
        on_missing=_tell_missing,
        on_start=_tell_start,
        stdout=2 if as_json else 1,
    )
    _tell(workspace, done, as_json=as_json)
    return EXIT[done.verdict]


def _parse_tolerances(texts: Sequence[str]) -> tuple[Tolerance, dict[str, Tolerance]]:
    default = Tolerance()
    named = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(number.removesuffix("%"))
            if not 0 <= value < float("inf"):
                raise ValueError(number)
        except ValueError as error:
            raise InvalidInput(
                f"cannot use tolerance '{text}'",
                hints=["write `--tolerance 0.01`, `--tolerance 1%` or `--tolerance accuracy=0.01`"],
            ) from error
        is_relative = number.endswith("%")
        bound = Tolerance(relative=value / 100) if is_relative else Tolerance(absolute=value)
        if name:
            named[name] = bound
        else:
            default = bound
    return default, named


def _show_plan(recorded: Run, command: Command, *, to_stdout: bool) -> None:
    lines = [
        f"run        {recorded.id} {clean(recorded.name)}",
        f"recorded   by {clean(recorded.author)} on {recorded.started:%Y-%m-%d %H:%M} UTC",
        f"code       {recorded.code.commit}"
        + (f" with uncommitted changes {recorded.code.snapshot}" if recorded.code.dirty else ""),
        f"directory  {clean(command.directory)}",
        f"command    {clean(shlex.join(command.argv))}",
    ]
    lines += [f"not there  {clean(item)}" for item in recorded.code.left_out]
    for line in lines:
        click.echo(line, err=not to_stdout)


def _ask(recorded: Run) -> None:
    if not sys.stdin.isatty():
        raise Refused(
            f"not run: run {recorded.id[:7]} was not recorded in this clone",
            why="its command would run on your machine, with your rights",
            hints=["look at it with `--dry-run`, then say `--yes`"],
        )
    click.confirm("run this command here?", abort=True, err=True)


def _tell_missing(missing: list[Missing], placement: Placement) -> None:
    """Report files missing in the recorded code and files taken from the work tree."""
    if placement.placed or placement.unchecked:
        named = ", ".join(clean(path) for path in (*placement.placed, *placement.unchecked)[:8])
        say(f"taken from your work tree: {named}")
    if missing:
        say(f"not in the recorded code: {clean(name_missing(missing))}")
        names = [item.path.rstrip("/") for item in missing if item.is_here][:3]
        if names:
            options = " ".join(f"--link {shlex.quote(path)}" for path in names)
            say(f"if the command needs it: `{clean(options)}`")


def _tell_start(run: Run, problem: GitexpError | None) -> None:
    if problem is not None:
        tell(problem)
    say(f"run {run.id[:7]} {run.name}: {run.reason}")
    sys.stdout.flush()
    sys.stderr.flush()


def _tell(workspace: Workspace, done: ReproductionResult, *, as_json: bool) -> None:
    for warning in done.again.warnings:
        warn(warning)
    for path in changed_links(done.placement):
        warn(f"the command changed '{clean(str(path))}', which was linked from your work tree")
    if as_json:
        answer(
            format_json(
                {
                    "schema": 1,
                    "run": done.recorded.id,
                    "again": done.again.id,
                    "verdict": done.verdict.value,
                    "metrics": done.matches,
                    "missing": [item.path for item in done.missing],
                    "linked": [*done.placement.placed, *done.placement.unchecked],
                    "environment": [
                        {"name": n, "before": old, "after": new} for n, old, new in done.environment
                    ],
                }
            )
        )
        return
    if done.missing and EXIT[done.verdict] != ExitCode.DONE:
        say(f"the recorded code lacks: {clean(name_missing(done.missing))}")
    view = view_of(workspace, [done.recorded.id, done.again.id])
    answer(reproduction_sentence(done.verdict, done.matches, colour=wants_colour()))
    if done.matches:
        answer(reproduction_table(done.matches, width=view.width))
    if not done.recorded.environment:
        answer("environment not recorded")
    elif done.environment:
        answer("the environment is not the recorded one:")
        answer(changes_table(done.environment, before="recorded", after="now", width=view.width))
