"""The live page follows what happens: runs, steps, silence, moved branches, damage."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gitexp.adapters.journal.journal import CommandEnding, read_journal
from gitexp.core.model.annotations import Decision
from gitexp.core.model.run import Outcome
from gitexp.features.report.live.followed_run import MOST_POINTS, SILENCE_S, FollowedRun
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import make_repository
from tests.conftest import RepoBuilder
from tests.features.report.live_server import (
    Events,
    begin_run,
    files_below,
    seal_run,
    serving,
    small_search,
)


@pytest.fixture
def repo(tmp_path: Path) -> RepoBuilder:
    """An empty repository."""
    return make_repository(tmp_path / "petrel")


def test_a_run_is_followed_from_its_start_to_its_end(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    with serving(repo, follows=True) as live:
        assert live.get("data").document["n"] == 3
        events = Events(live)
        assert events.next() == ("data", {"version": 1})
        assert events.next("running")[1]["runs"] == []

        run, journal = begin_run(repo, search, reason="does it grow?")
        (told,) = events.next("running")[1]["runs"]
        assert (told["run"], told["reason"], told["state"]) == (run.id, "does it grow?", "alive")
        assert events.next("data") == ("data", {"version": 2})

        journal.metrics({"val.acc": 0.5, "note": "x"}, step=0, time_s=0.5)
        journal.metrics({"val.acc": 0.75}, step=10, time_s=1.5)
        points: list[float] = []
        while len(points) < 2:
            (told,) = events.next("steps")[1]["runs"]
            points += told["curves"].get("val.acc", {"y": []})["y"]
        assert points == [0.5, 0.75]
        assert (told["step"], told["values"]) == (10, {"val.acc": 0.75, "note": "x"})

        seal_run(search, run, journal, 0.95)
        events.next("data")
        document = live.get("data").document
        assert document["metrics"][0]["best"]["row"] == 3
        events.close()


def test_a_reader_who_comes_later_gets_the_whole_curve(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    run, journal = begin_run(repo, search)
    for step in range(5):
        journal.metrics({"loss": 1 / (step + 1)}, step=step)
    with serving(repo) as live:
        events = Events(live)
        (told,) = events.next("running")[1]["runs"]
        assert told["curves"]["loss"]["x"] == [0, 1, 2, 3, 4]
        journal.metrics({"loss": 0.1}, step=5)
        live.server.page.watcher.look()
        (told,) = events.next("steps")[1]["runs"]
        assert told["curves"]["loss"] == {"x": [5], "y": [0.1]}
        events.close()
    journal.remove()
    assert run.outcome is Outcome.RUNNING


def test_a_new_reader_takes_no_points_from_the_others(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    with serving(repo) as live:
        first = Events(live)
        first.next("running")
        _, journal = begin_run(repo, search)
        journal.metrics({"loss": 0.5}, step=0)
        second = Events(live)
        assert second.next("running")[1]["runs"][0]["curves"]["loss"]["y"] == [0.5]
        assert first.next("steps")[1]["runs"][0]["curves"]["loss"]["y"] == [0.5]
        live.server.page.watcher.look()
        (told,) = first.next("running")[1]["runs"]
        assert told["curves"]["loss"]["y"] == [0.5]
        first.close()
        second.close()
    journal.remove()


def test_a_silent_run_is_said_to_be_stalled(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    _, journal = begin_run(repo, search)
    with serving(repo) as live:
        events = Events(live)
        (told,) = events.next("running")[1]["runs"]
        assert told["stalled"] is False
        past = time.time() - SILENCE_S - 60
        os.utime(journal.path, (past, past))
        live.server.page.watcher._judge_s = 0.0
        live.server.page.watcher.look()
        (told,) = events.next("running")[1]["runs"]
        assert (told["stalled"], told["state"]) == (True, "alive")
        events.close()
    journal.remove()


def test_a_run_whose_process_died_is_not_said_to_run(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    _, journal = begin_run(repo, search)
    process = read_journal(journal.path).process
    assert process is not None
    mark = replace(process, pid=2**22 - 7)
    journal.adopt(mark)
    before = files_below(repo.path / ".git")
    with serving(repo, read_only=True) as live:
        events = Events(live)
        (told,) = events.next("running")[1]["runs"]
        assert (told["state"], told["stalled"]) == ("dead", False)
        events.close()
    after = files_below(repo.path / ".git")
    assert {name for name in before if "journal" in name} <= set(after), "looking completes nothing"
    journal.close()


def test_moved_replaced_and_deleted_branches_are_followed(repo: RepoBuilder) -> None:
    search, runs = small_search(repo)
    with serving(repo) as live:
        look = live.server.page.watcher.look
        first = live.tip()
        search.decide(runs[0], Decision.KEEP, "good")
        search.finish()
        look()
        document = live.get("data").document
        assert document["story"]["0"][0]["text"] == "good"
        repo.git("pack-refs", "--all")
        repo.git("update-ref", "refs/heads/gitexp", first)
        look()
        assert live.get("data").document["story"] == {}
        repo.git("update-ref", "-d", "refs/heads/gitexp")
        look()
        assert live.get("data").document["n"] == 0
        repo.git("update-ref", "refs/heads/gitexp", first)
        look()
        assert live.get("data").document["n"] == 3


def test_a_damaged_cache_changes_no_answer(repo: RepoBuilder) -> None:
    search, runs = small_search(repo)
    with serving(repo) as live:
        index = repo.path / ".git" / "gitexp" / "index.sqlite"
        index.write_bytes(b"not a database" * 400)
        search.decide(runs[0], Decision.KEEP, "good")
        search.finish()
        index.write_bytes(b"not a database either" * 400)
        live.server.page.watcher.look()
        assert live.get("data").document["story"]["0"][0]["text"] == "good"
        index.unlink()
        assert live.say({"kind": "note", "run": runs[1].id, "text": "x"}).status == 200


def test_a_branch_that_cannot_be_read_is_said_and_tried_again(repo: RepoBuilder) -> None:
    small_search(repo)
    with serving(repo) as live:
        events = Events(live)
        tip = live.tip()
        ref = repo.path / ".git" / "refs" / "heads" / "gitexp"
        ref.write_text("0123456789" * 4 + "\n")
        watcher = live.server.page.watcher
        watcher.look()
        assert "gitexp" in events.next("fault")[1]["error"]
        assert live.get("data").document["n"] == 3, "the state before stays"
        ref.write_text(f"{tip}\n")
        watcher.look()
        assert events.next("data")[0] == "data"
        assert watcher.fault is None
        events.close()


def test_the_page_opens_without_runs_and_shows_the_first(repo: RepoBuilder) -> None:
    repo.commit({"train.py": "pass\n"}, "code")
    with serving(repo) as live:
        document = live.get("data").document
        assert (document["n"], document["metrics"]) == (0, [])
        small_search(repo)
        live.server.page.watcher.look()
        assert live.get("data").document["n"] == 3


def test_a_selection_follows_as_well(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    with serving(repo, select="lr > 0.15") as live:
        assert live.get("data").document["n"] == 2
        search.run({"lr": 0.4}, 0.9)
        search.finish()
        live.server.page.watcher.look()
        document = live.get("data").document
        assert (document["n"], document["total"]) == (3, 4)


def test_readers_hear_of_the_end(repo: RepoBuilder) -> None:
    small_search(repo)
    with serving(repo) as live:
        events = Events(live)
    assert events.next("end") == ("end", {})
    events.close()


def test_looking_changes_no_file_and_no_ref(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    _, journal = begin_run(repo, search)
    Workspace.open(repo.path).index.release()
    refs = repo.git("for-each-ref")
    before = files_below(repo.path)
    with serving(repo, read_only=True) as live:
        events = Events(live)
        live.get("data")
        for _ in range(3):
            live.server.page.watcher.look()
        events.close()
    after = files_below(repo.path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert all(Path(name).name.startswith("index.sqlite") for name in changed), changed
    assert not set(before) - set(after)
    assert repo.git("for-each-ref") == refs
    journal.remove()


# --- one journal ----------------------------------------------------------------------------------


def test_a_journal_is_read_on_where_it_ended(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    _, journal = begin_run(repo, search)
    followed = FollowedRun(Workspace.open(repo.path), journal.path)
    assert followed.read_on()
    assert not followed.read_on()
    journal.metrics({"a": 1.0})
    journal.metrics({"a": 2.0, "b": float("nan")}, printed=True)
    assert followed.read_on()
    assert followed.take_fresh() == {"a": {"x": [0], "y": [1.0]}}, "what it logs wins over prints"
    with journal.path.open("ab") as file:
        file.write(b"00000000 {torn\n")
    journal.metrics({"a": 3.0}, step=7, time_s=2.5)
    with journal.path.open("ab") as file:
        file.write(b"half of a li")
    assert followed.read_on()
    assert followed.values["a"] == 3.0
    assert followed.step == 7
    assert followed.state().value == "alive"
    journal.end(CommandEnding(Outcome.SUCCEEDED, 0, 3.0))
    journal.seal(b"", series=[])
    assert followed.read_on()
    assert followed.state().value == "sealed"
    journal.remove()
    with pytest.raises(FileNotFoundError):
        followed.read_on()


def test_a_long_curve_keeps_its_peaks_and_its_room(repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    _, journal = begin_run(repo, search)
    followed = FollowedRun(Workspace.open(repo.path), journal.path)
    for step in range(3 * MOST_POINTS):
        journal.metrics({"a": 9.0 if step == 1234 else step / 1e4}, step=step, time_s=60.0 * step)
    followed.read_on()
    curve = followed.curves["a"]
    assert len(curve.y) <= MOST_POINTS
    assert max(curve.y) == 9.0
    assert curve.x[-1] == 3 * MOST_POINTS - 1
    assert followed.silence_s() == SILENCE_S, "five minutes are less than ten"
    journal.remove()
