"""The page on a branch of a remote that a forge shows as a web site, such as `gh-pages`.

The branch is replaced by one commit without parents, so that it does not grow and old pages are not
kept. It is replaced only while it is what was looked at, and only if gitexp made it. Nothing of the
user's repository changes: no ref is kept, no index and no work tree is used.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gitexp.adapters.git import transport
from gitexp.adapters.git.loose_objects import LooseObjects, TreeEdit
from gitexp.adapters.git.remotes import GUARD, Remote, push_remote
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, InvalidInput, Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.render.text import counted
from gitexp.storage.workspace import Workspace

BRANCH: Final = "gh-pages"
PAGE: Final = "index.html"
NO_JEKYLL: Final = ".nojekyll"
"""Tells GitHub to serve the files unchanged."""

TRAILER: Final = "Gitexp-Page: 1"
"""In the message of every commit that gitexp publishes."""

_LOOKED_AT: Final = "refs/gitexp/pages"
"""Holds what was fetched to look at; deleted at once."""

_NOBODY: Final = Identity("gitexp", "gitexp@localhost")


@dataclass(frozen=True, slots=True)
class Place:
    """A branch of a remote, as it was when it was looked at."""

    remote: Remote
    branch: str
    directory: str
    """In the branch, without slashes at its ends; empty for the top."""
    tip: ObjectId | None
    """`None` when the remote has no such branch."""
    is_ours: bool
    """True when gitexp made the tip and nothing else is on the branch."""

    @property
    def ref(self) -> str:
        """The full name of the branch."""
        return f"refs/heads/{self.branch}"


def look_at(
    workspace: Workspace, remote: str | None, *, branch: str, directory: str, force: bool
) -> Place:
    """Look at the branch of a remote before it is replaced; `force` allows one that is not ours.

    Raises `Refused` when it must not be replaced, `InvalidInput`, `NotFound`, and `GitexpError`
    when the remote cannot be reached.
    """
    if os.environ.get(GUARD):
        raise Refused("a hook publishes no page", hints=["run the command by hand"])
    repo, settings = workspace.repo, workspace.settings
    _check_branch(workspace, branch)
    directory = _checked_directory(directory)
    where = push_remote(repo, remote or settings.remote)
    ref = f"refs/heads/{branch}"
    try:
        fetched = transport.fetch(
            repo,
            where,
            [(ref, _LOOKED_AT)],
            timeout_s=settings.push_timeout,
            max_bytes=settings.max_fetch_size,
        )
        tip = fetched.tips.get(ref)
        is_ours = tip is not None and _is_page(repo, tip)
    finally:
        left = repo.read_ref(_LOOKED_AT)
        if left is not None:
            repo.update_ref(_LOOKED_AT, repo.null, left, "gitexp: looked at")
    if fetched.is_empty:
        raise Refused(
            f"the page is not published to '{where.name}'",
            why="it has no branch yet, and the first one pushed becomes the default branch",
            hints=[f"push your code first: `git push {where.name} HEAD`"],
        )
    if tip is not None and not is_ours and not force:
        raise Refused(
            f"branch '{branch}' of '{where.name}' is not a page of gitexp",
            why="it has other files or commits, which would be lost",
            hints=["`--branch NAME` publishes to another one", "`--force` replaces it for good"],
        )
    return Place(where, branch, directory, tip, is_ours)


def _check_branch(workspace: Workspace, branch: str) -> None:
    """Raise `InvalidInput` for a name that git does not take, `Refused` for a branch in use."""
    repo = workspace.repo
    if (
        branch.startswith("-")
        or repo.git("check-ref-format", f"refs/heads/{branch}", check=False).status
    ):
        raise InvalidInput(f"'{branch}' is no name for a branch")
    head = repo.git("symbolic-ref", "--quiet", "HEAD", check=False).text.strip()
    kept = workspace.branch
    if f"refs/heads/{branch}" in (kept.run_ref, kept.code_ref, head):
        raise Refused(
            f"the page cannot replace branch '{branch}'",
            why="you are on it" if head.endswith(f"/{branch}") else "it holds the runs",
            hints=[f"the usual one is '{BRANCH}': leave out `--branch`"],
        )


def _checked_directory(directory: str) -> str:
    parts = [part for part in directory.split("/") if part not in ("", ".")]
    if any(part == ".." or part.lower() == ".git" or "\0" in part for part in parts):
        raise InvalidInput(
            f"'{directory}' is no directory of a branch", hints=["write it like `docs`"]
        )
    return "/".join(parts)


def _is_page(repo: Repo, tip: ObjectId) -> bool:
    """Return whether a commit is one of `publish`, with its files only."""
    [commit] = repo.read_objects([tip])
    if commit is None or commit.kind != "commit" or commit.parents:
        return False
    message = commit.content.partition(b"\n\n")[2]
    names = [entry.path.rpartition("/")[2] for entry in repo.list_tree(tip)]
    is_marked = TRAILER.encode() in message.splitlines()
    return is_marked and names.count(PAGE) == 1 and set(names) <= {PAGE, NO_JEKYLL}


def publish(workspace: Workspace, place: Place, page: bytes, *, anonymous: bool) -> None:
    """Replace the branch by the page. Raises `Conflict` when the branch has moved.

    An anonymous page has no author. Raises `Refused` when the remote takes no such push.
    """
    settings = workspace.settings
    commit = _write(workspace, place, page, _NOBODY if anonymous else workspace.identity)
    pushed = transport.push(
        workspace.repo,
        place.remote,
        {place.ref: commit},
        leases={place.ref: place.tip or ""},
        timeout_s=settings.push_timeout,
    )
    if pushed.accepted:
        return
    if pushed.stale:
        raise Conflict(
            f"cannot replace branch '{place.branch}' of '{place.remote.name}'",
            why="another push changed it in between",
            hints=["run the same command again: it looks at the branch anew"],
        )
    raise Refused(
        f"'{place.remote.name}' does not take the page",
        why=pushed.reason,
        hints=[f"see that you may push to branch '{place.branch}' there, also by force"],
        said=pushed.said,
    )


def _write(workspace: Workspace, place: Place, page: bytes, who: Identity) -> ObjectId:
    """Write the commit, which no ref names, into the repository."""
    objects = LooseObjects(workspace.repo)
    tree = TreeEdit(objects, None)
    start = f"{place.directory}/" if place.directory else ""
    for path, content in ((f"{start}{PAGE}", page), (f"{start}{NO_JEKYLL}", b"")):
        tree.put(path, objects.add(objects.make("blob", content)))
    signature = f"{who} {int(clock.now().timestamp())} +0000"
    text = (
        f"tree {tree.save()}\nauthor {signature}\ncommitter {signature}\n\n"
        f"publish the report of the runs\n\n{TRAILER}\n"
    )
    commit = objects.add(objects.make("commit", text.encode(errors="replace")))
    objects.write(durable=False)
    return commit


def publication_lines(
    payload: Mapping[str, Any], size: int, *, anonymous: bool, code: bool
) -> list[str]:
    """Return what becomes public with a page, one fact a line."""
    columns = payload["columns"]
    diffs = "\n".join(payload["patches"].values()).splitlines()
    files = {line for line in diffs if line.startswith("diff --git ")}
    kinds = {"params.": "parameter", "metrics.": "metric"}
    fields = [counted(_starting(columns, start), word) for start, word in kinds.items()]
    machine = "no machines" if anonymous else f"{_starting(columns, 'env.')} of the machine"
    authors = _different(columns.get("author", {}))
    by = f"{counted(authors, 'author')} {'without names' if anonymous else 'by name and mail'}"
    notes = sum(map(len, payload["story"].values()))
    return [
        f"{counted(payload['n'], 'run')} of {by}, with reasons and commands",
        f"{counted(len(columns), 'field')}: {', '.join(fields)}, {machine}",
        counted(notes, "decision, note or tag", "decisions, notes and tags"),
        f"curves of {counted(len(payload['series']), 'run')},"
        f" the last printed lines of {counted(len(payload['tails']), 'run')}",
        f"{counted(len(payload['patches']), 'code diff')}, of {counted(len(files), 'file')}"
        if code
        else "no code: `push-code = false` keeps it here",
        f"as one file, {PAGE}, of {max(1, round(size / 1e3)):,} KB",
    ]


def _starting(columns: Mapping[str, Any], start: str) -> int:
    return sum(name.startswith(start) for name in columns)


def _different(column: Mapping[str, Any]) -> int:
    values = column.get("dict") or column.get("raw") or ()
    return len(set(map(str, values)))
