"""Branches of earlier versions stay readable: a sample branch for each format."""

import subprocess
from pathlib import Path

import pytest

from gitexp.core.model.run import Decision, Outcome
from gitexp.core.schema.toml_codec import decode_run
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def format_1(tmp_path: Path) -> Workspace:
    """Clone the sample branch of format 1: nine runs, one of them deleted."""
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", "main", SAMPLES / "format-1.bundle", "clone"],
        check=True,
        cwd=tmp_path,
    )
    clone = RepoBuilder(tmp_path / "clone")
    for branch in ("gitexp", "gitexp-code"):
        clone.git("branch", "--no-track", branch, f"origin/{branch}")
    return Workspace.open(clone.path)


def test_records_of_format_1_are_read(format_1: Workspace) -> None:
    entries = [format_1.index.entry(run) for run in format_1.index.ids()]
    assert [entry.run.name for entry in entries] == [
        *("balmy-pebble", "cosmic-delta", "easy-rabbit", "warm-hare"),
        *("mellow-alder", "fluent-lily", "alert-maple", "bold-tern"),
    ]
    by_name = {entry.run.name: entry for entry in entries}
    assert by_name["easy-rabbit"].run.outcome is Outcome.FAILED
    assert by_name["warm-hare"].decision is not None
    assert by_name["warm-hare"].decision.decision is Decision.DISCARD
    assert by_name["warm-hare"].tags == ("rejected",)
    assert by_name["bold-tern"].run.params == {"lr": 0.1, "seed": 1}
    assert by_name["balmy-pebble"].run.reproduces == by_name["mellow-alder"].run.id
    assert by_name["cosmic-delta"].run.code.dirty


def test_the_sample_of_format_1_holds_records_of_schema_1(format_1: Workspace) -> None:
    """Otherwise the test above proves nothing."""
    for run in format_1.index.ids():
        entry = format_1.index.entry(run)
        stored = format_1.branch.load_run(run, entry.run.started)
        assert stored == entry.run
    listed = format_1.repo.git("grep", "-l", "^schema = 1$", "gitexp", "--", "runs").stdout
    assert len(listed.splitlines()) == len(format_1.index.ids())


def test_a_record_of_schema_1_is_a_record_of_schema_2_without_the_new_fields(
    format_1: Workspace,
) -> None:
    path = format_1.repo.git("ls-tree", "-r", "--name-only", "gitexp", "runs").stdout.split()[0]
    data = format_1.repo.git("cat-file", "blob", f"gitexp:{path.decode()}").stdout
    assert b"schema = 1\n" in data
    assert decode_run(data) == decode_run(data.replace(b"schema = 1\n", b"schema = 2\n", 1))
