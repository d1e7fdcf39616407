"""Remotes: fetching and pushing our two branches, with a time limit.

Floor 2. Only configured remote names are spoken to, never a URL out of a record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gitexp.errors import CommandFailed, GitexpError, NotFound
from gitexp.ids import ObjectId
from gitexp.repo.repository import Repo

GUARD = "GITEXP_IN_PUSH"
"""Set while we push, so that our own pre-push hook keeps still."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push."""

    accepted: bool
    stale: bool
    """Refused because the remote has something we have not: fetch, merge, try again."""
    reason: str = ""


def remote_names(repo: Repo) -> list[str]:
    """The configured remotes."""
    return repo.git("remote").text.split()


def check_remote(repo: Repo, name: str) -> str:
    """Accept only the name of a configured remote. Raises `NotFound`."""
    names = remote_names(repo)
    if name not in names:
        raise NotFound(
            f"there is no remote '{name}'",
            near=[n for n in names if n[:2] == name[:2]],
            hints=["`git remote -v` lists the remotes"]
            if names
            else ["add one first: `git remote add origin <url>`"],
        )
    return name


def default_remote(repo: Repo, wanted: str | None = None) -> str:
    """The remote to use: the one wanted, that of the current branch, `origin`, or the only one."""
    if wanted is not None:
        return check_remote(repo, wanted)
    names = remote_names(repo)
    branch = repo.git("symbolic-ref", "--quiet", "--short", "HEAD", check=False).text.strip()
    upstream = repo.config().get(f"branch.{branch}.remote")
    for name in (upstream, "origin", names[0] if len(names) == 1 else None):
        if name in names:
            return str(name)
    return check_remote(repo, "origin")


def fetch(
    repo: Repo, remote: str, refs: Sequence[tuple[str, str]], *, timeout_s: float
) -> dict[str, ObjectId | None]:
    """Fetch refs of a remote, each (theirs, ours); ours are overwritten. Absent ones are `None`.

    Raises `CommandFailed` when the remote cannot be reached in time. Objects are checked on
    receipt; no tags, no submodules, nothing of the user's remote-tracking refs.
    """
    listed = repo.launcher.porcelain(
        *("ls-remote", "--quiet", remote, *(theirs for theirs, _ in refs)), timeout_s=timeout_s
    )
    there = {line.split("\t")[1]: line.split("\t")[0] for line in listed.text.splitlines()}
    wanted = [(theirs, ours) for theirs, ours in refs if theirs in there]
    if wanted:
        repo.launcher.porcelain(
            *("-c", "fetch.fsckObjects=true", "-c", "fetch.writeCommitGraph=false"),
            *("-c", "maintenance.auto=false", "-c", "gc.auto=0"),
            *("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
            *("--refmap=", remote),
            *(f"+{theirs}:{ours}" for theirs, ours in wanted),
            timeout_s=timeout_s,
        )
    return {theirs: ObjectId(there[theirs]) if theirs in there else None for theirs, _ in refs}


def push(repo: Repo, remote: str, refs: Sequence[str], *, timeout_s: float) -> Pushed:
    """Push refs to the same names on a remote, never by force, all or none.

    Raises `GitexpError` when the time runs out.
    """
    done = repo.launcher.porcelain(
        *("push", "--porcelain", remote, *(f"{ref}:{ref}" for ref in refs)),
        env={GUARD: "1", "GIT_TERMINAL_PROMPT": "0"},
        timeout_s=timeout_s,
        check=False,
    )
    if done.status == 0:
        return Pushed(accepted=True, stale=False)
    if done.status < 0:
        raise GitexpError(
            f"the push to '{remote}' took longer than {timeout_s:g} s and was stopped",
            hints=["`git config exp.pushTimeout 60` allows more", "`git exp sync` tries again"],
        )
    refused = [line for line in done.text.splitlines() if line.startswith("!")]
    stale = any(
        word in line
        for line in [*refused, done.stderr]
        for word in ("fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref")
    )
    lines = refused or [line for line in done.stderr.splitlines() if line.strip()]
    if not refused and not stale:
        raise CommandFailed(("push", remote), done.status, done.stderr)
    return Pushed(accepted=False, stale=stale, reason=lines[0] if lines else "")
