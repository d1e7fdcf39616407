"""Batches of runs: equal to single recordings, and each batch completely or not at all."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Origin, Outcome, Run
from gitexp.core.schema.layout import run_path
from gitexp.core.schema.toml_codec import decode_run
from gitexp.features.recording import batch
from gitexp.features.recording.batch import record_many
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder


def make_runs(repo: RepoBuilder, count: int) -> Iterator[Run]:
    commit, tree = repo.git("rev-parse", "HEAD", "HEAD^{tree}").split()
    for number in range(count):
        yield Run(
            id=RunId(f"{number:016x}"),
            name=f"run-{number}",
            outcome=Outcome.SUCCEEDED,
            clock=number + 1,
            started=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
            author="Ada <ada@example.org>",
            origin=Origin.IMPORT,
            code=Code(commit=ObjectId(commit), tree=ObjectId(tree)),
            metrics={"accuracy": number / 10},
        )


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH", 4)


@pytest.mark.usefixtures("small_batches")
def test_batch_writes_one_commit_for_each_run(repo: RepoBuilder) -> None:
    repo.commit({"code": "x"})
    told: list[int] = []
    assert record_many(Workspace.open(repo.path), make_runs(repo, 10), progress=told.append) == 10
    assert told == [4, 8, 10]
    assert len(repo.git("log", "--format=%s", "gitexp").splitlines()) == 10
    for run in make_runs(repo, 10):
        content = repo.git("show", f"gitexp:{run_path(run.id, run.started)}")
        assert decode_run(content.encode() + b"\n") == run
    assert Workspace.open(repo.path).index.count() == 10
    repo.git("fsck", "--strict")


@pytest.mark.usefixtures("small_batches")
def test_run_beyond_the_limits_stops_only_its_batch(repo: RepoBuilder) -> None:
    repo.commit({"code": "x"})
    good = list(make_runs(repo, 6))
    bad = replace(good[5], params={"x": "y" * 100_000})
    with pytest.raises(InvalidInput):
        record_many(Workspace.open(repo.path), [*good[:5], bad])
    assert Workspace.open(repo.path).index.count() == 4


def test_empty_batch_creates_no_branch(repo: RepoBuilder) -> None:
    repo.commit({"code": "x"})
    assert record_many(Workspace.open(repo.path), []) == 0
    assert Workspace.open(repo.path).branch.tip() is None
