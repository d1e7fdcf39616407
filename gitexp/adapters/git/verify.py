"""Verification of git objects: content must match its id, and a damaged object stops nothing.

The walk knows only that trees hold trees and files.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from gitexp.adapters.git.process import GitResult
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import TREE_MODE, parse_tree
from gitexp.core.model.frozen import frozen

_AT_ONCE_BYTES = 32 << 20
"""Content in memory at once, from one git process."""

_LARGEST_BYTES = 256 << 20
"""Larger objects are not read and not verified."""

_OID = re.compile(r"(?<![0-9a-f-])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_FSCK = re.compile(r"(?:missing [a-z]+|error:) (?P<oid>[0-9a-f]{64}|[0-9a-f]{40})\b")


@frozen
class Header:
    """Kind and size of an object, read without its content."""

    kind: str
    size: int


@frozen
class TreeWalk:
    """All files and trees below a commit."""

    files: dict[str, str] = field(default_factory=dict)
    """Object id by path; without links to other repositories."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Object id by path of unreadable trees. The path is empty for the commit itself."""
    trees: list[str] = field(default_factory=list)
    """Ids of the trees that were read."""


LOCAL = {"GIT_NO_LAZY_FETCH": "1"}
"""Keeps git 2.45 and newer from fetching the objects that a partial clone lacks."""


def is_partial(repo: Repo) -> bool:
    """Return whether this clone leaves objects at its remote on purpose."""
    return any(setting.key.endswith(".promisor") for setting in repo.config().items("remote."))


def read_headers(
    repo: Repo, oids: Iterable[str], *, env: Mapping[str, str] | None = None
) -> dict[str, Header | None]:
    """Return kind and size by object id; `None` for missing objects and damaged headers."""
    wanted = list(dict.fromkeys(oids))
    if not wanted:
        return {}
    stdin = "\n".join(wanted).encode()
    result = repo.git("cat-file", "--batch-check", stdin=stdin, check=False, env=env)
    found: dict[str, Header | None] = dict.fromkeys(wanted)
    for line in result.text.splitlines():
        parts = line.split(" ")
        if len(parts) == 3 and parts[2].isdecimal():
            found[parts[0]] = Header(parts[1], int(parts[2]))
    return found


def read_whole(repo: Repo, oids: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield content by object id; `None` when it is missing, damaged or does not match its id.

    In any order. Skips objects larger than 256 MiB.
    """
    headers = read_headers(repo, oids, env=LOCAL)
    batch: list[str] = []
    size = 0
    for oid, header in headers.items():
        if header is None:
            yield oid, None
        elif header.size <= _LARGEST_BYTES:
            batch.append(oid)
            size += header.size
            if size > _AT_ONCE_BYTES:
                yield from _read_batch(repo, batch)
                batch, size = [], 0
    yield from _read_batch(repo, batch)


def find_damaged(repo: Repo, oids: Iterable[str]) -> set[str]:
    """Return the objects that are missing or damaged."""
    return {oid for oid, content in read_whole(repo, oids) if content is None}


def _read_batch(repo: Repo, wanted: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    done = 0
    while done < len(wanted):
        stdin = "\n".join(wanted[done:]).encode()
        result = repo.git("cat-file", "--batch", stdin=stdin, check=False, env=LOCAL)
        for content in _split(repo, result.stdout, wanted[done:]):
            yield wanted[done], content
            done += 1
        if done < len(wanted):  # git stops at the first damaged object, which is the next one
            yield wanted[done], None
            done += 1


def _split(repo: Repo, output: bytes, wanted: Sequence[str]) -> Iterator[bytes | None]:
    at = 0
    for oid in wanted:
        end = output.find(b"\n", at)
        head = output[at:end].split(b" ") if end >= 0 else []
        if len(head) == 2:
            yield None
            at = end + 1
            continue
        if len(head) != 3:
            return
        size = int(head[2])
        content = output[end + 1 : end + 1 + size]
        if len(content) != size:
            return
        at = end + 1 + size + 1
        digest = hashlib.new(
            repo.object_format, b"%b %d\0" % (head[1], size), usedforsecurity=False
        )
        digest.update(content)
        yield content if digest.hexdigest() == oid else None


def walk_commit(repo: Repo, commit: str) -> TreeWalk:
    """List all files and trees below a commit; list unreadable trees and go on."""
    walk = TreeWalk()
    content = dict(read_whole(repo, [commit])).get(commit)
    root = "" if content is None else content.partition(b"\n")[0].decode().removeprefix("tree ")
    if not root:
        walk.damaged[""] = commit
        return walk
    level = [("", root)]
    while level:
        found = dict(read_whole(repo, (oid for _, oid in level)))
        following: list[tuple[str, str]] = []
        for path, oid in level:
            tree = found.get(oid)
            if tree is None:
                walk.damaged[path.rstrip("/") or "."] = oid
                continue
            walk.trees.append(oid)
            for mode, name, inner in parse_tree(tree, len(oid) // 2):
                if mode == TREE_MODE:
                    following.append((f"{path}{name}/", inner))
                elif mode != "160000":
                    walk.files[path + name] = inner
        level = following
    return walk


@frozen
class Listing:
    """Objects that commits need, from `git rev-list`."""

    present: dict[str, str] = field(default_factory=dict)
    """Name by object id; commits have no name. A listed object may still be damaged."""
    damaged: set[str] = field(default_factory=set)
    """Objects that are missing, or at which git stopped."""
    promised: set[str] = field(default_factory=set)
    """Objects that a partial clone left at its remote, which is no damage."""


def list_objects(repo: Repo, revisions: Collection[str], *options: str) -> Listing:
    """List every object that the commits need. When git stops at damage, find it with `git fsck`.

    The commits must exist. `options` are those of `git rev-list`.
    """
    listing = Listing()
    if not revisions:
        return listing
    result = _rev_list(repo, revisions, "--missing=print", *options)
    missing = set()
    for line in result.text.splitlines():
        if line.startswith("?"):
            missing.add(line[1:])
        else:
            oid, _, name = line.partition(" ")
            listing.present[oid] = name
    if missing and is_partial(repo):
        promising = _rev_list(repo, revisions, "--missing=allow-promisor", *options)
        if promising.status == 0:
            listing.promised.update(missing)
        else:
            listing.promised.update(missing - set(_OID.findall(promising.stderr)))
    listing.damaged.update(missing - listing.promised)
    if result.status != 0:
        listing.damaged.update(objects_named_by_fsck(repo, result.stderr))
    # Git 2.47 and newer skip an unreadable tree and end with status 0.
    headers = read_headers(repo, listing.present, env=LOCAL)
    listing.damaged.update(oid for oid, header in headers.items() if header is None)
    return listing


def _rev_list(repo: Repo, revisions: Collection[str], *options: str) -> GitResult:
    return repo.git(
        *("rev-list", "--objects", *options, "--stdin"),
        stdin="\n".join(revisions).encode(),
        check=False,
        env=LOCAL,
    )


def objects_named_by_fsck(repo: Repo, complaint: str) -> set[str]:
    """Return the objects in git's error message, and all that `git fsck` reports as damaged.

    Slow, because it reads the whole repository: call it only after a failure.
    """
    result = repo.git("fsck", "--no-dangling", "--no-progress", check=False)
    lines = [*result.text.splitlines(), *result.stderr.splitlines()]
    named = {found["oid"] for found in map(_FSCK.match, lines) if found}
    return named | set(_OID.findall(complaint))
