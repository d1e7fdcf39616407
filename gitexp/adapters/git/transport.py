"""Fetch and push of gitexp's branches, with a time limit.

Uses configured remotes only, never a URL from a record. Overrides every setting of the user that
would make git do more (tags, pruning, submodules, mirroring).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gitexp.adapters.git.process import FSYNC, GitResult
from gitexp.adapters.git.remotes import GUARD, Remote
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import TreeDiff, diff_trees_bounded
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, GitexpError, Refused
from gitexp.core.model.ids import ObjectId

_FETCH_CONFIG = (
    "fetch.fsckObjects=true",
    # Errors of old git versions, in the history of many honest repositories.
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    # A small pack may hold huge files: git need not load them into memory.
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
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "failed to update ref",
    "failed to lock",
    "incorrect old value",
    "reference already exists",
    "transaction failed",
)
"""git's words for a non-fast-forward push. Rejections by server rules are not in it."""
_IN_THE_WAY = "exists; cannot create"
"""The remote has a branch `gitexp/…`: a retry cannot succeed."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """State of the requested refs at a remote."""

    tips: Mapping[str, ObjectId]
    """By the remote's full ref name, without the refs that it lacks."""
    is_empty: bool = False
    """True when the remote has no branch: the first one pushed becomes its default."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """Result of a push."""

    accepted: bool
    stale: bool
    """Rejected because the remote has commits that we lack: fetch, merge, retry."""
    reason: str = ""
    said: tuple[str, ...] = ()
    """The server's messages for the user, line by line, each with the prefix `remote: `."""


def fetch(
    repo: Repo,
    remote: Remote,
    refs: Sequence[tuple[str, str]],
    *,
    timeout_s: float,
    max_bytes: int,
    partial: Collection[str] = (),
    certain: bool = False,
) -> Fetched:
    """Fetch refs of a remote, each (theirs, ours). Overwrite ours; keep ours if theirs is absent.

    Git checks the objects on receipt and flushes them. The user's refs stay untouched: no tags, no
    submodules, no `FETCH_HEAD`, no remote-tracking refs. Refs that are up to date are not fetched
    again. In a partial clone the filter applies only to the refs in `partial`, by their names.
    `certain` skips the listing of refs: the remote must then have all of them.

    Raises `GitexpError` when the remote is not reachable in time, sends bad objects or a file over
    `max_bytes` (git receives many objects as one file, a pack), or lacks a certain ref.
    """
    deadline = clock.monotonic_s() + timeout_s
    listed = None if certain else _list_refs(repo, remote, [t for t, _ in refs], deadline)
    wanted = list(refs)
    if listed is not None:
        current = repo.read_refs(*(ours for _, ours in refs))
        wanted = [(t, o) for t, o in refs if t in listed and listed[t] != current.get(o)]
    if repo.config().get(f"remote.{remote.name}.promisor") is None:
        partial = ()
    for filtered in (False, True):
        specs = [f"+{t}:{o}" for t, o in wanted if (t in partial) is filtered]
        if specs:
            _fetch_refs(repo, remote, specs, deadline, max_bytes=max_bytes, filtered=filtered)
    if wanted:
        _check_commits(repo, remote, wanted)
    current = repo.read_refs(*(ours for _, ours in refs))
    tips = {t: current[o] for t, o in refs if o in current and (listed is None or t in listed)}
    return Fetched(tips, listed == {} and not _has_branch(repo, remote, deadline))


def _list_refs(
    repo: Repo, remote: Remote, names: Sequence[str], deadline: float
) -> dict[str, ObjectId]:
    result = _speak(
        repo, remote, deadline, "ls-remote", "--quiet", "--", remote.name, "HEAD", *names
    )
    pairs = (line.split("\t", 1) for line in result.text.splitlines())
    return {name: ObjectId(oid) for oid, name in pairs}


def _has_branch(repo: Repo, remote: Remote, deadline: float) -> bool:
    result = _speak(repo, remote, deadline, "ls-remote", "--quiet", "--heads", "--", remote.name)
    return bool(result.text.strip())


def _fetch_refs(
    repo: Repo,
    remote: Remote,
    specs: Sequence[str],
    deadline: float,
    *,
    max_bytes: int,
    filtered: bool,
) -> None:
    config = [word for setting in _FETCH_CONFIG for word in ("-c", setting)]
    options = [*_FETCH_OPTIONS, *([] if filtered else ["--no-filter"])]
    argv = (*FSYNC, *config, "fetch", *options, "--", remote.name, *specs)
    while True:
        try:
            _speak(repo, remote, deadline, *argv, max_file_bytes=max_bytes)
        except Conflict:  # another gitexp process fetches the same refs
            if clock.monotonic_s() > deadline:
                raise
            clock.sleep(clock.jitter(0.2))
        else:
            return


def push(
    repo: Repo,
    remote: Remote,
    refs: Mapping[str, str],
    *,
    leases: Mapping[str, str],
    hooks: bool = True,
    atomic: bool = False,
    timeout_s: float,
) -> Pushed:
    """Push commits to full ref names of a remote; atomically if it can.

    `leases` is the expected tip of each ref, an empty text for an absent ref: git then moves the
    ref to the commit, even if that does not extend the tip. The push is stale when a tip differs.
    Without `hooks` the user's pre-push hooks do not run. With `atomic` a remote that cannot push
    atomically is an error. Raises `GitexpError` when the remote is not reachable or the time runs
    out.
    """
    deadline = clock.monotonic_s() + timeout_s
    specs = [f"{oid}:{ref}" for ref, oid in refs.items()]
    options = [f"--force-with-lease={ref}:{oid}" for ref, oid in leases.items()]
    options += [] if hooks else ["--no-verify"]
    for all_or_none in (["--atomic"],) if atomic else (["--atomic"], []):
        done = repo.launcher.porcelain(
            *(*_unmirrored(remote), "push", *_PUSH_OPTIONS, *options, *all_or_none),
            *("--", remote.name, *specs),
            env={GUARD: "1"},
            timeout_s=max(deadline - clock.monotonic_s(), 0.1),
            check=False,
        )
        if not (all_or_none and _NO_ATOMIC in done.stderr):
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
    return Pushed(False, stale, _why(done, telling[0]), _said_by_remote(done))


def has_refs(repo: Repo, remote: Remote, refs: Mapping[str, str], *, timeout_s: float) -> set[str]:
    """Return the refs that a remote already has at these objects. Sends nothing.

    Asks by a dry-run push, because a push may have other URLs than a fetch. Raises `GitexpError`
    when the remote is not reachable or the time runs out.
    """
    done = repo.launcher.porcelain(
        *(*_unmirrored(remote), "push", *_PUSH_OPTIONS, "--dry-run", "--no-verify"),
        *("--", remote.name, *(f"{oid}:{ref}" for ref, oid in refs.items())),
        env={GUARD: "1"},
        timeout_s=timeout_s,
        check=False,
    )
    parts = [line.split("\t") for line in done.text.splitlines() if "\t" in line]
    if done.status < 0 or (done.status != 0 and not parts):
        raise _failure(remote, "ask", done, timeout_s)
    # A remote with several URLs gives a line for each.
    other = {words[1].rpartition(":")[2] for words in parts if words[0] != "="}
    return {ref for ref in refs if ref not in other} if parts else set()


def _unmirrored(remote: Remote) -> tuple[str, ...]:
    return ("-c", f"remote.{remote.name}.mirror=false")


def _why(done: GitResult, reason: str) -> str:
    """Return the server's own message if there is one, else git's."""
    said = [line.removeprefix("remote: ") for line in done.stderr.splitlines()]
    said = [line.strip() for line in said if line.startswith(("error: ", "fatal: "))]
    return f"{reason}: {said[0]}" if said and "failed to push" not in said[0] else reason


def _said_by_remote(done: GitResult) -> tuple[str, ...]:
    """Return the server's lines for the user, as git shows them."""
    lines = [line.rstrip() for line in done.stderr.splitlines()]
    return tuple(line for line in lines if line.startswith("remote: ") and line != "remote: ")


def _speak(
    repo: Repo, remote: Remote, deadline: float, *argv: str, max_file_bytes: int | None = None
) -> GitResult:
    timeout_s = max(deadline - clock.monotonic_s(), 0.1)
    done = repo.launcher.porcelain(
        *remote.options, *argv, timeout_s=timeout_s, max_file_bytes=max_file_bytes, check=False
    )
    if done.status == 0:
        return done
    if max_file_bytes is not None and "File too large" in done.stderr:
        _remove_cut_off(repo, max_file_bytes)
        raise _too_large(
            remote.name, f"it sends more than {max_file_bytes:,} bytes", "maxFetchSize"
        )
    if any(word in done.stderr for word in ("cannot lock ref", "unable to update local ref")):
        raise Conflict(f"cannot fetch from '{remote.name}'", why="another process is fetching too")
    raise _failure(remote, "fetch from", done, timeout_s)


def _check_commits(repo: Repo, remote: Remote, refs: Sequence[tuple[str, str]]) -> None:
    """Delete fetched refs that point to no commit, because later steps would fail on them."""
    current = repo.read_refs(*(ours for _, ours in refs))
    result = repo.git(
        *("cat-file", "--batch-check=%(objecttype)"), stdin="\n".join(current.values()).encode()
    )
    kinds = dict(zip(current, result.text.splitlines(), strict=True))
    for theirs, ours in refs:
        if kinds.get(ours, "commit") != "commit":
            repo.update_ref(ours, repo.null, current[ours], "gitexp: not a commit")
            raise Refused(
                f"branch '{theirs.removeprefix('refs/heads/')}' of '{remote.name}' is not gitexp's",
                why=f"it holds a {kinds[ours]}, no commit",
                hints=["ask an owner of the remote to delete it; your records are safe"],
            )


def _remove_cut_off(repo: Repo, max_bytes: int) -> None:
    """Delete the files that the limit cut off, found by their size; git leaves them to a gc."""
    for part in (repo.common_dir / "objects").glob("*/tmp_*"):
        with suppress(OSError):
            if max_bytes - 512 < part.stat().st_size <= max_bytes:
                part.unlink()


def compare_bounded(
    repo: Repo, remote: str, old: str | None, new: str, *, max_files: int
) -> list[TreeDiff]:
    """Compare a remote's commit with ours. Raises `Refused` when it has too many new files."""
    folders = diff_trees_bounded(repo, old, new, at_most=max_files)
    if folders is None:
        raise _too_large(remote, f"it brings more than {max_files:,} files", "maxFetchFiles")
    return folders


def _too_large(remote: str, why: str, setting: str) -> Refused:
    return Refused(
        f"the runs of '{remote}' are not fetched",
        why=why,
        hints=[
            f"if you trust it: `git config exp.{setting} SIZE` allows more",
            "the runs recorded here are unchanged",
        ],
    )


_HINTS = (
    (("fsck", "error in object"), "the remote sent a damaged object; `git help fsck` explains it"),
    (
        ("could not read Username", "could not read Password", "terminal prompts disabled"),
        "git could not ask for the password; `git push` asks and `git help credentials` explains",
    ),
    (
        ("Authentication failed", "Permission denied", "HTTP 401", "error: 401", "error: 403"),
        "you have no access, or your key or token is not accepted: see that `git push` works",
    ),
    (("Host key verification failed",), "connect once by hand, so that ssh knows the host"),
    (
        ("Could not resolve host", "unable to connect", "Connection refused", "Connection timed"),
        "the network or the host is down; nothing is lost, `git exp sync` tries again",
    ),
    (
        ("does not appear to be a git repository", "Repository not found", "not found"),
        "`git remote -v` shows the URLs; `git remote set-url NAME URL` sets one right",
    ),
)
"""Hints by words of git's or the server's messages."""


def _failure(remote: Remote, what: str, done: GitResult, timeout_s: float) -> GitexpError:
    if done.status < 0:
        return GitexpError(
            f"cannot {what} '{remote.name}'",
            why=f"it took longer than {timeout_s:.3g} s and was stopped",
            hints=["`git config exp.pushTimeout 300` allows 300 s", "`git exp sync` tries again"],
        )
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal: ", "error: ", "ERROR: "))]
    why = (telling or lines or [f"git ended with status {done.status}"])[0]
    fitting = [hint for words, hint in _HINTS if any(word in done.stderr for word in words)]
    hints = fitting[:1] or [f"`git ls-remote {remote.name}` shows whether git can reach it"]
    return GitexpError(
        f"cannot {what} '{remote.name}'", why=why, hints=hints, said=_said_by_remote(done)
    )
