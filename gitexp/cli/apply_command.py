"""`git exp apply`: write a run's code into the work tree."""

import click

from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import dry_run_option, json_option, run_argument
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.model.run import Run
from gitexp.core.render.text import clean
from gitexp.features.execution.parents import remember_applied
from gitexp.features.recording.checkout import ApplyPlan, apply_code, plan_apply
from gitexp.features.runs.purged_code import refuse_purged


@click.command("apply")
@dry_run_option
@json_option
@run_argument
def command(dry_run: bool, as_json: bool, run: str) -> None:
    """Put a run's code into the work tree

    Files get the content that they had when the run started. HEAD, the index and `gitexp.toml`,
    which defines how to judge runs, do not change. Refuses to overwrite a file with uncommitted
    changes. The next run continues this one: it gets it as parent, unless `--parent` names another.

    \b
    git exp apply best:accuracy --dry-run
    git exp apply 7f3a9c0
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run)
    refuse_purged(workspace.branch, entry.run.code, f"cannot apply run {entry.run.id[:7]}")
    plan = plan_apply(workspace.repo, entry.run.code)
    if as_json:
        if not dry_run:
            apply_code(workspace.repo, plan)
            remember_applied(workspace, entry.run.id)
        _print_json(entry.run, plan, applied=not dry_run)
        return
    for path in plan.written:
        answer(f"write   {clean(path)}")
    for path in plan.deleted:
        answer(f"delete  {clean(path)}")
    if not dry_run:
        apply_code(workspace.repo, plan)
        remember_applied(workspace, entry.run.id)
    for path in plan.left:
        say(f"left unchanged: {path}, which says how runs are judged")
    if not plan.written and not plan.deleted:
        say(f"the work tree already holds the code of run {entry.run.id[:7]}")
    elif not dry_run:
        say(
            f"the work tree holds the code of run {entry.run.id[:7]}; `git diff` shows what changed"
        )


def _print_json(run: Run, plan: ApplyPlan, *, applied: bool) -> None:
    from gitexp.core.render.machine_formats import format_json

    document = {
        "schema": 1,
        "run": run.id,
        "name": run.name,
        "revision": plan.revision,
        "written": plan.written,
        "deleted": plan.deleted,
        "left": plan.left,
        "applied": applied,
    }
    answer(format_json(document))
