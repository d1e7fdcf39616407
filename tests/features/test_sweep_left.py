"""What a coordinator that died left with workers."""

import shutil
from dataclasses import replace
from pathlib import Path

from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.journal.liveness import ENGINE
from gitexp.core.model.run import Outcome, SweepPlace
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.sweeps.marks import OWNER_VARIABLE, marks_of
from gitexp.features.sweeps.remote import find_left
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder
from tests.core.sample_runs import make_run

SWEEP = "5" * 16
HERE, THERE = "dask://127.0.0.1:1", "dask://127.0.0.1:2"


def give(workspace: Workspace, digit: str, engine: str, sweep: str = SWEEP) -> str:
    """Begin a trial as a coordinator does that then dies; returns its id."""
    run = replace(
        make_run(id=digit * 16),
        outcome=Outcome.RUNNING,
        sweep=SweepPlace(id=sweep, number=int(digit)),
    )
    journal = Journal.create(
        workspace.journals, run.id, encode_run(run), durable=False, extra={ENGINE: engine}
    )
    journal.close()
    return run.id


def test_a_worker_that_connects_late_keeps_its_trials(repo: RepoBuilder) -> None:
    repo.commit({"a.txt": "a"})
    workspace = Workspace.open(repo.path)
    early, late = give(workspace, "1", HERE), give(workspace, "2", HERE)
    elsewhere, other = give(workspace, "3", THERE), give(workspace, "4", HERE, "6" * 16)
    answers, said = [{early, other}, {early, late, other}], list[str]()
    left, known, others = find_left(workspace, SWEEP, HERE, lambda: answers.pop(0), said.append)
    assert [(each.run.id, each.number) for each in left] == [(early, 1), (late, 2)]
    assert known == {early, late, other}
    assert [content.run_id for content in others] == [elsewhere]
    assert said == ["waiting 10 s for workers that may have results of 1 trial"]
    assert answers == []
    assert len(list(workspace.journals.glob("*.journal"))) == 4


def test_a_clone_at_the_same_path_of_another_machine_is_another_owner(
    repo: RepoBuilder, tmp_path: Path
) -> None:
    """Workers, and processes of containers, tell two coordinators of one sweep apart by it."""
    repo.commit({"a.txt": "a"})

    def owner(path: Path) -> str:
        return marks_of(Workspace.open(path), SWEEP)[OWNER_VARIABLE]

    ours = owner(repo.path)
    repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    assert owner(repo.path) == owner(tmp_path / "linked") == ours
    shutil.copytree(repo.path, tmp_path / "copy")
    repo.git("worktree", "remove", str(tmp_path / "linked"))
    repo.path.rename(tmp_path / "ours")
    repo.path.mkdir()
    repo.git("clone", "--quiet", str(tmp_path / "ours"), ".")
    assert len({ours, owner(repo.path), owner(tmp_path / "copy")}) == 3
