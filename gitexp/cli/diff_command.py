"""`git exp diff`: show the differences of two runs and their effects on the metrics."""

from collections.abc import Iterator
from contextlib import suppress

import click

from gitexp.cli.output.terminal import answer, open_workspace, view_of
from gitexp.cli.params.options import json_option, precision_option
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.analysis.fingerprint import trial_command
from gitexp.core.analysis.kinship import diff_tables
from gitexp.core.analysis.verdicts import Comparison
from gitexp.core.errors import CommandFailed, Undetermined
from gitexp.core.model.run import FileState, RecordedRun, Run, Table, Value
from gitexp.core.render.machine_formats import format_json
from gitexp.core.render.text import clean, fold
from gitexp.core.render.verdict import changes_table, comparison_table
from gitexp.features.runs.judge import compare_pair
from gitexp.storage.workspace import Workspace

Change = tuple[str, Value | None, Value | None]


@click.command("diff")
@click.option("--code", is_flag=True, help="The real code diff, as `git diff` shows it.")
@click.option("--stat", is_flag=True, help="With --code: only which files changed and how much.")
@click.option("--packages", is_flag=True, help="All packages that differ, imported or not.")
@precision_option
@json_option
@click.argument("a", metavar="[A]", default="@{1}")
@click.argument("b", metavar="[B]", default="last")
def command(
    code: bool, stat: bool, packages: bool, precision: int, as_json: bool, a: str, b: str
) -> None:
    """Show what changed between two runs, causes beside effects

    Causes: parameters, code, data, environment. Effects: metrics. A [default: @{1}] is the earlier,
    B [default: last] the later run. Shows differing packages only if the code imports them.

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
    effects = compare_pair(workspace, after.measured, before.measured)
    if as_json:
        answer(
            format_json(
                {
                    "schema": 2,
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
    hidden = 0 if packages else _fold_packages(workspace, before.run, after.run, causes)
    _print(workspace, before, after, causes, effects, precision, hidden=hidden)


def _print(
    workspace: Workspace,
    before: RecordedRun,
    after: RecordedRun,
    causes: dict[str, list[Change]],
    effects: Comparison,
    precision: int,
    *,
    hidden: int,
) -> None:
    view = view_of(workspace, [before.run.id, after.run.id], precision=precision)
    old, new = view.ids[before.run.id], view.ids[after.run.id]
    heading = f"causes, from {old} {clean(before.run.name)} to {new} {clean(after.run.name)}:"
    answer(fold(heading, view.width))
    for kind, found in causes.items():
        if found or (kind == "packages" and hidden):
            answer(f"\n{kind}")
            answer(changes_table(found, before=old, after=new, width=view.width) if found else "")
    if hidden:
        more = f"and {hidden:,} more" if causes["packages"] else f"{hidden:,}"
        answer(f"{more} that the code does not import: --packages lists them")
    if not any(causes.values()) and not hidden:
        answer("  none: the two are the same trial")
    answer("\neffects:")
    if effects.verdicts:
        answer(comparison_table(effects, width=view.width, precision=precision))
    else:
        answer("  neither run measured anything")


def _code_changes(workspace: Workspace, before: Run, after: Run) -> list[Change]:
    """Return the files that differ.

    Raises `CommandFailed` if a tree is missing, after a failed fetch or a forced gc.
    """
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
        {path: state.digest[:12] for path, state in before.items()},
        {path: state.digest[:12] for path, state in after.items()},
    )


def _command(run: Run) -> Table:
    if run.command is None:
        return {}
    argv = trial_command(run.command.template or run.command.argv, run.params)
    return {"argv": " ".join(argv), "directory": run.command.directory}


def _packages(workspace: Workspace, before: Run, after: Run) -> list[Change]:
    digests = [run.environment.get("packages") for run in (before, after)]
    if digests[0] == digests[1] or not all(isinstance(digest, str) for digest in digests):
        return []
    try:
        tables = [workspace.branch.load_environment(str(digest)) for digest in digests]
    except Undetermined:
        return []
    return diff_tables(*tables)


_FEW_PACKAGES = 5
"""Up to this number, all differing packages are shown, imported by the code or not."""

_MAX_SOURCES = 2000
_MAX_SOURCE_BYTES = 1 << 20
"""Limits of the search for imports: number of files, and bytes of each. The rest is skipped."""


def _fold_packages(
    workspace: Workspace, before: Run, after: Run, causes: dict[str, list[Change]]
) -> int:
    """Keep only the packages that the code imports. Return how many others differ."""
    found = causes["packages"]
    if len(found) <= _FEW_PACKAGES:
        return 0
    from gitexp.core.analysis.imported_packages import imported_packages, normal_name

    oids = dict.fromkeys(oid for run in (before, after) for oid in _sources(workspace, run))
    blobs = workspace.repo.read_blobs(list(oids)[:_MAX_SOURCES], max_bytes=_MAX_SOURCE_BYTES)
    imported = imported_packages(content for _, content in blobs if content is not None)
    shown = [change for change in found if normal_name(change[0]) in imported]
    causes["packages"] = shown
    return len(found) - len(shown)


def _sources(workspace: Workspace, run: Run) -> Iterator[str]:
    """Yield the object ids of a run's Python files; none if its code is not in this clone."""
    from gitexp.core.analysis.imported_packages import SOURCES

    with suppress(CommandFailed):
        for entry in workspace.repo.list_tree(run.code.tree):
            if entry.kind == "blob" and entry.path.endswith(SOURCES):
                yield entry.oid


def _code_diff(workspace: Workspace, before: Run, after: Run, *, stat: bool) -> str:
    from gitexp.cli.output.terminal import wants_colour

    options = ["--stat"] if stat else []
    options.append("--color=always" if wants_colour() else "--color=never")
    result = workspace.repo.git(
        *("diff", "--no-ext-diff", "--no-textconv", *options, before.code.tree, after.code.tree)
    )
    return clean_diff(result.stdout.decode(errors="replace"))


def clean_diff(text: str) -> str:
    """Escape all control characters in a diff except for git's colours."""
    import re

    parts = re.split(r"(\x1b\[[0-9;]*m)", text)
    return "".join(
        part if n % 2 else clean(part, multiline=True) for n, part in enumerate(parts)
    ).rstrip("\n")
