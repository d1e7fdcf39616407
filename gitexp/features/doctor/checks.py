"""Run every check, and word the result of those without findings.

The checks change nothing; `fixes` applies the fixes of their findings.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from gitexp.adapters.git.verify import is_partial
from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Outcome
from gitexp.core.render.text import counted
from gitexp.features.doctor import branch_checks, code_checks, local_checks
from gitexp.features.doctor.findings import Diagnosis, Finding, Level
from gitexp.features.doctor.history_checks import check_history
from gitexp.features.doctor.inventory import Inventory, take_inventory
from gitexp.features.sync import hook_install
from gitexp.storage.workspace import Workspace

Look: TypeAlias = Callable[[Inventory], Iterator[Finding]]


class Check(NamedTuple):
    """One check of the doctor."""

    name: str
    look: Look
    well: Callable[[Inventory], str]
    """Text of the finding when the check finds no fault."""
    of_content: bool = False
    """True when the check needs a readable run branch that is gitexp's."""


def run_checks(workspace: Workspace) -> Diagnosis:
    """Run every check. A check that fails becomes a finding, never an exception."""
    inventory = take_inventory(workspace)
    findings: list[Finding] = []
    for check in CHECKS:
        if check.of_content and not inventory.is_ours:
            continue
        try:
            found = list(check.look(inventory))
        except (GitexpError, OSError) as error:
            found = [_unchecked(error)]
        found = found or [Finding(level=Level.OK, text=check.well(inventory))]
        findings += [replace(finding, check=check.name) for finding in found]
    return Diagnosis(tuple(findings))


def _unchecked(error: GitexpError | OSError) -> Finding:
    why = str(error)
    hints: tuple[str, ...] = ()
    if isinstance(error, GitexpError):
        why = f"{error.what}: {error.why}" if error.why else error.what
        hints = error.hints
    text = f"this could not be checked: {why}"
    return Finding(level=Level.UNKNOWN, text=text, hints=hints)


def _git(inventory: Inventory) -> str:
    return inventory.workspace.repo.git("--version").text.strip()


def _branch(inventory: Inventory) -> str:
    branch = inventory.workspace.branch.name
    if inventory.tip is None:
        return f"there is no branch '{branch}' yet; the first run makes it"
    return f"'{branch}' is gitexp's"


def _journals(inventory: Inventory) -> str:
    count = len(inventory.journals.runs)
    return f"{counted(count, 'run')} going on" if count else "no run is waiting"


def _code(inventory: Inventory) -> str:
    dirty = sum(facts.is_dirty for facts in inventory.runs)
    partial = "; files left at the remote are not counted" * is_partial(inventory.workspace.repo)
    return f"the code of every run is here, {counted(dirty, 'snapshot')} among it{partial}"


def _records(inventory: Inventory) -> str:
    running = sum(facts.outcome is Outcome.RUNNING for facts in inventory.runs)
    open_ones = f", {running:,} of them running" if running else ""
    return f"{counted(inventory.runs, 'run')}{open_ones}, each where it belongs"


def _hooks(inventory: Inventory) -> str:
    status = hook_install.status(inventory.workspace.repo)
    return "the pre-push hook is installed" if status.installed else "not installed"


def _said(text: str) -> Callable[[Inventory], str]:
    return lambda _inventory: text


CHECKS: tuple[Check, ...] = (
    Check("git", branch_checks.check_git, _git),
    Check("settings", local_checks.check_settings, _said("every setting is known")),
    Check("branch", branch_checks.check_branch, _branch),
    Check("objects", branch_checks.check_objects, _said("everything can be read"), True),
    Check("records", branch_checks.check_records, _records, True),
    Check("identities", branch_checks.check_identities, _said("no run has two records"), True),
    Check(
        "annotations", branch_checks.check_annotations, _said("all belong to runs"), of_content=True
    ),
    Check("series", branch_checks.check_series, _said("all are valid"), True),
    Check("tombstones", branch_checks.check_tombstones, _said("no deleted run has files"), True),
    Check("environments", branch_checks.check_environments, _said("all exist"), True),
    Check("history", check_history, _said("no commit removed records"), True),
    Check("conflicts", branch_checks.check_conflicts, _said("no run was sealed twice"), True),
    Check("foreign files", branch_checks.check_foreign_files, _said("none"), True),
    Check("clock", branch_checks.check_clock, _said("no run is from the future"), True),
    Check("code", code_checks.check_code, _code, True),
    Check("keep", code_checks.check_keep, _said("git keeps the code of every run"), True),
    Check("purged", code_checks.check_purged, _said("no purged data is back"), True),
    Check("index", local_checks.check_index, _said("it agrees with the branch"), True),
    Check("journals", local_checks.check_journals, _journals),
    Check("locks", local_checks.check_locks, _said("no stale lock of git")),
    Check("pending", local_checks.check_pending, _said("no snapshot is pinned too long")),
    Check(
        "checkout", local_checks.check_checkout, _said("no work tree has our branches checked out")
    ),
    Check("mirror", local_checks.check_mirror, _said("no fetch overwrites the runs")),
    Check("hooks", local_checks.check_hooks, _hooks),
    Check("left-over files", local_checks.check_leftovers, _said("none")),
)
