"""Damaged objects: the list names unreadable runs, hides no others, and says so."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns.field import BRANCH, Field, read_records
from tests.conftest import MakeRepo, RepoBuilder


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


KEPT = ("runs", "series", "environments", "annotations")

DAMAGES: dict[str, Callable[[Path], None]] = {
    "emptied": empty,
    "truncated": truncate,
    "flipped": flip,
    "deleted": Path.unlink,
}


def make_branch(repo: RepoBuilder, runs: int) -> Field:
    """Create a branch with `count` sealed runs."""
    from gitexp.api.tracker import Tracker

    ground = Field(repo)
    tracker = Tracker(repo.path)
    for n in range(runs):
        run = tracker.log({"metrics": {"value": n}})
        ground.acknowledged[run.id] = n
    return ground


def objects_of(repo: RepoBuilder) -> dict[str, str]:
    """Return every object of the newest tree with its path, without the history."""
    entries = repo.git("ls-tree", "-r", "-t", BRANCH).splitlines()
    found = {line.split("\t")[1]: line.split()[2] for line in entries}
    return {oid: path for path, oid in found.items()}


def damage_all(ground: Field, damages: list[str], share: float) -> tuple[int, int]:
    """Damage each object in turn. Return the numbers of damages and of noticed ones."""
    rng = random.Random(17)
    seen = tried = 0
    for oid, path in objects_of(ground.repo).items():
        if rng.random() > share or path.partition("/")[0] not in KEPT:
            continue
        file = ground.repo.path / ".git/objects" / oid[:2] / oid[2:]
        whole = file.read_bytes()
        file.chmod(0o644)
        for name in damages:
            DAMAGES[name](file)
            tried += 1
            seen += look(ground, oid, path)
            file.write_bytes(whole)
    forget_index(ground)
    assert ground.exp("list", "--name-only").status == 0
    ground.check()
    return tried, seen


def look(ground: Field, oid: str, path: str) -> bool:
    """List without an index: it shows complete runs, names the others, and exits with an error."""
    forget_index(ground)
    listed = ground.exp("list", "--name-only")
    assert "bug in gitexp" not in listed.err, listed.err
    shown = set(listed.out.split())
    below = {run for run in ground.acknowledged if f"/{run}" in path or lies_below(run, path)}
    if path.partition("/")[0] == "runs":
        assert set(ground.acknowledged) - shown <= below
        assert listed.status != 0, "a damaged record was not noticed"
        assert path in listed.err or oid[:7] in listed.err
        unseen = set(ground.acknowledged) - shown
        assert is_file(path) or len(unseen) > 4 or all(run in listed.err for run in unseen)
        return True
    assert set(ground.acknowledged) <= shown
    assert is_file(path) or (listed.status != 0 and path in listed.err), "a folder was not missed"
    return listed.status != 0


def is_file(path: str) -> bool:
    return path.endswith((".toml", ".csv", ".md"))


def lies_below(run: str, folder: str) -> bool:
    """Return whether the record of a run is below a directory, if known."""
    return not is_file(folder) and (folder.count("/") < 2 or folder.endswith(f"/{run[:2]}"))


def forget_index(ground: Field) -> None:
    for file in ground.state.glob("index.sqlite*"):
        file.unlink()


def test_damage_to_some_objects_is_noticed(repo: RepoBuilder) -> None:
    ground = make_branch(repo, 6)
    tried, _ = damage_all(ground, ["flipped", "deleted"], share=0.5)
    assert tried >= 6


def test_damaged_directory_hides_only_its_own_runs(make_repo: MakeRepo) -> None:
    """Recording still works; the remote has the lost objects."""
    repo, hub = make_repo("here"), make_repo("hub")
    repo.git("remote", "add", "origin", str(hub.path))
    ground = make_branch(repo, 3)
    assert ground.exp("push").status == 0
    lost = sorted(ground.acknowledged)[1]
    foreign = repo.git("commit-tree", "gitexp^{tree}", "-p", "gitexp", "-m", "x\n\nRun-Id: ../?")
    repo.git("update-ref", BRANCH, foreign)
    folder = next(
        path
        for path in objects_of(repo).values()
        if path.endswith(f"/{lost[:2]}") and "runs" in path
    )
    tree = repo.git("rev-parse", f"{BRANCH}:{folder}")
    ground.next_command_works()  # the next command adds the last run to the index
    damage(repo, tree)
    assert set(ground.next_command_works()) == set(ground.acknowledged), "the index knows them"
    forget_index(ground)
    for _ in range(2):  # without the index, then from it
        listed = ground.exp("list", "--name-only")
        assert set(listed.out.split()) == set(ground.acknowledged) - {lost}
        assert (listed.status, folder in listed.err, lost in listed.err) == (125, True, True)
    done = ground.record(4)
    assert done.status == 0 or done.out[:2] == lost[:2], done.err
    shown = ground.exp("list", "--name-only")
    assert set(shown.out.split()) == set(ground.acknowledged) - {lost}
    assert (shown.status, lost in shown.err) == (125, True)
    mended = ground.exp("doctor", "--fix")
    assert mended.status == 0, mended.out + mended.err
    assert set(ground.next_command_works()) == set(ground.acknowledged)
    ground.check()


def damage(repo: RepoBuilder, oid: str) -> None:
    """Flip a bit of a loose object."""
    file = repo.path / ".git/objects" / oid[:2] / oid[2:]
    file.chmod(0o644)
    flip(file)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_damage_to_every_object_is_noticed(repo: RepoBuilder) -> None:
    ground = make_branch(repo, 100)
    tried, seen = damage_all(ground, list(DAMAGES), share=1)
    print(f"{tried} damages, {seen} noticed by list")


def test_branch_with_a_damaged_tip_is_not_started_anew(repo: RepoBuilder) -> None:
    """A damaged branch is not empty: no record starts a new root beside the old history."""
    ground = make_branch(repo, 2)
    tip = repo.git("rev-parse", "gitexp")
    file = repo.path / ".git/objects" / tip[:2] / tip[2:]
    file.chmod(0o644)
    file.write_bytes(b"")
    done = ground.record(3)
    assert done.status == 128
    assert "bug in gitexp" not in done.err
    assert (repo.path / ".git/refs/heads/gitexp").read_text().strip() == tip


def test_truncated_pack_is_noticed(repo: RepoBuilder) -> None:
    ground = make_branch(repo, 4)
    subprocess.run(["git", "gc", "--quiet"], cwd=repo.path, check=True)
    (pack,) = (repo.path / ".git/objects/pack").glob("*.pack")
    pack.chmod(0o644)
    whole = pack.read_bytes()
    pack.write_bytes(whole[: len(whole) // 2])
    forget_index(ground)
    listed = ground.exp("list", "--name-only")
    assert listed.status != 0
    assert "bug in gitexp" not in listed.err
    pack.write_bytes(whole)
    forget_index(ground)
    assert ground.exp("list", "--name-only").status == 0
    assert len(read_records(repo)) == 4
