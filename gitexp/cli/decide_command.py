"""`git exp decide`: what to do with a run, and why."""

import click

from gitexp.cli.options import run_argument
from gitexp.cli.selection import find_entry
from gitexp.cli.terminal import open_workspace, say
from gitexp.model import AnnotationKind, Decision
from gitexp.running.lifecycle import annotate


@click.command("decide")
@run_argument
@click.argument("decision", type=click.Choice([d.value for d in Decision]))
@click.option("-m", "--message", "why", help="Why.")
@click.option("--next", "hint", metavar="HINT", help="What to try next.")
def command(run: str, decision: str, why: str | None, hint: str | None) -> None:
    """Say what to do with a run, and why

    improve: go on from here; keep: good as it is; discard: not worth doing again; stop: give the
    whole direction up. A later decision supersedes an earlier one; both stay on record. A trial
    decided discard or stop is refused by `git exp run` when it is tried again.

    \b
    git exp decide last keep -m "good enough for the paper"
    git exp decide last discard -m "diverges after epoch 3" --next "halve lr"
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run, to_change=True)
    annotate(
        workspace,
        entry,
        AnnotationKind.DECISION,
        decision=Decision(decision),
        text=why,
        hint=hint,
    )
    told = f": {why}" if why else ""
    say(f"run {entry.run.id[:7]} {entry.run.name} decided {decision}{told}")
