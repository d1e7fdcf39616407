"""Replace the branches of a remote by ours, after merging the remote's into ours.

Only explicit commands call this.
"""

from collections.abc import Collection

from gitexp.adapters.git.remotes import push_remote
from gitexp.adapters.git.replace_branch import push_with_lease
from gitexp.core.errors import GitexpError
from gitexp.core.schema.layout import remote_ref
from gitexp.features.sync.sync import fetch_from
from gitexp.storage.branch.branch import Store
from gitexp.storage.settings.options import Settings


def replace_remote(
    store: Store, remote: str | None, settings: Settings, refs: Collection[str], reason: str
) -> tuple[str, bool]:
    """Push our branches; force those in `refs`, even if the remote's has commits that ours lacks.

    Returns the remote's name and whether gitexp pushed. Raises `GitexpError` when the remote
    rejects the push or another push won.
    """
    where = push_remote(store.repo, remote or settings.remote)
    fetch_from(store, where, settings)
    runs, keep = store.tip(), store.repo.read_ref(store.code_ref)
    seen = where.known(store.repo, (store.run_ref, store.code_ref))
    if runs is None or keep is None:
        raise GitexpError("there is nothing to push yet", hints=["the first run makes the branch"])
    tips = {store.run_ref: runs, store.code_ref: keep}
    if not settings.push_code and store.code_ref not in seen:
        del tips[store.code_ref]
    if seen == tips:
        return where.name, False
    replaced = {
        ref: seen[ref]
        for ref in refs
        if ref in seen and ref in tips and not store.repo.is_ancestor(seen[ref], tips[ref])
    }
    push_with_lease(
        store.repo, where.name, tips, replaced=replaced, timeout_s=settings.push_timeout
    )
    for ref, tip in tips.items():
        old = seen.get(ref, store.repo.null)
        if tip != old:
            store.repo.update_ref(remote_ref(where.key, ref), tip, old, reason)
    return where.name, True
