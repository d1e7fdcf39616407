"""Checks of this clone only: run index, journals, locks, pins, work trees, leftovers, hooks."""

from collections.abc import Iterator
from datetime import timedelta

from gitexp.adapters.git.remotes import remote_names
from gitexp.adapters.system import clock
from gitexp.core.model.run import Outcome
from gitexp.core.render.text import counted
from gitexp.features.doctor.cleanup import (
    find_abandoned_pins,
    find_leftovers,
    find_old_locks,
    list_worktrees,
)
from gitexp.features.doctor.findings import Finding, Fix, Level, listed
from gitexp.features.doctor.inventory import Inventory
from gitexp.features.recording.made_here import is_recorded_here
from gitexp.features.sync import hook_install

_LONG_OPEN = timedelta(days=30)


def check_index(inventory: Inventory) -> Iterator[Finding]:
    """Report a run index that differs from a newly built one."""
    if inventory.index_fault is not None:
        yield Finding(
            level=Level.FAULT,
            text=f"the run index differs from the branch: {inventory.index_fault}",
            hints=("`git exp gc --rebuild-index` rebuilds it",),
            fix=Fix.REBUILD_INDEX,
        )
    elif inventory.index_unknown is not None:
        yield Finding(
            level=Level.UNKNOWN,
            text=f"the run index could not be checked: {inventory.index_unknown}",
            hints=("fix the branch first",),
        )


def check_journals(inventory: Inventory) -> Iterator[Finding]:
    """Report finished runs that are still in a journal, and open runs without a journal."""
    journals = inventory.journals
    over = [open_run for open_run in journals.runs if open_run.is_over]
    if over:
        yield Finding(
            level=Level.FAULT,
            text=f"{counted(over, 'run')} ended without reaching the branch:"
            f" {listed(f'{o.run.id[:7]} {o.run.name}' for o in over)}",
            hints=("`git exp recover` completes their records, and so does the next run",),
            runs=tuple(o.run.id for o in over),
            fix=Fix.COMPLETE_RUNS,
        )
    if journals.unreadable:
        yield Finding(
            level=Level.FAULT,
            text=f"{counted(journals.unreadable, 'journal')} cannot be read:"
            f" {listed(map(str, journals.unreadable))}",
            hints=("`git exp recover` moves them aside; nothing of them is deleted",),
            items=tuple(map(str, journals.unreadable)),
            fix=Fix.COMPLETE_RUNS,
        )
    if journals.set_aside:
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(journals.set_aside, 'damaged journal')} were moved aside:"
            f" {listed(map(str, journals.set_aside))}",
            hints=("look whether their runs matter, then delete them",),
            items=tuple(map(str, journals.set_aside)),
        )
    limit = clock.now() - _LONG_OPEN
    for open_run in journals.runs:
        if not open_run.is_over and open_run.run.started < limit:
            yield Finding(
                level=Level.WARNING,
                text=f"run {open_run.run.id[:7]} {open_run.run.name} is open since"
                f" {open_run.run.started:%Y-%m-%d} ({open_run.state})",
                hints=(
                    f"`git exp finish {open_run.run.id[:7]}` ends it",
                    f"`git exp recover {open_run.run.id[:7]} --force` gives it up",
                ),
                runs=(open_run.run.id,),
            )
    yield from _without_journal(inventory)


def _without_journal(inventory: Inventory) -> Iterator[Finding]:
    known = inventory.journals.ids()
    open_runs = [f for f in inventory.runs if f.outcome is Outcome.RUNNING and f.id not in known]
    for facts in open_runs:
        if is_recorded_here(inventory.workspace, facts.id):
            yield Finding(
                level=Level.FAULT,
                text=f"run {facts.title} is running, says the branch, but its journal is gone",
                hints=(f"`git exp recover {facts.id[:7]} --force` seals it as interrupted",),
                runs=(facts.id,),
            )


def check_locks(inventory: Inventory) -> Iterator[Finding]:
    """Report stale git locks that block recording."""
    for path, age_s in find_old_locks(inventory.workspace):
        yield Finding(
            level=Level.FAULT,
            text=f"git's lock '{path}' is {age_s:,.0f} s",
            hints=(
                "`git exp doctor --fix` moves it aside if no process can be holding it",
                f"if no git is at work here: `rm '{path}'`",
            ),
            items=(str(path),),
            fix=Fix.CLEAR_LOCKS,
        )


def check_pending(inventory: Inventory) -> Iterator[Finding]:
    """Report pinned snapshots whose run is sealed or unknown."""
    journals = inventory.journals.ids()
    done, strange = [], []
    for ref in inventory.pending:
        run = ref.rpartition("/")[2]
        facts = inventory.fact(run)
        if run in journals:
            continue
        if facts is None:
            strange.append(ref)
        elif facts.outcome is not Outcome.RUNNING:
            done.append((facts, ref))
    if done:
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(done, 'snapshot')} of sealed runs are still pinned:"
            f" {listed(facts.title for facts, _ in done)}",
            hints=("`git exp gc` releases them",),
            runs=tuple(facts.id for facts, _ in done),
            items=tuple(ref for _, ref in done),
            fix=Fix.DROP_PENDING,
        )
    readable = inventory.tip is None or inventory.is_ours
    if strange and readable and inventory.index_unknown is None:
        abandoned = find_abandoned_pins(inventory.workspace)
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(strange, 'snapshot')} are pinned for unknown runs: {listed(strange)}",
            hints=(
                f"`git show --stat {strange[0]}` shows one",
                "`git exp gc` releases those older than an hour",
            ),
            items=tuple(abandoned or strange),
            fix=Fix.DROP_PENDING if abandoned else None,
        )


def check_checkout(inventory: Inventory) -> Iterator[Finding]:
    """Report work trees that have the run or keep branch checked out."""
    branch = inventory.workspace.branch
    for worktree in list_worktrees(inventory.workspace.repo):
        if worktree.branch in (branch.run_ref, branch.code_ref):
            name = worktree.branch.removeprefix("refs/heads/")
            yield Finding(
                level=Level.WARNING,
                text=f"branch '{name}' is checked out in '{worktree.path}':"
                " an ordinary `git commit` there takes away what was recorded since, and the next"
                " record restores it",
                hints=(f"`git -C '{worktree.path}' switch -` goes back",),
                items=(str(worktree.path),),
            )


def check_leftovers(inventory: Inventory) -> Iterator[Finding]:
    """Report leftovers of past processes."""
    left = find_leftovers(inventory.workspace)
    if left.paths or left.worktrees:
        names = [str(path) for path in (*left.worktrees, *left.paths)]
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(names, 'file')} or folders of ended processes are left over:"
            f" {listed(names)}",
            hints=("`git exp gc` removes them",),
            items=tuple(names),
            fix=Fix.DELETE_LEFTOVERS,
        )


def check_settings(inventory: Inventory) -> Iterator[Finding]:
    """Report unknown settings."""
    for warning in inventory.workspace.settings.warnings:
        yield Finding(
            level=Level.WARNING,
            text=warning,
            hints=("`git exp config` lists the settings",),
        )


def check_mirror(inventory: Inventory) -> Iterator[Finding]:
    """Report fetch refspecs that overwrite gitexp's branches, as in a mirror clone."""
    branch, config = inventory.workspace.branch, inventory.workspace.repo.config()
    for name in remote_names(inventory.workspace.repo):
        specs = config.get_all(f"remote.{name}.fetch")
        open_refs = [
            ref
            for ref in (branch.run_ref, branch.code_ref)
            if any(_writes(spec, ref) for spec in specs) and f"^{ref}" not in specs
        ]
        if open_refs:
            yield Finding(
                level=Level.WARNING,
                text=f"`git fetch {name}` overwrites the runs here with those of the remote,"
                " because it fetches into branches, as a mirror does",
                hints=tuple(
                    f"`git config --add remote.{name}.fetch '^{ref}'` keeps it off"
                    for ref in open_refs
                ),
            )


def _writes(spec: str, ref: str) -> bool:
    """Return whether a fetch by this refspec forces the ref to the remote's commit."""
    start, star, end = spec.removeprefix("+").partition(":")[2].partition("*")
    if not spec.startswith("+"):
        return False
    return ref.startswith(start) and ref.endswith(end) if star else ref == start


def check_hooks(inventory: Inventory) -> Iterator[Finding]:
    """Report an installed hook that does not work, and push settings without an installed hook."""
    settings = inventory.workspace.settings
    status = hook_install.status(inventory.workspace.repo)
    if status.installed and not status.working:
        yield Finding(
            level=Level.WARNING,
            text=f"the hook '{status.path}' does nothing",
            hints=status.advice,
        )
    elif not status.installed and (settings.gates or settings.evaluate):
        what = "a gate" if settings.gates else "a command to run at a push"
        there = f"; {status.tool} manages the hooks here" if status.tool else ""
        yield Finding(
            level=Level.WARNING,
            text=f"the settings name {what}, but without the pre-push hook nothing checks it"
            f"{there}",
            hints=status.advice,
        )
