"""Parent of a run that names none: the newest own run on this code, or the applied one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import TRAIN, Done, Exp


def parents(exp: Exp) -> dict[str, tuple[str | None, str | None]]:
    """Return parent and rule of each run, by the name of the run."""
    runs: list[dict[str, Any]] = json.loads(exp("list", "--json").out)["runs"]
    names = {run["id"]: run["name"] for run in runs}
    return {run["name"]: (names.get(run.get("parent", "")), run.get("parent_rule")) for run in runs}


def edit(exp: Exp, mark: str) -> None:
    exp.repo.write("train.py", f"# {mark}\n{TRAIN}")


def test_parent_is_the_newest_run_on_the_same_code(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    edit(exp, "an edit")
    train("0.2", "second")
    exp.repo.commit({"train.py": f"# kept\n{TRAIN}"}, "kept")
    train("0.3", "third")
    train("0.4", "fourth", "--parent", "first")
    assert parents(exp) == {
        "first": (None, None),
        "second": ("first", "newest"),
        "third": ("second", "newest"),
        "fourth": ("first", None),
    }
    told = " (not named: the newest run that this code builds on)"
    assert f"parent      <1>{told}\n" in exp("show", "second").out
    assert "parent      <1>\n" in exp("show", "fourth").out
    log = exp("log").out
    assert log.count("Parent:") == 1


def test_rejected_failed_and_repeated_runs_are_no_parents(
    exp: Exp, train: Callable[..., Done]
) -> None:
    train("0.1", "first")
    train("0.2", "worse")
    exp("decide", "last", "discard")
    exp("run", "-n", "crash", "--", "python", "-c", "raise SystemExit(3)", check=3)
    exp("reproduce", "first", check=None)
    train("0.3", "next")
    assert parents(exp)["next"] == ("first", "newest")


def test_repeats_of_a_trial_share_their_parent(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    for n in (1, 2):
        train("0.2", f"seed-{n}", "-S", f"seed={n}")
    train("0.2", "seed-1-again", "-S", "seed=1")
    train("0.3", "next")
    found = parents(exp)
    for name in ("seed-1", "seed-2", "seed-1-again"):
        assert found[name] == ("first", "newest"), name
    assert found["next"] == ("seed-1-again", "newest")


def test_a_run_of_another_branch_is_no_parent(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "base")
    exp.repo.branch("topic")
    exp.repo.commit({"train.py": f"# topic\n{TRAIN}"}, "topic")
    train("0.2", "aside")
    exp.repo.git("checkout", "--quiet", "main")
    train("0.3", "next")
    assert parents(exp)["aside"] == ("base", "newest")
    assert parents(exp)["next"] == ("base", "newest")


def test_runs_of_other_sessions_are_no_parents(
    exp: Exp, train: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    train("0.1", "mine")
    monkeypatch.setenv("GITEXP_SESSION", "agent-2")
    train("0.2", "theirs")
    train("0.3", "theirs-too")
    assert parents(exp)["theirs"] == (None, None)
    assert parents(exp)["theirs-too"] == ("theirs", "newest")


def test_applied_run_is_the_parent(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    edit(exp, "an edit")
    train("0.2", "second")
    exp.repo.git("checkout", "--quiet", "--", "train.py")
    train("0.3", "third")
    exp("apply", "second", "--dry-run")
    train("0.31", "fourth")
    exp("apply", "second")
    exp("decide", "fourth", "discard")
    train("0.4", "fifth")
    exp("decide", "fifth", "discard")
    train("0.5", "sixth")
    train("0.6", "seventh")
    found = parents(exp)
    assert found["fourth"] == ("third", "newest")
    assert found["fifth"] == ("second", "applied")
    assert found["sixth"] == ("second", "applied")
    assert found["seventh"] == ("sixth", "newest")
    assert "Parent:" in exp("log", "fifth").out


def test_run_applied_on_another_branch_is_no_parent(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    exp.repo.branch("topic")
    exp.repo.commit({"other.py": "1\n"}, "topic")
    exp("apply", "first", "--json")
    exp.repo.git("checkout", "--quiet", "main")
    train("0.2", "second")
    assert parents(exp)["second"] == ("first", "newest")


def test_a_derived_parent_takes_up_no_hint(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    exp("decide", "last", "keep", "--next", "halve lr")
    train("0.2", "second")
    assert parents(exp)["second"] == ("first", "newest")
    assert [hint["hint"] for hint in json.loads(exp("brief", "--json").out)["hints"]] == [
        "halve lr"
    ]
    train("0.3", "third", "--parent", "first")
    assert json.loads(exp("brief", "--json").out)["hints"] == []


def test_tried_creates_no_session(exp: Exp) -> None:
    exp("tried", "--", "python", "train.py", "--lr", "0.1")
    assert not (exp.repo.path / ".git/gitexp/sessions").exists()
