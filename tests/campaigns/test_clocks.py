"""Wrong clocks: the logical clock orders runs, and durations are never negative."""

import json

import pytest

from tests.campaigns.field import Field, read_records
from tests.conftest import MakeRepo, RepoBuilder, some_daily

MOMENTS = {
    "400 days ago": "1760000000",
    "the year 1985": "480000000",
    "after 2038": "2200000000",
    "a fraction before the epoch": "-0.5",
    "the year 1957": "-400000000",
}


@pytest.mark.parametrize("moment", some_daily(MOMENTS, 2))
def test_runs_are_ordered_by_their_logical_clocks(repo: RepoBuilder, moment: str) -> None:
    """A later run with an earlier date is still the later run."""
    ground = Field(repo)
    first = ground.exp("record", "-q", "-M", "value=1").out.strip()
    env = {"GITEXP_NOW": MOMENTS[moment]}
    second = ground.exp("record", "-q", "-M", "value=2", env=env)
    assert second.status == 0, second.err
    third = ground.exp("record", "-q", "-M", "value=3").out.strip()
    listed = ground.exp("list", "--name-only").out.split()
    assert listed == [third, second.out.strip(), first]
    ground.check()


def test_clock_may_jump_back_during_a_run(repo: RepoBuilder) -> None:
    """A manual run, so that start and end are two processes: the worst case for a duration."""
    ground = Field(repo)
    run = ground.exp("start", env={"GITEXP_NOW": "2000000000"}).out.split()[0]
    done = ground.exp("finish", run, "-M", "value=1", env={"GITEXP_NOW": "1000000000"})
    assert done.status == 0, done.err
    (record,) = read_records(repo).values()
    assert record["duration_s"] == 0
    assert record["outcome"] == "succeeded"


def test_durations_come_from_a_clock_that_cannot_jump(repo: RepoBuilder) -> None:
    ground = Field(repo)
    for moment in MOMENTS.values():
        done = ground.exp("run", "-q", "--", "true", env={"GITEXP_NOW": moment})
        assert done.status == 0, done.err
    durations = [record["duration_s"] for record in read_records(repo).values()]
    assert len(durations) == len(MOMENTS)
    assert all(0 <= duration < 60 for duration in durations)


@pytest.mark.long
def test_two_clones_of_different_times_merge_to_the_same_commit(
    make_repo: MakeRepo,
) -> None:
    """Clocks three years apart, in both orders."""
    hub = make_repo("hub", bare=True)
    tips = []
    clones = [make_repo("one"), make_repo("other")]
    for clone, moment in zip(clones, ("1600000000", "1700000000"), strict=True):
        clone.git("remote", "add", "origin", str(hub.path))
        for n in range(3):
            done = Field(clone).record(n, env={"GITEXP_NOW": moment})
            assert done.status == 0, done.err
    clones[0].git(
        "push", "--quiet", "origin", "HEAD"
    )  # runs are never the first branch of a remote
    for clone in (*clones, *clones):
        synced = Field(clone).exp("sync")
        assert synced.status == 0, synced.err
    tips = [clone.git("rev-parse", "gitexp") for clone in clones]
    assert tips[0] == tips[1] == hub.git("rev-parse", "gitexp")
    listed = [Field(clone).exp("list", "--json").out for clone in clones]
    ids = [[run["id"] for run in json.loads(text)["runs"]] for text in listed]
    assert len(ids[0]) == 6
    assert ids[0] == ids[1]
