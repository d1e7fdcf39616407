"""`git maintenance` runs in the background, so that loose objects do not accumulate."""

import os
import time
from pathlib import Path

import pytest

from gitexp.adapters.git import maintenance
from gitexp.adapters.git.maintenance import INTERVAL_S, MARK, start_maintenance
from gitexp.adapters.git.process import GitRunner
from gitexp.adapters.git.repository import Repo
from tests.conftest import RepoBuilder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record background processes instead of starting them."""
    found: list[list[str]] = []
    monkeypatch.setattr(GitRunner, "detach", lambda _self, argv, **_more: found.append(list(argv)))
    return found


def age(repo: Repo, seconds: float) -> None:
    """Set the time of the last maintenance to this many seconds ago."""
    then = time.time() - seconds
    os.utime(repo.state_dir / MARK, (then, then))


def test_the_first_record_only_starts_the_clock(
    repo: RepoBuilder, started: list[list[str]]
) -> None:
    found = Repo.discover(repo.path)
    assert not start_maintenance(found)
    assert not started
    assert (found.state_dir / MARK).exists()


def test_maintenance_starts_at_most_once_in_ten_minutes(
    repo: RepoBuilder, started: list[list[str]]
) -> None:
    found = Repo.discover(repo.path)
    start_maintenance(found)
    age(found, INTERVAL_S + 1)
    assert start_maintenance(found)
    assert not start_maintenance(found)
    assert started == [["git", "maintenance", "run", "--auto", "--quiet"]]


def test_maintenance_starts_after_the_clock_was_set_back(
    repo: RepoBuilder, started: list[list[str]]
) -> None:
    found = Repo.discover(repo.path)
    start_maintenance(found)
    age(found, -86400)
    assert start_maintenance(found)
    assert len(started) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("gc.auto", "0"), ("maintenance.auto", "false"), ("maintenance.auto", "no")],
)
def test_settings_turn_maintenance_off(
    repo: RepoBuilder, started: list[list[str]], key: str, value: str
) -> None:
    start_maintenance(Repo.discover(repo.path))
    repo.git("config", key, value)
    found = Repo.discover(repo.path)
    age(found, INTERVAL_S + 1)
    assert not start_maintenance(found)
    assert not started


def test_failing_maintenance_is_ignored(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise OSError("no processes left")

    found = Repo.discover(repo.path)
    start_maintenance(found)
    age(found, INTERVAL_S + 1)
    monkeypatch.setattr(GitRunner, "detach", fail)
    assert not start_maintenance(found)


def test_loose_objects_are_packed_without_waiting(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("config", "gc.auto", "20")
    for number in range(600):
        (repo.path / "file").write_text(str(number))
        repo.git("hash-object", "-w", "file")
    repo.commit({"kept": "x"})
    found = Repo.discover(repo.path)
    monkeypatch.setattr(maintenance, "INTERVAL_S", 0.0)
    began = time.monotonic()
    start_maintenance(found)
    start_maintenance(found)
    assert time.monotonic() - began < 2
    packs = Path(found.common_dir, "objects", "pack")
    deadline = time.monotonic() + 60
    while not list(packs.glob("*.pack")):
        assert time.monotonic() < deadline, "git never came"
        time.sleep(0.05)
    while (found.common_dir / "gc.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
