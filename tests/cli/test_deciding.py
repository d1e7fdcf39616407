"""Further decisions about a run, in the same or another clone."""

import json
import re
from collections.abc import Callable

import pytest

from tests.cli.conftest import Done, Exp
from tests.conftest import RepoBuilder


def test_second_decision_names_the_first(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    assert exp("decide", "last", "keep", "-m", "good").err == "run <1> first decided keep: good"
    assert exp("decide", "last", "discard", "-m", "bad").err == (
        "run <1> first decided discard: bad\nbefore: keep by Ada Test, AGO: good"
    )
    shown = exp("show", "last").out
    assert "discard: bad (Ada Test, AGO)\n  before: keep: good (Ada Test, AGO)" in shown


@pytest.fixture
def apart(
    exp: Exp, train: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, capfd: None
) -> Exp:
    """A run with decisions from two clones, one of them after three notes."""
    hub = exp.repo.path.parent / "hub.git"
    exp.repo.git("init", "--quiet", "--bare", str(hub))
    exp.repo.git("remote", "add", "origin", str(hub))
    train("0.1", "first")
    exp.repo.git("push", "--quiet", "origin", "main")
    exp("push")
    exp.repo.git("clone", "--quiet", "--branch", "main", str(hub), str(hub.parent / "ben"))
    ben = Exp(RepoBuilder(hub.parent / "ben"), exp._capfd)
    monkeypatch.chdir(ben.repo.path)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ben Other")
    ben("fetch")
    ben("decide", "first", "discard", "-m", "it diverges", "--next", "halve lr")
    ben("push")
    monkeypatch.chdir(exp.repo.path)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Test")
    for word in ("one", "two", "three"):
        exp("note", "first", word)
    exp("decide", "first", "keep", "-m", "good")
    exp("sync")
    return exp


def test_independent_decisions_are_shown_until_one_settles_them(apart: Exp) -> None:
    exp = apart
    shown = exp("show", "first").out
    assert re.search(
        r"  discard: it diverges \(Ben Other, AGO\)\n"
        r"  next: halve lr\n"
        r"  keep: good \(Ada Test, AGO\)\n"
        r"  disputed: made apart; discard counts until a later decision settles it\n",
        shown,
    )
    assert "discard/keep" in exp("list").out
    assert exp("list", "--where", "disputed", "--name-only").out == "<run 1>"
    assert exp("list", "--where", "decision == 'keep'", "--name-only").out == ""
    assert exp("list", "--where", "decision == 'discard'", "--name-only").out == "<run 1>"
    run = json.loads(exp("list", "--json").out)["runs"][0]
    assert run["decision"] == "discard"
    assert run["disputed"] == ["discard", "keep"]
    refused = exp("run", "--", "python", "train.py", "--lr", "0.1", check=128)
    assert "it was decided: discard" in refused.err
    assert "[discard/keep]" in exp("log", "--oneline").out
    brief = json.loads(exp("brief", "--json").out)
    assert [hint["hint"] for hint in brief["hints"]] == ["halve lr"]
    assert [cause["disputed"] for cause in brief["rejected"]] == [["discard", "keep"]]

    settled = exp("decide", "first", "keep", "-m", "checked")
    assert settled.err == (
        "run <1> first decided keep: checked\n"
        "before: discard by Ben Other, AGO: it diverges\n"
        "before: keep by Ada Test, AGO: good\n"
        "these were made apart; this decision settles them"
    )
    assert exp("list", "--where", "disputed", "--name-only").out == ""
    assert exp("list", "--where", "decision == 'keep'", "--name-only").out == "<run 1>"


def test_decide_prints_json(apart: Exp) -> None:
    done = apart("decide", "first", "stop", "-m", "enough", "--json")
    assert done.err == ""
    document = json.loads(done.out)
    superseded = [old["id"] for old in document["superseded"]]
    assert [old["decision"] for old in document["superseded"]] == ["discard", "keep"]
    assert sorted(document["annotation"]["saw"]) == sorted(superseded)
    assert (document["name"], document["annotation"]["text"]) == ("first", "enough")


def test_note_tag_and_apply_print_json(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.1", "first")
    note = json.loads(exp("note", "last", "a word", "--json").out)
    assert note["annotation"]["text"] == "a word"
    tag = json.loads(exp("tag", "last", "b", "a", "--json").out)
    assert tag["tags"] == ["a", "b"]
    assert json.loads(exp("tag", "last", "-d", "a", "--json").out)["tags"] == ["b"]
    listed = json.loads(exp("tag", "last", "--json").out)
    assert listed["tags"] == ["b"]
    assert "annotation" not in listed
    begun = exp("start", "-n", "open")
    assert begun.code == 0
    open_note = json.loads(exp("note", "open", "-M", "loss=0.5", "--step", "3", "--json").out)
    assert (open_note["metrics"], open_note["step"]) == ({"loss": 0.5}, 3)

    exp.repo.commit({"train.py": "print('other')\n"}, "other code")
    planned = json.loads(exp("apply", "first", "--dry-run", "--json").out)
    assert (planned["written"], planned["applied"]) == (["train.py"], False)
    assert (exp.repo.path / "train.py").read_text() == "print('other')\n"
    assert json.loads(exp("apply", "first", "--json").out)["applied"] is True
    assert (exp.repo.path / "train.py").read_text() != "print('other')\n"
