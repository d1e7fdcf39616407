"""`git exp diff`: causes beside effects."""

import click

from gitexp.cli.options import json_option, precision_option
from gitexp.cli.selection import find_entry
from gitexp.cli.terminal import answer, open_workspace, view_of
from gitexp.comparison import Comparison, compare_runs, diff_tables
from gitexp.errors import CouldNotTell
from gitexp.fingerprint import command_template
from gitexp.judgement import repeats_of
from gitexp.model import Entry, FileState, Run, Table, Value
from gitexp.render.machine import format_json
from gitexp.render.text import clean
from gitexp.render.verdict import changes_table, comparison_table
from gitexp.workspace import Workspace

Change = tuple[str, Value | None, Value | None]


@click.command("diff")
@click.option("--code", is_flag=True, help="The real code diff, as `git diff` shows it.")
@click.option("--stat", is_flag=True, help="With --code: only which files changed and how much.")
@precision_option
@json_option
@click.argument("a", metavar="[A]", default="@{1}")
@click.argument("b", metavar="[B]", default="last")
def command(code: bool, stat: bool, precision: int, as_json: bool, a: str, b: str) -> None:
    """Show what changed between two runs, causes beside effects

    Causes: parameters, code, data, environment. Effects: metrics. A [default: @{1}] is the
    earlier, B [default: last] the later run.

    \b
    git exp diff best last
    git exp diff @{1} last --code
    """
    workspace = open_workspace()
    before, after = find_entry(workspace, a), find_entry(workspace, b)
    if code or stat:
        answer(_code_diff(workspace, before.run, after.run, stat=stat))
        return
    causes = {
        "params": diff_tables(before.run.parameters, after.run.parameters),
        "code": _code_changes(workspace, before.run, after.run),
        "data": _file_changes(before.run.inputs, after.run.inputs),
        "command": diff_tables(_command(before.run), _command(after.run)),
        "environment": diff_tables(before.run.environment, after.run.environment),
        "packages": _packages(workspace, before.run, after.run),
    }
    effects = _effects(workspace, before, after)
    if as_json:
        answer(
            format_json(
                {
                    "schema": 1,
                    "before": before.run.id,
                    "after": after.run.id,
                    "causes": {
                        kind: [{"name": n, "before": x, "after": y} for n, x, y in found]
                        for kind, found in causes.items()
                    },
                    "effects": effects.verdicts,
                }
            )
        )
        return
    _print(workspace, before, after, causes, effects, precision)


def _print(
    workspace: Workspace,
    before: Entry,
    after: Entry,
    causes: dict[str, list[Change]],
    effects: Comparison,
    precision: int,
) -> None:
    view = view_of(workspace, [before.run.id, after.run.id], precision=precision)
    old, new = view.ids[before.run.id], view.ids[after.run.id]
    answer(f"causes, from {old} {clean(before.run.name)} to {new} {clean(after.run.name)}:")
    for kind, found in causes.items():
        if found:
            answer(f"\n{kind}")
            answer(changes_table(found, before=old, after=new, width=view.width))
    if not any(causes.values()):
        answer("  none: the two are the same trial")
    answer("\neffects:")
    if effects.verdicts:
        answer(comparison_table(effects, width=view.width, precision=precision))
    else:
        answer("  neither run measured anything")


def _effects(workspace: Workspace, before: Entry, after: Entry) -> Comparison:
    repeats = [
        entry.run for run in (before.run, after.run) for entry in repeats_of(workspace.index, run)
    ]
    declared = workspace.settings.directions
    verdicts = compare_runs(after.run, before.run, declared=declared, repeats=repeats)
    return Comparison(run=after.run.id, against="run", verdicts=tuple(verdicts))


def _code_changes(workspace: Workspace, before: Run, after: Run) -> list[Change]:
    """Which files differ; a tree that is not here (fetch failed, gc by force) is said to be so."""
    if before.code.tree == after.code.tree:
        return []
    found: list[Change] = []
    words = {"A": (None, "added"), "D": ("deleted", None)}
    for change in workspace.repo.diff_trees(before.code.tree, after.code.tree):
        old, new = words.get(change.status, (change.old_oid[:7], change.new_oid[:7]))
        found.append((change.path, old, new))
    return found


def _file_changes(before: dict[str, FileState], after: dict[str, FileState]) -> list[Change]:
    return diff_tables(
        {path: state.sha256[:12] for path, state in before.items()},
        {path: state.sha256[:12] for path, state in after.items()},
    )


def _command(run: Run) -> Table:
    if run.command is None:
        return {}
    argv = command_template(run.command.template or run.command.argv, run.params)
    return {"argv": " ".join(argv), "directory": run.command.directory}


def _packages(workspace: Workspace, before: Run, after: Run) -> list[Change]:
    digests = [run.environment.get("packages") for run in (before, after)]
    if digests[0] == digests[1] or not all(isinstance(digest, str) for digest in digests):
        return []
    try:
        tables = [workspace.store.load_environment(str(digest)) for digest in digests]
    except CouldNotTell:
        return []
    return diff_tables(*tables)


def _code_diff(workspace: Workspace, before: Run, after: Run, *, stat: bool) -> str:
    from gitexp.cli.terminal import wants_colour  # noqa: PLC0415 - only here

    options = ["--stat"] if stat else []
    options.append("--color=always" if wants_colour() else "--color=never")
    asked = workspace.repo.git(
        *("diff", "--no-ext-diff", "--no-textconv", *options, before.code.tree, after.code.tree)
    )
    return clean_diff(asked.stdout.decode(errors="replace"))


def clean_diff(text: str) -> str:
    """A diff with everything but git's own colours made harmless."""
    import re  # noqa: PLC0415 - only here

    parts = re.split(r"(\x1b\[[0-9;]*m)", text)
    return "".join(
        part if n % 2 else clean(part, multiline=True) for n, part in enumerate(parts)
    ).rstrip("\n")
