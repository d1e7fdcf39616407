"""The listing of a branch in shares has the same runs and files as a listing in one piece."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.streamed_listing import list_lines
from gitexp.core.errors import CommandFailed
from gitexp.core.schema import layout
from gitexp.core.schema.toml_codec import encode_run
from gitexp.storage.cache.listing import cut, group, line_of
from tests.storage.branches import REF, Branch, make_annotation, make_run

RUNS = 60


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    """Create 60 runs of two months: every third with annotations, every fourth with a series."""
    made = Branch(tmp_path / "repo")
    runs = [make_run(n) for n in range(1, RUNS + 1)]
    made.put(*runs)
    for run in runs[::3]:
        made.annotate(run, make_annotation(run, 100), make_annotation(run, 101))
    for run in runs[::4]:
        made.write(layout.series_path(run.id, run.started), b"step,loss\n")
    made.write(layout.environment_path("ab" * 8), b'python = "3.11"\n')
    made.write("README.md", b"about").write("format.toml", b"format = 1\n")
    made.commit()
    return made


def lines_of(repo: Repo) -> list[str]:
    return [line for some in list_lines(repo, REF) for line in some]


def known(branch: Branch) -> dict[object, object]:
    """Return the files of every run, listed and parsed one by one."""
    found: dict[object, list[object]] = {}
    for entry in sorted(branch.repo.list_tree(REF), key=lambda entry: entry.path):
        place = layout.parse_path(entry.path)
        if place is not None and place.run is not None:
            found.setdefault(place.run, []).append((entry.path, place.kind, entry.oid))
    return dict(found)


def assert_shares(branch: Branch, lines: list[str], count: int) -> list[int]:
    """Verify that no run is split between shares. Return the number of runs in each share."""
    shares = [group(share) for share in cut(lines, count)]
    assert len(shares) <= count
    together = [run for share in shares for run in share]
    assert len({run for run, _ in together}) == len(together)
    assert dict(together) == known(branch)
    return [len(share) for share in shares]


@pytest.mark.parametrize("count", range(1, 8))
def test_shares_are_of_about_one_size(branch: Branch, count: int) -> None:
    lines = lines_of(branch.repo)
    sizes = assert_shares(branch, lines, count)
    assert len(sizes) == count
    assert max(sizes) <= -(-RUNS // count)
    assert assert_shares(branch, lines[::-1], count) == sizes


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_a_run_in_several_months_is_in_one_share(branch: Branch, count: int) -> None:
    runs = [make_run(n) for n in range(1, RUNS + 1, 7)]
    for n, run in enumerate(runs):
        moved = replace(run, started=run.started + timedelta(days=31 * n - 100))
        branch.write(layout.run_path(moved.id, moved.started), encode_run(moved))
        branch.annotate(moved, make_annotation(moved, 200 + n))
        branch.write(layout.rival_path(layout.run_path(run.id, run.started), "cd" * 20), b"x")
    branch.commit()
    assert_shares(branch, lines_of(branch.repo), count)


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_foreign_files_belong_to_no_run(branch: Branch, count: int) -> None:
    run = make_run(1)
    path = layout.run_path(run.id, run.started)
    for name in (
        *("runs/a", "runs/2026-11/x", "series/", "runs\U0010ffff/a", "zebra", "a/b/c/d"),
        *(f"{path}.bak", f"{path}/deeper", path.replace("runs/", "runs/runs/"), f"Runs/{path}"),
        *("annotations/2026-11/ab/abcd\ttab\nline.toml", "runs/é/\u2028"),
    ):
        if not name.endswith("/"):
            branch.write(
                f'"{name.encode("unicode_escape").decode()}"' if "\t" in name else name, b""
            )
    branch.write(path, None)
    branch.commit()
    assert_shares(branch, lines_of(branch.repo), count)


@pytest.mark.parametrize("count", [1, 3])
def test_of_no_runs_there_is_a_share_of_none(tmp_path: Path, count: int) -> None:
    branch = Branch(tmp_path / "repo").write("README.md", b"about")
    branch.commit()
    assert cut(lines_of(branch.repo), count) == [[]]
    assert cut([], count) == [[]]
    assert group("".split("\0")) == []


def test_a_line_of_our_own_is_understood_as_that_of_git(branch: Branch) -> None:
    ours = [line_of(entry.path, entry.oid) for entry in branch.repo.list_tree(REF)]
    assert group(ours) == group(lines_of(branch.repo))


def test_a_listing_has_the_files_of_a_tree(branch: Branch) -> None:
    branch.write("a/" + "long" * 200_000, b"x").write('"\\377\\t"', b"y").commit()
    entries = list(branch.repo.list_tree(REF))
    lines = [f"{entry.mode} {entry.kind} {entry.oid}\t{entry.path}" for entry in entries]
    assert lines_of(branch.repo) == lines


def test_a_listing_that_stops_is_no_shorter_listing(branch: Branch) -> None:
    with pytest.raises(CommandFailed, match="ls-tree"):
        list(list_lines(branch.repo, "refs/heads/nothing"))
    tree = branch.repo.git("ls-tree", REF).text
    folder = next(line.split()[2] for line in tree.splitlines() if line.endswith("\tseries"))
    missing = tree.replace(folder, "12" * 20).encode()
    damaged = branch.repo.git("mktree", "--missing", stdin=missing).text.strip()
    told: list[str] = []
    with pytest.raises(CommandFailed) as caught:
        told.extend(line for some in list_lines(branch.repo, damaged) for line in some)
    assert "12" * 20 in caught.value.stderr
    assert told
