"""What was known when a run ended: one read for a page finds what a query for each run finds."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from gitexp.core.analysis.groups import groups_of
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Direction, Run
from gitexp.features.recording.batch import record_many
from gitexp.features.runs import past
from gitexp.features.runs.past import Past
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder
from tests.core.sample_runs import make_run

RUNS = 40


def runs_of_few_trials(code: Code) -> list[Run]:
    """Return overlapping runs of five trials; some take longer than several later ones."""
    chance = random.Random(3)
    first = make_run(0)
    return [
        replace(
            make_run(number),
            code=code,
            id=RunId(f"{chance.getrandbits(64):016x}"),
            clock=number + 1,
            started=first.started + timedelta(minutes=number),
            duration_s=chance.choice([30.0, 90.0, 3600.0, None]),
            fingerprint=f"2:{chance.randrange(5):016x}",
            metrics={"accuracy": round(chance.random(), 2)} if chance.random() < 0.9 else {},
        )
        for number in range(RUNS)
    ]


@pytest.fixture
def index(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> CachedRuns:
    """Return the runs, with windows of a few runs."""
    for name, size in {"RECENT": 6, "TOP": 4, "_MORE": 5}.items():
        monkeypatch.setattr(past, name, size)
    workspace = Workspace.open(repo.path)
    tree = repo.git("rev-parse", "HEAD^{tree}")
    code = Code(commit=ObjectId(repo.head), tree=ObjectId(tree))
    record_many(workspace, runs_of_few_trials(code))
    return workspace.refreshed()


def test_a_window_answers_as_single_queries_do(index: CachedRuns) -> None:
    known = Past(index)
    for entry in index.entries(index.ids()):
        run = entry.run
        then = known.of("accuracy", Direction.MAXIMIZE, run)
        groups = index.groups
        assert then.recent() == groups.recent("accuracy", 6, upto=run), run.clock
        top = groups.top("accuracy", Direction.MAXIMIZE, 4, upto=run)
        assert then.top() == top, run.clock
        keys = sorted(set(groups.of_runs(index.ids()).values()))
        assert len(keys) == 5
        expected = groups_of(groups.measurements("accuracy", keys, upto=run))
        found = {group.key: group for group in then.groups(keys)}
        assert found == {group.key: group for group in expected}, run.clock
