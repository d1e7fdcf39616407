"""Remove records or code from both branches permanently.

Both branches get a new root commit without them. The run branch lists what was purged, so that a
merge with another clone does not bring it back. The next purge completes an interrupted one.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gitexp.adapters.git.steps import Blob, NewCommit
from gitexp.adapters.git.tree_edits import TreeEditor
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, GitexpError, InvalidInput, NotFound, Refused
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.schema.layout import (
    FORMAT,
    TOMBSTONE,
    PathKind,
    annotation_path,
    parse_path,
    purge_path,
)
from gitexp.core.schema.purges import PurgedState, Purges, encode_purge, encode_state
from gitexp.core.schema.toml_codec import encode_annotation
from gitexp.features.doctor.findings import listed
from gitexp.features.recording.remove import Removal, plan_removal, tombstone
from gitexp.storage.merge.code_states import format_of, read_code_states, replace_keep_branch
from gitexp.storage.merge.purged import (
    forget_building,
    graft,
    keep_only,
    purge_code,
    read_purges,
    sift,
)
from gitexp.storage.workspace import Workspace

_MESSAGE = "begin anew after a purge\n\n[skip ci]\n"


@dataclass(slots=True)
class PurgePlan:
    """What a purge removes."""

    tip: ObjectId
    """Tip of the run branch that the plan is for."""
    removals: list[Removal] = field(default_factory=list)
    trees: set[str] = field(default_factory=set)
    """Code states to remove completely."""
    files: dict[str, set[str]] = field(default_factory=dict)
    """Blobs to remove from all code states, by path."""
    changed: dict[str, PurgedState] = field(default_factory=dict)
    """The replacement of each changed code state, by tree."""
    kept: set[str] = field(default_factory=set)
    """Code states that remain."""
    affected: list[str] = field(default_factory=list)
    """Runs that stay and lose code, by short id and name."""
    objects: set[str] = field(default_factory=set)
    """Blobs of the purged runs on the run branch."""
    shared: dict[RunId, list[str]] = field(default_factory=dict)
    """By purged run, the remaining runs with the same code; that code stays."""

    @property
    def is_empty(self) -> bool:
        """True when the branches hold none of the things to purge."""
        return not (self.removals or self.trees or self.files)


def plan_purge(
    workspace: Workspace,
    runs: Sequence[RunId] = (),
    *,
    states: Sequence[str] = (),
    paths: Sequence[str] = (),
    force: bool = False,
) -> PurgePlan:
    """Plan a purge. Writes a few objects and changes nothing else.

    `states` are code commits or trees, `paths` start at the top of the repository. Raises
    `NotFound`. Raises `Refused` for a running run, in a repository of an older format, and, unless
    forced, for a code state that remaining runs need.
    """
    branch = workspace.branch
    tip = branch.check()
    if tip is None:
        raise NotFound("there is nothing to purge: no run is recorded yet")
    if format_of(branch, tip) != FORMAT:
        raise Refused(
            "nothing is purged",
            why=f"branch '{branch.name}' has an older format",
            hints=["`git exp upgrade` changes it"],
        )
    plan = PurgePlan(tip, plan_removal(workspace, runs, force=force))
    gone_paths = [path for removal in plan.removals for path in removal.paths]
    if gone_paths:
        plan.objects = {e.oid for e in workspace.repo.list_tree(tip, *gone_paths)}
    keep = workspace.repo.read_ref(branch.code_ref)
    kept = set() if keep is None else read_code_states(workspace.repo, keep).trees
    _plan_code(workspace, plan, kept, states, force=force)
    _plan_files(workspace, plan, kept - plan.trees, paths)
    purges = Purges({"now"}, trees=plan.trees, files=plan.files)
    sifted = sift(workspace.repo, kept, purges)
    plan.changed, plan.kept = sifted.changed, sifted.trees
    gone = {removal.run.id for removal in plan.removals}
    plan.affected = [
        f"{run[:7]} {name}"
        for run, name, tree in _runs(workspace)
        if run not in gone and tree in plan.changed
    ]
    return plan


def _runs(workspace: Workspace) -> list[tuple[RunId, str, str]]:
    """Return id, name and tree of every run."""
    found = map(json.loads, workspace.refreshed().documents())
    return [(RunId(run["id"]), run["name"], run["code"]["tree"]) for run in found]


def _plan_code(
    workspace: Workspace, plan: PurgePlan, kept: set[str], states: Sequence[str], *, force: bool
) -> None:
    """Plan the removal of the requested code states and of code that only purged runs use."""
    gone = {removal.run.id for removal in plan.removals}
    others: dict[str, list[str]] = {}
    for run, name, tree in _runs(workspace):
        if run not in gone:
            others.setdefault(tree, []).append(f"{run[:7]} {name}")
    for state in states:
        found = workspace.repo.resolve(f"{state}^{{tree}}")
        tree = str(found or "")
        if tree not in kept:
            raise NotFound(
                f"there is no code state '{state}' on branch '{workspace.branch.name}-code'",
                hints=["`git exp show RUN` tells the code of a run, as `snapshot` or `tree`"],
            )
        if tree in others and not force:
            raise Refused(
                f"the code state {tree[:10]} is not purged",
                why=f"runs that stay need it: {listed(others[tree])}",
                hints=[
                    "name these runs too",
                    "`--force` purges it; they cannot be reproduced then",
                ],
            )
        plan.trees.add(tree)
    for removal in plan.removals:
        own = removal.run.code.tree
        if own in others and own not in plan.trees:
            plan.shared[removal.run.id] = others[own]
        elif own in kept:
            plan.trees.add(own)


def _plan_files(
    workspace: Workspace, plan: PurgePlan, kept: set[str], paths: Sequence[str]
) -> None:
    with workspace.repo.reading() as repo:
        editor = TreeEditor(repo)
        for path in paths:
            if path in ("", ".") or path.startswith(("/", "../")):
                raise InvalidInput(f"'{path}' is no path below the top of the repository")
            found = [editor.files_at(tree, path) for tree in sorted(kept)]
            if not any(found):
                raise NotFound(
                    f"no code state has '{path}'",
                    hints=["paths are as `git ls-files` shows them; patterns are not understood"],
                )
            for files in found:
                for name, blob in files.items():
                    plan.files.setdefault(name, set()).add(blob)


# --- execution ----------------------------------------------------------------------------------


def purge(workspace: Workspace, plan: PurgePlan) -> Purges:
    """Apply a plan. Return everything that was ever purged.

    Raises `Conflict` when a run was recorded after the plan was made.
    """
    branch, repo = workspace.branch, workspace.repo
    first = workspace.refreshed().max_clock() + 1
    with branch.lock():
        if branch.tip() != plan.tip:
            raise Conflict(
                "nothing is purged",
                why="a run was recorded during the purge",
                hints=["run the same command again"],
            )
        if not plan.is_empty:
            files = _files(workspace, plan, first)
            moment = datetime.fromtimestamp(int(clock.now().timestamp()), UTC)
            commit = NewCommit(
                branch.run_ref,
                _MESSAGE,
                workspace.identity,
                moment,
                [plan.tip],
                files,
                tip=plan.tip,
            )
            root = graft(branch, commit, None)
            keep, old = keep_only(branch, plan.kept), repo.read_ref(branch.code_ref)
            # Move the run branch first: it says what remains to do if the process dies here.
            repo.update_ref(
                branch.run_ref, root, plan.tip, "gitexp: begin anew", durable=branch.durable
            )
            replace_keep_branch(branch, keep, old)
        purges = read_purges(repo, branch.tip())
        if purges:
            purge_code(branch, None, purges)
        forget_building(repo)
    return purges


def _files(
    workspace: Workspace, plan: PurgePlan, first: int
) -> list[tuple[str, bytes | Blob | None]]:
    files: list[tuple[str, bytes | Blob | None]] = []
    for n, removal in enumerate(plan.removals):
        run = removal.run
        stone = tombstone(workspace, run, first + n)
        path = annotation_path(run.id, run.started, TOMBSTONE)
        files += [(old, None) for old in removal.paths if old != path]
        files.append((path, encode_annotation(stone)))
    name, content = encode_purge([r.run.id for r in plan.removals], plan.trees, plan.files)
    files.append((purge_path(name), content))
    files += [(purge_path(tree), encode_state(state)) for tree, state in plan.changed.items()]
    return files


def find_purged(workspace: Workspace, text: str) -> RunId | None:
    """Return the deleted or purged run whose id starts with this text, if there is only one."""
    tip = workspace.branch.tip()
    if tip is None or len(text) < 4:
        return None
    found = set()
    for entry in workspace.repo.list_tree(tip, "annotations"):
        place = parse_path(entry.path)
        if place and place.kind is PathKind.ANNOTATION and place.name == TOMBSTONE:
            found.add(place.run)
    matching = [run for run in found if run is not None and run.startswith(text)]
    return matching[0] if len(matching) == 1 else None


# --- remains ------------------------------------------------------------------------------------


def forget_locally(workspace: Workspace, purges: Purges) -> Iterator[str]:
    """Remove this clone's local state of purged runs. Yield one message each. Objects stay."""
    repo, branch = workspace.repo, workspace.branch
    for folder in ("journal", "output", "worktrees"):
        for run in purges.runs:
            for path in (repo.state_dir / folder).rglob(f"{run}*"):
                if path.is_file():
                    path.unlink(missing_ok=True)
                    yield f"removed '{path}'"
    tips = {ref: repo.read_ref(ref) for ref in (branch.run_ref, branch.code_ref)}
    for ref, oid in repo.read_refs("refs/gitexp").items():
        if _is_stale(workspace, ref, oid, purges, tips):
            repo.update_ref(ref, repo.null, oid, "gitexp: purged")
            yield f"removed ref '{ref}'"
    names = tuple("/" + ref.removeprefix("refs/heads/") for ref in tips)
    copies = [ref for ref in repo.read_refs("refs/remotes") if ref.endswith(names)]
    for ref in (*tips, *copies, *repo.read_refs("refs/gitexp")):
        repo.git("reflog", "expire", "--expire=all", "--expire-unreachable=all", ref, check=False)
    yield "emptied the reflogs of gitexp's branches"


def _is_stale(
    workspace: Workspace,
    ref: str,
    oid: ObjectId,
    purges: Purges,
    tips: Mapping[str, ObjectId | None],
) -> bool:
    parts = ref.split("/")
    if parts[2] == "building":
        return True
    if parts[2] == "pending":
        tree = workspace.repo.resolve(f"{oid}^{{tree}}")
        return parts[3] in purges.runs or (tree is not None and tree in purges.trees)
    tip = tips.get("refs/heads/" + "/".join(parts[4:])) if parts[2] == "remotes" else None
    return tip is not None and not workspace.repo.is_ancestor(oid, tip)


def find_remains(workspace: Workspace, purges: Purges, objects: Collection[str]) -> list[str]:
    """Return refs from which git still reaches purged code or one of these objects."""
    repo = workspace.repo
    wanted = {oid for blobs in purges.files.values() for oid in blobs} | purges.trees | {*objects}
    wanted |= {tree for tree, state in purges.states.items() if state.files}
    if not wanted or wanted.isdisjoint(_reached(workspace, "--all")):
        return []
    refs = repo.read_refs("refs")
    return sorted(ref for ref in refs if not wanted.isdisjoint(_reached(workspace, ref)))


def _reached(workspace: Workspace, revisions: str) -> set[str]:
    result = workspace.repo.git("rev-list", "--objects", revisions, check=False)
    if result.status != 0:
        raise GitexpError("cannot tell what git still reaches", why="an object is missing")
    return {line.partition(" ")[0] for line in result.text.splitlines()}
