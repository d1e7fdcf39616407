"""Remove runs from the branch, and give up runs that seem to be running."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.journal.output_archive import discard_output
from gitexp.adapters.system import clock
from gitexp.core.errors import NotFound, Refused, UnreadableRecord
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Annotation, AnnotationKind, Outcome, Run
from gitexp.core.schema.layout import TOMBSTONE, pending_ref
from gitexp.core.schema.toml_codec import decode_run
from gitexp.features.recording.record import commit_sealed, kept_path
from gitexp.storage.branch.events import deleted
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Removal:
    """A run to remove, and what depends on it."""

    run: Run
    paths: tuple[str, ...]
    """Its files on the branch."""
    children: tuple[RunId, ...] = ()
    """Runs that have it as their parent, or reproduce it."""


def plan_removal(workspace: Workspace, runs: Sequence[RunId], *, force: bool) -> list[Removal]:
    """Plan the removal of runs; changes nothing.

    Raises `NotFound`, and `Refused` for a running run unless forced.
    """
    index = workspace.index
    made_from: dict[object, set[RunId]] = {}
    for link in ("reproduces", "parent"):
        for child, origin in index.column(link).items():
            made_from.setdefault(origin, set()).add(child)
    planned = []
    for run in dict.fromkeys(runs):
        record = _load(workspace, run)
        journal = workspace.journals / f"{run}.journal"
        if not force and (journal.exists() or not record.is_sealed):
            raise Refused(
                f"run {run[:7]} {record.name} is going on",
                why="removing it now would lose what it still records",
                hints=[
                    f"`git exp finish {run[:7]}` or `git exp recover {run[:7]} --force` ends it",
                    "`--force` removes it anyway",
                ],
            )
        children = tuple(sorted(made_from.get(run, ())))
        planned.append(Removal(record, tuple(index.paths(run)), children))
    return planned


def _load(workspace: Workspace, run: RunId) -> Run:
    """Load the record from any path on the branch, even one that remained beside a tombstone."""
    try:
        entry = workspace.index.entry(run)
        return workspace.branch.load_run(run, entry.run.started)
    except (NotFound, UnreadableRecord):
        found = [p for p in workspace.index.paths(run) if p.startswith("runs/")]
    for path in found:
        oid = workspace.repo.resolve(f"{workspace.branch.run_ref}:{path}")
        blobs = workspace.repo.read_blobs([oid] if oid else [], max_bytes=1 << 20)
        for _, content in blobs:
            try:
                record = decode_run(content or b"")
            except UnreadableRecord:
                continue
            if record.id == run:
                return record
    raise NotFound(
        f"there is no readable record of run {run[:7]}",
        hints=["`git exp doctor` tells what is damaged, and how to get it back"],
    )


def tombstone(workspace: Workspace, run: Run, logical_time: int) -> Annotation:
    """Return the annotation that marks a run as deleted in every clone."""
    return Annotation(
        id=TOMBSTONE,
        run=run.id,
        kind=AnnotationKind.DELETE,
        clock=logical_time,
        time=clock.now(),
        author=workspace.settings.author,
    )


def remove(workspace: Workspace, planned: Sequence[Removal]) -> None:
    """Remove runs from the branch. Their tombstones go to every clone that has the runs.

    Raises what `Workspace.record` raises; then nothing is removed.
    """
    first = workspace.refreshed().max_clock() + 1
    events = []
    for n, removal in enumerate(planned):
        run = removal.run
        event = deleted(run, tombstone(workspace, run, first + n), removal.paths)
        pinned = workspace.repo.read_ref(pending_ref(run.id)) is not None
        events.append(replace(event, releases=pinned))
    workspace.record(events)
    for removal in planned:
        Journal.discard(workspace.journals / f"{removal.run.id}.journal")
        discard_output(kept_path(workspace, removal.run.id))


def give_up(workspace: Workspace, run: RunId) -> Run:
    """Seal a run as interrupted that is `running` on the branch and has no journal here.

    Raises `Refused` when it is sealed already.
    """
    record = _load(workspace, run)
    if record.is_sealed:
        raise Refused(f"run {run[:7]} {record.name} is over", why=f"it {record.outcome}")
    ended = replace(
        record,
        outcome=Outcome.INTERRUPTED,
        warnings=(*record.warnings, "given up by hand; its journal was not here"),
    )
    commit_sealed(workspace, ended, [], {})
    return ended
