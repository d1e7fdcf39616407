"""Remotes: fetching and pushing our two branches, with a time limit.

Floor 2. Only configured remote names are spoken to, never a URL out of a record. Every setting of
the user's that would make git do more than asked (tags, pruning, submodules, mirroring) is
overruled for our own commands.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gitexp.errors import Conflict, GitexpError, NotFound, Refused
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.repo.launch import FSYNC, Completed
from gitexp.repo.repository import Repo
from gitexp.repo.trees import Folder, compare

GUARD = "GITEXP_IN_PUSH"
"""Set while we push, so that our own pre-push hook keeps still."""

_FETCH_CONFIG = (
    "fetch.fsckObjects=true",
    # Faults of old git versions, in the history of many honest repositories.
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    # A small pack may hold huge files: git need not have them in memory.
    "core.bigFileThreshold=16m",
    "fetch.writeCommitGraph=false",
    "maintenance.auto=false",
    "gc.auto=0",
)
_FETCH_OPTIONS = (
    *("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
    "--refmap=",
)
_PUSH_OPTIONS = ("--porcelain", "--no-follow-tags", "--recurse-submodules=no")
_NO_ATOMIC = "does not support --atomic"

_STALE = (
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "failed to update ref",
    "failed to lock",
    "incorrect old value",
    "reference already exists",
    "transaction failed",
)
"""How git says that somebody else moved the branch; not what a server's own rules say."""
_IN_THE_WAY = "exists; cannot create"
"""A branch `gitexp/…` is there: no try will ever succeed."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a remote has of the refs asked for."""

    tips: Mapping[str, ObjectId]
    """By the remote's full ref name; what it has not is missing."""
    has_code: bool
    """False when the remote has no other branch: the next one pushed may become its default."""


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
    repo: Repo,
    remote: str,
    refs: Sequence[tuple[str, str]],
    *,
    timeout_s: float,
    max_bytes: int,
    partial: Collection[str] = (),
    certain: bool = False,
) -> Fetched:
    """Fetch refs of a remote, each (theirs, ours); ours are overwritten, absent ones stay.

    Objects are checked on receipt and synced. Nothing of the user's is touched: no tags, no
    submodules, no `FETCH_HEAD`, no remote-tracking refs. What is here already is not asked for
    again. In a partial clone only `partial`, a part of theirs, is filtered. With `certain` the
    remote has all of them, which saves asking. Raises `GitexpError` when the remote cannot be
    reached in time, sends bad objects or a file over `max_bytes` (many objects are one file, a
    pack), or has not what was certain.
    """
    deadline = clock.monotonic_s() + timeout_s
    listed = None if certain else _list_refs(repo, remote, [t for t, _ in refs], deadline)
    wanted = list(refs)
    if listed is not None:
        here = repo.read_refs(*(ours for _, ours in refs))
        wanted = [(t, o) for t, o in refs if t in listed and listed[t] != here.get(o)]
    if repo.config().get(f"remote.{remote}.promisor") is None:
        partial = ()
    for filtered in (False, True):
        specs = [f"+{t}:{o}" for t, o in wanted if (t in partial) is filtered]
        if specs:
            _fetch_refs(repo, remote, specs, deadline, max_bytes=max_bytes, filtered=filtered)
    if wanted:
        _check_commits(repo, remote, wanted)
    here = repo.read_refs(*(ours for _, ours in refs))
    tips = {t: here[o] for t, o in refs if o in here and (listed is None or t in listed)}
    has_code = listed is None or "HEAD" in listed or _has_others(repo, remote, tips, deadline)
    return Fetched(tips, has_code)


def _list_refs(
    repo: Repo, remote: str, names: Sequence[str], deadline: float
) -> dict[str, ObjectId]:
    asked = _speak(repo, remote, deadline, "ls-remote", "--quiet", "--", remote, "HEAD", *names)
    pairs = (line.split("\t", 1) for line in asked.text.splitlines())
    return {name: ObjectId(oid) for oid, name in pairs}


def _has_others(repo: Repo, remote: str, ours: Collection[str], deadline: float) -> bool:
    asked = _speak(repo, remote, deadline, "ls-remote", "--quiet", "--heads", "--", remote)
    return any(line.split("\t")[-1] not in ours for line in asked.text.splitlines())


def _fetch_refs(
    repo: Repo,
    remote: str,
    specs: Sequence[str],
    deadline: float,
    *,
    max_bytes: int,
    filtered: bool,
) -> None:
    config = [word for setting in _FETCH_CONFIG for word in ("-c", setting)]
    options = [*_FETCH_OPTIONS, *([] if filtered else ["--no-filter"])]
    argv = (*FSYNC, *config, "fetch", *options, "--", remote, *specs)
    while True:
        try:
            _speak(repo, remote, deadline, *argv, max_file_bytes=max_bytes)
        except Conflict:  # another process of ours is fetching the same
            if clock.monotonic_s() > deadline:
                raise
            clock.sleep(clock.jitter(0.2))
        else:
            return


def push(repo: Repo, remote: str, refs: Mapping[str, str], *, timeout_s: float) -> Pushed:
    """Push commits to full ref names of a remote, never by force, all or none where it can.

    Raises `GitexpError` when the remote cannot be reached or the time runs out.
    """
    deadline = clock.monotonic_s() + timeout_s
    unmirrored = ("-c", f"remote.{remote}.mirror=false")
    specs = [f"{oid}:{ref}" for ref, oid in refs.items()]
    for atomic in (["--atomic"], []):
        done = repo.launcher.porcelain(
            *(*unmirrored, "push", *_PUSH_OPTIONS, *atomic, "--", remote, *specs),
            env={GUARD: "1"},
            timeout_s=max(deadline - clock.monotonic_s(), 0.1),
            check=False,
        )
        if not (atomic and _NO_ATOMIC in done.stderr):
            break
    if done.status == 0:
        return Pushed(accepted=True, stale=False)
    refused = [line for line in done.text.splitlines() if line.startswith("!")]
    if done.status < 0 or not refused:
        raise _failure(remote, "push to", done, timeout_s)
    reasons = [line.split("\t")[-1] for line in refused]
    telling = [reason for reason in reasons if "atomic push fail" not in reason] or reasons
    stale = all(any(word in reason for word in _STALE) for reason in telling)
    stale = stale and _IN_THE_WAY not in done.stderr
    return Pushed(accepted=False, stale=stale, reason=_why(done, telling[0]))


def _why(done: Completed, reason: str) -> str:
    """The server's own words when it has any, else git's."""
    said = [line.removeprefix("remote: ") for line in done.stderr.splitlines()]
    said = [line.strip() for line in said if line.startswith(("error: ", "fatal: "))]
    return f"{reason}: {said[0]}" if said and "failed to push" not in said[0] else reason


def _speak(
    repo: Repo, remote: str, deadline: float, *argv: str, max_file_bytes: int | None = None
) -> Completed:
    timeout_s = max(deadline - clock.monotonic_s(), 0.1)
    done = repo.launcher.porcelain(
        *argv, timeout_s=timeout_s, max_file_bytes=max_file_bytes, check=False
    )
    if done.status == 0:
        return done
    if max_file_bytes is not None and "File too large" in done.stderr:
        _remove_cut_off(repo, max_file_bytes)
        raise _too_large(remote, f"it sends more than {max_file_bytes:,} bytes", "maxFetchSize")
    if any(word in done.stderr for word in ("cannot lock ref", "unable to update local ref")):
        raise Conflict(f"cannot fetch from '{remote}'", why="another process is fetching too")
    raise _failure(remote, "fetch from", done, timeout_s)


def _check_commits(repo: Repo, remote: str, refs: Sequence[tuple[str, str]]) -> None:
    """Let go of what is fetched and no commit, or everything after would stumble over it."""
    here = repo.read_refs(*(ours for _, ours in refs))
    asked = repo.git(
        *("cat-file", "--batch-check=%(objecttype)"), stdin="\n".join(here.values()).encode()
    )
    kinds = dict(zip(here, asked.text.splitlines(), strict=True))
    for theirs, ours in refs:
        if kinds.get(ours, "commit") != "commit":
            repo.update_ref(ours, repo.null, here[ours], "gitexp: not a commit")
            raise Refused(
                f"branch '{theirs.removeprefix('refs/heads/')}' of '{remote}' is not gitexp's",
                why=f"it holds a {kinds[ours]}, no commit",
                hints=["whoever runs the remote can delete it; what is recorded here is safe"],
            )


def _remove_cut_off(repo: Repo, max_bytes: int) -> None:
    """Drop what the limit cut off, known by its size: git leaves it for a later gc."""
    for part in (repo.common_dir / "objects").glob("*/tmp_*"):
        with suppress(OSError):
            if max_bytes - 512 < part.stat().st_size <= max_bytes:
                part.unlink()


def compare_bounded(
    repo: Repo, remote: str, old: str | None, new: str, *, max_files: int
) -> list[Folder]:
    """Where a remote's commit differs from ours. Raises `Refused` when it brings too much."""
    folders = compare(repo, old, new, at_most=max_files)
    if folders is None:
        raise _too_large(remote, f"it brings more than {max_files:,} files", "maxFetchFiles")
    return folders


def _too_large(remote: str, why: str, setting: str) -> Refused:
    return Refused(
        f"the runs of '{remote}' are not taken over",
        why=why,
        hints=[
            f"if you trust it: `git config exp.{setting} SIZE` allows more",
            "what is recorded here is as it was",
        ],
    )


def _failure(remote: str, what: str, done: Completed, timeout_s: float) -> GitexpError:
    if done.status < 0:
        return GitexpError(
            f"cannot {what} '{remote}'",
            why=f"it took longer than {timeout_s:.3g} s and was stopped",
            hints=["`git config exp.pushTimeout 300` allows 300 s", "`git exp sync` tries again"],
        )
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal: ", "error: ", "ERROR: "))]
    why = (telling or lines or [f"git ended with status {done.status}"])[0]
    hints = [f"`git ls-remote {remote}` shows whether git can reach it"]
    if "fsck" in done.stderr or "error in object" in done.stderr.lower():
        hints = ["the remote sent a damaged object; `git help fsck` tells what the fault means"]
    return GitexpError(f"cannot {what} '{remote}'", why=why, hints=hints)
