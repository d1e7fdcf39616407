"""Push the runs in the background, after a push of the user has succeeded.

The hook starts a process that waits until the pushing git has ended. The process then asks the
remote whether it has the pushed refs. So it pushes no runs after a dry run, or after a push that a
gate or the remote rejected.
"""

import os
from collections.abc import Sequence
from contextlib import suppress

from gitexp.adapters.git.remotes import Remote, push_remote, remote_names
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.transport import has_refs
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.core.model.ids import is_null
from gitexp.core.schema.layout import code_ref, is_review, run_ref
from gitexp.features.sync.hook_install import shim
from gitexp.features.sync.push_notes import FAILED, Note, drop, mark_told
from gitexp.features.sync.sync import push_runs
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.settings.options import Settings

UNATTENDED = {
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "PRE_COMMIT_RUNNING_LEGACY": "",
}
"""Environment of the background push: no prompts, pre-commit's variables cleared."""

_ASK_EVERY_S = 2.0


def start(repo: Repo, remote: str, url: str, lines: Sequence[str]) -> None:
    """Start a process that pushes the runs after the calling git has pushed."""
    repo.launcher.run_shell(
        shim().decode(),
        *("pre-push", remote, url),
        stdin="".join(f"{line}\n" for line in lines).encode(),
        env={"GITEXP_ONLY_SEND": "1"},
    )


def send(run_branch: RunBranch, settings: Settings, note: Note) -> None:
    """Push the runs if the remote has what the user pushed. Write a failure into the note.

    If the remote lacks a pushed ref, the push was rejected or a dry run. The process then pushes
    nothing, and git has already printed why.
    """
    try:
        if settings.hooks and settings.auto_push and note.remote in remote_names(run_branch.repo):
            os.environ.update(UNATTENDED)
            _send(run_branch, settings, note)
    except GitexpError as error:
        why = f": {error.why}" if error.why else ""
        with suppress(OSError), note.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in (*error.said, f"{error.what}{why}")))
        return
    drop(note.path)


def _send(run_branch: RunBranch, settings: Settings, note: Note) -> None:
    remote = push_remote(run_branch.repo, note.remote)
    tips = _tips(run_branch.repo, settings.branch)
    if not tips:
        return
    pushed = _pushed_refs(note, settings.branch)
    if pushed and all(map(is_review, pushed)):
        return  # a review server stores them under other refs, so arrival is unknown
    pushed = {ref: oid for ref, oid in pushed.items() if not is_review(ref)}
    known = remote.known(run_branch.repo, list(tips))
    # After a remote was deleted or emptied, the user's push creates its branches anew.
    is_new = any(is_null(line.split()[3]) for line in note.lines if len(line.split()) == 4)
    if known == tips and not is_new:
        return
    if pushed:
        found = _await_refs(run_branch.repo, remote, {**pushed, **tips}, note, settings)
        if not found.issuperset(pushed) or (known == tips and found.issuperset(tips)):
            return
    push_runs(run_branch, note.remote, settings)
    mark_told(run_branch.repo, note.url)
    (run_branch.repo.state_dir / FAILED).unlink(missing_ok=True)


def _await_refs(
    repo: Repo, remote: Remote, refs: dict[str, str], note: Note, settings: Settings
) -> set[str]:
    """Ask the remote for its refs: once, or until the timeout if the pushing git is unknown."""
    deadline = clock.monotonic_s() + settings.push_timeout
    while True:
        left_s = max(deadline - clock.monotonic_s(), 1.0)
        found = has_refs(repo, remote, refs, timeout_s=left_s)
        wanted = refs.keys() - _tips(repo, settings.branch).keys()
        if note.waits_for or wanted <= found or clock.monotonic_s() > deadline:
            return found
        clock.sleep(_ASK_EVERY_S)


def _tips(repo: Repo, branch: str) -> dict[str, str]:
    """Return the tips of gitexp's branches; empty without a run branch."""
    ours = run_ref(branch), code_ref(branch)
    found = repo.read_refs(*ours)
    return {ref: found[ref] for ref in ours if ref in found} if ours[0] in found else {}


def _pushed_refs(note: Note, branch: str) -> dict[str, str]:
    """Return the object ids that must have arrived, by the remote's ref. Deletions are left out."""
    parts = (line.split() for line in note.lines)
    pushed = {words[2]: words[1] for words in parts if len(words) == 4 and not is_null(words[1])}
    return {
        ref: oid for ref, oid in pushed.items() if ref not in (run_ref(branch), code_ref(branch))
    }
