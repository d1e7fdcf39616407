"""The write protocol: events are recorded all or none, on whatever the branch is by then."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity
from gitexp.core.errors import Conflict, Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Annotation, AnnotationKind, Code, Run
from gitexp.core.schema.layout import TOMBSTONE, run_path
from gitexp.storage.branch import branch as branches
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import RunEvent, annotated, deleted, sealed
from gitexp.storage.branch.snapshot import Snapshot
from tests.conftest import RepoBuilder
from tests.core.sample_runs import make_run

ADA = Identity("Ada", "ada@example.org")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Lab:
    """A repository with a run branch."""

    def __init__(self, repo: RepoBuilder, branch: RunBranch | None = None) -> None:
        self.repo = repo
        self.branch = branch or RunBranch(Repo.discover(repo.path), "gitexp", durable=False)

    def run(self, n: int) -> Run:
        tree = ObjectId(self.repo.git("rev-parse", "HEAD^{tree}").strip())
        return make_run(n, code=Code(commit=ObjectId(self.repo.head), tree=tree))

    def record(self, *events: RunEvent) -> Snapshot:
        with self.branch.transaction(ADA, NOON) as transaction:
            transaction.add(*events)
        return transaction.committed

    def recorded(self) -> list[str]:
        """Runs of the commits, oldest first."""
        form = "--format=%(trailers:key=Run-Id,valueonly)"
        return self.repo.git("log", "--reverse", form, "gitexp").split()

    def annotation(self, run: Run, name: str, kind: AnnotationKind) -> Annotation:
        return Annotation(
            id=name, run=run.id, kind=kind, clock=run.clock + 1, time=NOON, author="A <a@b>"
        )


class Raced(RunBranch):
    """A branch that another process moves right after the first snapshot of a transaction."""

    rival: RunBranch
    rival_event: RunEvent
    is_late = False

    def snapshot(self, events: Sequence[RunEvent] = ()) -> Snapshot:
        read = super().snapshot(events)
        if not self.is_late:
            self.is_late = True
            # The lock is held: write below it, as a git that knows nothing of the lock does.
            transaction = self.rival.transaction(ADA, NOON)
            transaction.add(self.rival_event)
            transaction._apply(self.rival, self.rival.snapshot([self.rival_event]))
        return read


@pytest.fixture
def lab(repo: RepoBuilder) -> Lab:
    return Lab(repo)


def test_events_become_commits_in_order_and_committed_is_the_state_after(lab: Lab) -> None:
    runs = [lab.run(n) for n in (1, 2, 3)]
    committed = lab.record(*(sealed(run, [], "done") for run in runs))
    assert committed == lab.branch.snapshot()
    assert lab.recorded() == [run.id for run in runs]
    assert lab.branch.code_commit(runs[0].code.tree) in committed.kept
    again = lab.record(sealed(lab.run(4), [], "done"))
    assert (again.keep_tip, again == lab.branch.snapshot()) == (committed.keep_tip, True)


def test_a_block_that_fails_writes_nothing(lab: Lab) -> None:
    transaction = lab.branch.transaction(ADA, NOON)
    with pytest.raises(KeyError), transaction:
        transaction.add(sealed(lab.run(1), [], "done"))
        raise KeyError
    assert lab.branch.snapshot() == Snapshot()


def test_a_transaction_without_events_reads_only(lab: Lab) -> None:
    assert lab.record() == Snapshot()
    committed = lab.record(sealed(lab.run(1), [], "done"))
    assert lab.record() == committed


def test_a_conflict_stages_the_same_events_on_the_new_tip(repo: RepoBuilder) -> None:
    raced = Raced(Repo.discover(repo.path), "gitexp", durable=False)
    raced.rival = RunBranch(raced.repo, "gitexp", durable=False)
    lab = Lab(repo, raced)
    mine, theirs = lab.run(1), lab.run(2)
    raced.rival_event = sealed(theirs, [], "done")
    committed = lab.record(sealed(mine, [], "done"))
    assert lab.recorded() == [theirs.id, mine.id]
    assert committed == raced.rival.snapshot()


def test_a_run_that_is_deleted_during_the_conflict_is_left_out(repo: RepoBuilder) -> None:
    raced = Raced(Repo.discover(repo.path), "gitexp", durable=False)
    raced.rival = RunBranch(raced.repo, "gitexp", durable=False)
    lab = Lab(repo, raced)
    kept, gone = lab.run(1), lab.run(2)
    Lab(repo, raced.rival).record(sealed(gone, [], "done"))
    stone = lab.annotation(gone, TOMBSTONE, AnnotationKind.DELETE)
    raced.rival_event = deleted(gone, stone, [run_path(gone.id, gone.started)])
    lab.record(sealed(replace(gone, name="again"), [], "done"), sealed(kept, [], "done"))
    paths = repo.git("ls-tree", "-r", "--name-only", "gitexp", "runs").split()
    assert paths == [run_path(kept.id, kept.started)]


def test_many_conflicts_end_with_the_conflict_and_nothing_written(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = lab.record(sealed(lab.run(1), [], "done")).tip
    (lab.branch.repo.common_dir / "refs/heads/gitexp.lock").touch()
    monkeypatch.setattr(branches, "PATIENCE_S", 0.2)
    with pytest.raises(Conflict):
        lab.record(sealed(lab.run(2), [], "done"))
    assert lab.branch.tip() == tip


def test_removed_records_are_restored_before_the_events(lab: Lab) -> None:
    first = lab.run(1)
    lab.record(sealed(first, [], "done"))
    stone = lab.annotation(lab.run(2), TOMBSTONE, AnnotationKind.DELETE)
    lab.record(deleted(lab.run(2), stone, []))
    tree = lab.repo.git("mktree", stdin=lab.repo.git("ls-tree", "gitexp", "format.toml") + "\n")
    taken = lab.repo.git("commit-tree", "-p", "gitexp", "-m", "by hand", tree).strip()
    lab.repo.git("update-ref", "refs/heads/gitexp", taken)
    note = lab.annotation(first, "1" * 16, AnnotationKind.NOTE)
    transaction = lab.branch.transaction(ADA, NOON)
    with transaction:
        transaction.add(annotated(first, note, "good"), sealed(lab.run(2), [], "done"))
    [lost] = transaction.restored
    assert first.id in lost.runs
    assert lab.repo.git("log", "-1", "--format=%s", "gitexp^").startswith("restore records")
    assert lab.branch.load_run(first.id, first.started) == first
    assert run_path(lab.run(2).id, lab.run(2).started) not in lab.repo.git(
        "ls-tree", "-r", "--name-only", "gitexp"
    )


def test_a_foreign_branch_is_refused(lab: Lab) -> None:
    lab.repo.git("branch", "gitexp")
    with pytest.raises(Refused):
        lab.record(sealed(lab.run(1), [], "done"))
    assert lab.branch.repo.read_ref("refs/heads/gitexp-code") is None
