"""`git exp decide`: record a decision about a run and its reason."""

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import json_option, run_argument
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.model.run import Annotation, Decision
from gitexp.features.recording.say import decide


@click.command("decide")
@run_argument
@click.argument("decision", type=click.Choice([d.value for d in Decision]))
@click.option("-m", "--message", "why", help="Why.")
@click.option(
    "--next", "hint", metavar="HINT", help="What to try next; `-` drops the hints of the run."
)
@click.option("--force", is_flag=True, help="Keep a run although a guard is broken.")
@json_option
def command(
    run: str, decision: str, why: str | None, hint: str | None, force: bool, as_json: bool
) -> None:
    """Say what to do with a run, and why

    improve: continue from here; keep: good enough; discard: not worth another try, and no longer
    the best; stop: end this line of search; its runs may still be the best. A later decision
    replaces the decisions that its author knew; all stay on record. `git exp run` refuses a trial
    that was decided discard or stop. A run that breaks a guard is kept only with --force.

    \b
    git exp decide last keep -m "good enough for the paper"
    git exp decide last discard -m "diverges after epoch 3" --next "halve lr"
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run, to_change=True)
    made = decide(workspace, entry, Decision(decision), why=why, hint=hint, force=force)
    before = entry.decisions
    if as_json:
        _print_json(entry.run.id, entry.run.name, made, before)
        return
    text = f": {made.text}" if made.text else ""
    say(f"run {entry.run.id[:7]} {entry.run.name} decided {decision}{text}")
    for old in before:
        say(f"before: {_sentence(old)}")
    if entry.disputed:
        say("these were made apart; this decision settles them")


def _sentence(old: Annotation) -> str:
    """Return `discard by Ada Lovelace, 3 days ago: too slow`."""
    from gitexp.core.render.text import format_age

    who = old.author.partition(" <")[0]
    why = f": {old.text}" if old.text else ""
    age = format_age(old.time, now=clock.now())
    return f"{old.decision.value if old.decision else 'nothing'} by {who}, {age}{why}"


def _print_json(run: str, name: str, made: Annotation, before: tuple[Annotation, ...]) -> None:
    from gitexp.core.render.machine_formats import format_json
    from gitexp.core.schema.json_codec import annotation_document

    document = {
        "schema": 1,
        "run": run,
        "name": name,
        "annotation": annotation_document(made),
        "superseded": [annotation_document(old) for old in before],
    }
    answer(format_json(document))
