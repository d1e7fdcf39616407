"""Runs with purged code: what remains of the code, and the error for a checkout."""

from gitexp.core.errors import Undetermined
from gitexp.core.model.run import Code
from gitexp.core.schema.layout import purge_path
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.purges import PurgedState, decode_purges
from gitexp.storage.branch.branch import RunBranch


def purged_state(branch: RunBranch, tree: str) -> PurgedState | None:
    """Return what a purge left of a code state; `None` if it was not purged."""
    oid = branch.repo.resolve(f"{branch.run_ref}:{purge_path(tree)}")
    if oid is None:
        return None
    [(_, content)] = branch.repo.read_blobs([oid], max_bytes=MAX_RECORD_BYTES)
    return decode_purges([(tree, content)]).states.get(tree, PurgedState(None))


def refuse_purged(branch: RunBranch, code: Code, what: str) -> None:
    """Raise `Undetermined` when the code of a run was purged, even while git still has it."""
    state = purged_state(branch, code.tree)
    if state is None:
        return
    if state.became is None:
        raise Undetermined(what, why="its code was purged", hints=["its record is all there is"])
    files = ", ".join(f"'{path}'" for path in state.files[:5])
    more = f" and {len(state.files) - 5} more" if len(state.files) > 5 else ""
    left = branch.code_commit(state.became)
    raise Undetermined(
        what,
        why=f"{files}{more} was purged from its code",
        hints=[f"`git worktree add --detach DIR {left[:12]}` gives the files that are left"],
    )
