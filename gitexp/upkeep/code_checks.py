"""Checks of the code of the runs: that it is there, whole, and held by the keep branch.

Floor 4.
"""

from collections.abc import Collection, Iterator

from gitexp.ids import RunId
from gitexp.repo.objects import (
    LOCAL,
    Header,
    find_culprits,
    find_damaged,
    is_partial,
    list_objects,
    read_headers,
)
from gitexp.upkeep.evidence import Evidence
from gitexp.upkeep.findings import Finding, Level, Mend, counted, listed

_FEW_REVISIONS = 300
"""Up to so many trees are searched for the runs that a damaged file belongs to."""

_MUCH_BYTES = 256 << 20
"""More content of snapshots than this is not read to verify it."""


def check_code(evidence: Evidence) -> Iterator[Finding]:
    """The code of every run is there, every file of it."""
    repo, runs = evidence.workspace.repo, evidence.runs
    oids = [oid for f in runs for oid in (f.commit, f.revision)]
    headers = read_headers(repo, oids, env=LOCAL)
    lost = [f for f in runs if not (_is_commit(headers, f.commit, f.revision))]
    if lost:
        yield Finding(
            check="code",
            level=Level.FAULT,
            text=f"the code of {counted(lost, 'run')} is not in this repository:"
            f" {listed(f.title for f in lost)}",
            hints=(
                "`git exp doctor --fix` looks for it on the remote",
                "another clone may have it: `git fetch PATH 'refs/heads/*:refs/gitexp/rescue/*'`",
            ),
            runs=tuple(f.id for f in lost),
            items=tuple(
                sorted({o for f in lost for o in (f.commit, f.revision) if headers[o] is None})
            ),
            mend=Mend.FETCH_OBJECTS,
        )
    whole = [f for f in runs if _is_commit(headers, f.commit, f.revision)]
    damaged = _damaged_files(evidence, {f.revision for f in whole})
    if damaged:
        owners = _owners(evidence, damaged)
        named = f"; damaged runs: {listed(map(evidence.name, owners))}" if owners else ""
        yield Finding(
            check="code",
            level=Level.FAULT,
            text=f"{counted(len(damaged), 'object')} of the runs' code cannot be read{named}",
            hints=("`git exp doctor --fix` looks for them on the remote",),
            runs=tuple(owners),
            items=tuple(sorted(damaged)),
            mend=Mend.FETCH_OBJECTS,
        )


def _is_commit(headers: dict[str, Header | None], *oids: str) -> bool:
    found = [headers[oid] for oid in oids]
    return all(header is not None and header.kind == "commit" for header in found)


def _damaged_files(evidence: Evidence, revisions: Collection[str]) -> set[str]:
    """Objects missing from the trees that ran, and damaged ones among what snapshots brought."""
    repo = evidence.workspace.repo
    damaged = list_objects(repo, revisions, "--no-walk").damaged
    if is_partial(repo):
        return damaged
    snapshots = [f for f in evidence.runs if f.snapshot in revisions]
    own = list_objects(
        repo, [*(f.revision for f in snapshots), *(f"^{f.commit}" for f in snapshots)]
    )
    headers = read_headers(repo, own.present)
    damaged |= own.damaged | {oid for oid, header in headers.items() if header is None}
    if sum(header.size for header in headers.values() if header) <= _MUCH_BYTES:
        damaged |= find_damaged(repo, headers)
    return damaged


def _owners(evidence: Evidence, damaged: Collection[str]) -> list[RunId]:
    """The runs whose code needs one of the objects; none when that would take too long."""
    repo = evidence.workspace.repo
    revisions = {f.revision for f in evidence.runs}
    if len(revisions) > _FEW_REVISIONS:
        return []
    touched = set()
    for revision in revisions:
        asked = repo.git("ls-tree", "-r", "-t", "--full-tree", revision, check=False)
        words = set(asked.text.split()) | set(asked.stderr.split())
        if asked.status != 0 or not words.isdisjoint(damaged):
            touched.add(revision)
    return sorted(f.id for f in evidence.runs if f.revision in touched)


def check_keep(evidence: Evidence) -> Iterator[Finding]:
    """The keep branch holds the code of every run, so that git keeps it and pushes it."""
    repo, store = evidence.workspace.repo, evidence.workspace.store
    name = store.code_ref.removeprefix("refs/heads/")
    tip = repo.resolve(store.code_ref)
    revisions = {f.revision for f in evidence.runs}
    headers = read_headers(repo, revisions, env=LOCAL)
    there = [oid for oid in revisions if headers[oid] is not None]
    asked = repo.git(
        *("rev-list", "--stdin"),
        stdin="\n".join([*there, *([f"^{tip}"] if tip else [])]).encode(),
        check=False,
    )
    damaged = find_damaged(repo, [tip]) if tip else set()
    if asked.status != 0:
        damaged |= find_culprits(repo, asked.stderr)
    if damaged:
        yield Finding(
            check="keep",
            level=Level.FAULT,
            text=f"the history of branch '{name}' cannot be read:"
            f" {counted(len(damaged), 'object')} of it, or of what it keeps, are damaged",
            hints=(
                "`git exp doctor --fix` looks for them on the remote",
                f"`git branch -D {name}` gives it up; `git exp doctor --fix` then makes a new one",
            ),
            items=tuple(sorted(damaged)),
            mend=Mend.FETCH_OBJECTS,
        )
        return
    loose = revisions & set(asked.text.split())
    runs = [f for f in evidence.runs if f.revision in loose]
    if runs:
        why = "" if tip else f", because branch '{name}' is gone"
        yield Finding(
            check="keep",
            level=Level.FAULT,
            text=f"git may drop the code of {counted(runs, 'run')}{why}:"
            f" {listed(f.title for f in runs)}",
            hints=("`git exp doctor --fix` keeps it again",),
            runs=tuple(f.id for f in runs),
            items=tuple(sorted(loose)),
            mend=Mend.KEEP_CODE,
        )
