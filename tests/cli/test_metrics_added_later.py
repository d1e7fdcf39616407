"""Metrics added to finished runs: every command counts them, the record does not change."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Exp


def document_of(exp: Exp, run: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("show", run, "--json").out)["runs"][0]
    return document


@pytest.fixture
def two(exp: Exp) -> Exp:
    """Two finished runs; the first one gets its metric later."""
    exp("run", "-q", "-n", "first", "--", "python", "-c", "print('done')")
    exp("run", "-q", "-n", "second", "--", "python", "-c", "print('METRIC rmse=0.6')")
    exp("note", "first", "-M", "rmse=0.4507")
    return exp


def test_the_record_stays_and_the_annotation_has_author_and_time(two: Exp) -> None:
    first = document_of(two, "first")
    assert first["metrics"] == {"rmse": 0.4507}
    assert "recorded_metrics" not in first
    (annotation,) = first["annotations"]
    assert annotation["kind"] == "metrics"
    assert annotation["metrics"] == {"rmse": 0.4507}
    assert first["added_metrics"]["rmse"] == {
        "by": annotation["id"],
        "time": annotation["time"],
        "author": annotation["author"],
    }
    listed = two.repo.git("ls-tree", "-r", "--name-only", "gitexp", "--", "runs").splitlines()
    run_id = two.ids()[0]
    (path,) = [path for path in listed if run_id in path]
    assert "rmse" not in two.repo.git("show", f"gitexp:{path}")
    subject = two.repo.git("log", "-1", "--format=%s", "gitexp")
    assert subject == f"metrics {run_id[:7]} first: rmse 0.4507"


def test_list_filter_sort_and_best_count_it(two: Exp) -> None:
    rows = [line.split() for line in two("list", "--sort-by", "rmse").out.splitlines()]
    assert [row[1] for row in rows[1:]] == ["first", "second"]
    assert "0.4507" in rows[1]
    assert two("list", "--where", "rmse < 0.5", "--porcelain").out.count("first") == 1
    assert two("best", "rmse", "-n", "1").out.splitlines()[1].split()[1] == "first"
    assert two("show", "best:rmse").out.startswith("run <run 1> first")


def test_compare_diff_log_brief_and_plot_count_it(two: Exp) -> None:
    assert "worse" in two("compare", "second", "first", check=None).out
    assert "0.4507" in two("compare", "second", "--json", check=None).out
    assert "0.4507" in two("diff", "first", "second").out
    assert "0.4507" in two("log").out
    assert json.loads(two("brief", "--json").out)["best"]["metrics"] == {"rmse": 0.4507}
    assert "0.45" in two("plot", "rmse", "--best").out
    assert "0.4507" in two("export", "--format", "csv").out


def test_show_marks_it(two: Exp) -> None:
    shown = two("show", "first").out
    assert "  rmse  0.4507 (minimize, a guess)  added later (" in shown
    assert "added later" not in two("show", "second").out


def test_the_later_value_wins_over_the_record_and_is_marked(two: Exp) -> None:
    two("note", "second", "-M", "rmse=0.5", "-M", "acc=97.3%")
    two("note", "second", "-M", "rmse=0.55")
    second = document_of(two, "second")
    assert second["metrics"] == {"rmse": 0.55, "acc": 97.3}
    assert second["recorded_metrics"] == {"rmse": 0.6}
    assert second["units"] == {"acc": "%"}
    assert "recorded: 0.6" in two("show", "second").out
    assert "97.3%" in two("show", "second").out


def test_added_metric_survives_a_rebuilt_index(two: Exp) -> None:
    before = two("list", "--json").out
    two("gc", "--rebuild-index")
    assert two("list", "--json").out == before
    assert two("list", "--where", "rmse < 0.5", "--porcelain").out.count("first") == 1


def test_a_step_is_refused_for_a_finished_run(two: Exp) -> None:
    done = two("note", "first", "-M", "rmse=1", "--step", "3", check=None)
    assert done.code != 0
    assert "the run is finished" in done.err
    assert document_of(two, "first")["metrics"] == {"rmse": 0.4507}


def test_value_beyond_the_limits_is_refused_without_loss(two: Exp) -> None:
    done = two("note", "first", "-M", "bad\x01name=1", check=None)
    assert done.code != 0
    assert document_of(two, "first")["metrics"] == {"rmse": 0.4507}


def test_open_manual_run_logs_metrics(exp: Exp) -> None:
    exp("start", "-n", "hand")
    exp("note", "hand", "-M", "loss=0.5", "--step", "1")
    exp("finish", "hand")
    document = document_of(exp, "hand")
    assert document["metrics"] == {"loss": 0.5}
    assert "added_metrics" not in document


def test_a_note_with_json_prints_the_metrics(two: Exp) -> None:
    document = json.loads(two("note", "first", "-M", "rmse=0.4", "--json").out)
    assert document["metrics"] == {"rmse": 0.4}
