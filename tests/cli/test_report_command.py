"""`git exp report`: what it writes, and one sentence for everything that is in the way."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitexp.api.tracker import Tracker
from gitexp.features.report.page import read_program, read_static, read_style
from tests.cli.conftest import Done, Exp

LIMIT = 200 * 1024


def payload_of(file: Path) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(r'id="payload">([A-Za-z0-9+/=]+)</script>', file.read_text())
    assert found is not None
    payload: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return payload


def test_one_file_has_everything(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.2", "first", "-m", "a start")
    train("0.1", "second", "-m", "a lower rate")
    exp("decide", "last", "keep", "-m", "better")
    done = exp("report", "-o", "page.html")
    assert re.fullmatch(r"wrote 2 runs to page\.html \(\d+ KB\)", done.err)
    payload = payload_of(exp.repo.path / "page.html")
    assert payload["n"] == 2
    assert payload["metrics"][0]["name"] == "accuracy"
    assert payload["metrics"][0]["best"]["mean"] == 0.9
    assert payload["metrics"][0]["first"]["verdict"]["answer"] == "better"
    assert [idea["reason"] for idea in payload["ideas"]] == ["a start", "a lower rate"]
    assert payload["series"]["0"]["loss"]["x"] == [0, 1, 2]
    assert payload["columns"]["params.lr"] == {"num": [0.2, 0.1]}
    assert payload["story"]["1"][0]["text"] == "better"
    assert payload["brief"]["best"]["row"] == 1


def test_a_large_file_numbers_groups_in_place_of_fingerprints(
    exp: Exp, train: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.features.report.payload.MOST_FINGERPRINTS", 2)
    train("0.2", "first")
    train("0.1", "second")
    exp("report", "-o", "page.html")
    columns = payload_of(exp.repo.path / "page.html")["columns"]
    assert len(columns["fingerprint"]["raw"]) == 2
    assert columns["trial"] == {"time": [1, 1]}
    train("0.2", "third", "--again")
    exp("report", "-o", "page.html")
    columns = payload_of(exp.repo.path / "page.html")["columns"]
    assert "fingerprint" not in columns
    assert columns["trial"] == columns["cell"] == {"time": [1, 1, -1]}


def test_the_policy_names_both_programs_and_the_style(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.2", "first")
    exp("report", "-o", "page.html")
    text = (exp.repo.path / "page.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    for part in (read_program(), read_static("uplot/uPlot.js"), read_style()):
        assert f">{part}</" in text
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert "Permission is hereby granted" in text
    assert not re.search(r"https?://(?!github\.com/leeoniya|www\.w3\.org)", text)


def test_the_program_is_small() -> None:
    parts = (read_program(), read_static("uplot/uPlot.js"), read_style(), read_static("page.html"))
    assert sum(len(part.encode()) for part in parts) <= LIMIT


def test_chosen_runs_are_judged_among_themselves(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.2", "first")
    train("0.1", "second")
    train("0.3", "third")
    exp("report", "-o", "page.html", "--select", "lr > 0.15", "--title", "a <b>")
    payload = payload_of(exp.repo.path / "page.html")
    assert (payload["n"], payload["total"], payload["select"]) == (2, 3, "lr > 0.15")
    assert payload["metrics"][0]["best"]["row"] == 0
    assert payload["brief"]["total"] == 2
    assert "<title>a &lt;b&gt;: runs</title>" in (exp.repo.path / "page.html").read_text()


def test_nobody_is_named_when_asked_to(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.2", "first", "-m", "Ada Test said so on main-frame")
    exp("note", "last", "ask ada@example.org")
    exp.repo.commit({"other.py": "# written by Ada Test\n"}, "signed")
    train("0.1", "second", "--parent", "first")
    exp("report", "-o", "page.html", "--anonymous")
    payload = payload_of(exp.repo.path / "page.html")
    text = json.dumps(payload)
    assert "Ada" not in text
    assert "ada@" not in text
    assert exp.repo.head not in text
    assert exp.repo.git("rev-parse", "HEAD^{tree}") not in text
    assert payload["columns"]["author"]["raw"] == ["author 1", "author 1"]
    assert payload["columns"]["reason"]["raw"] == ["author 1 said so on main-frame", None]
    assert "+# written by author 1" in payload["patches"]["tree 1 tree 2"]


def test_every_point_is_there_when_asked_for(exp: Exp) -> None:
    script = (
        "import math\n"
        "for step in range(2000):\n"
        "    print(f'METRIC loss={math.sin(step) + 2!r} step={step}')\n"
    )
    exp.repo.commit({"long.py": script}, "long")
    exp("run", "-q", "--", "python", "long.py")
    exp("report", "-o", "thin.html")
    exp("report", "-o", "full.html", "--full")
    thin, full = (payload_of(exp.repo.path / f"{n}.html")["series"]["0"] for n in ("thin", "full"))
    assert len(thin["loss"]["y"]) <= 500
    assert len(full["loss"]["y"]) == 2000
    assert abs(max(thin["loss"]["y"]) - max(full["loss"]["y"])) < 1e-5
    assert abs(min(thin["loss"]["y"]) - min(full["loss"]["y"])) < 1e-5


def test_what_was_there_stays_until_the_page_is_whole(
    exp: Exp, train: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    train("0.2", "first")
    file = exp.repo.path / "page.html"
    file.write_text("before")

    def full_disk(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full_disk)
        done = exp("report", "-o", "page.html", check=128)
    assert done.err.splitlines()[:2] == [
        "error: cannot write to 'page.html'",
        "because: No space left on device",
    ]
    assert file.read_text() == "before"
    assert sorted(p.name for p in exp.repo.path.iterdir() if "page" in p.name) == ["page.html"]
    exp("report", "-o", "page.html")
    assert file.read_text().startswith("<!doctype html>")


def test_what_is_in_the_way_is_said_in_one_sentence(exp: Exp, train: Callable[..., Done]) -> None:
    done = exp("report", "-o", "page.html", check=128)
    assert done.err.splitlines()[0] == "error: there are no runs to report"
    train("0.2", "first")
    for options, code, said in (
        ((), 128, "error: say where the page is to go"),
        (("-o", "no/such/page.html"), 128, "error: cannot write to 'no/such/page.html'"),
        (("-o", "."), 128, "error: cannot write to '.'"),
        (
            ("-o", "p.html", "--select", "lr > 7"),
            128,
            "error: the only run does not match: lr > 7",
        ),
        (("-o", "p.html", "--select", "nothing > 7"), 128, "error: no run has 'nothing'"),
        (("-o", "p.html", "--metric", "speed"), 128, "error: no run has a metric 'speed'"),
    ):
        done = exp("report", *options, check=code)
        assert done.err.splitlines()[0] == said, options
    assert not (exp.repo.path / "p.html").exists()


def test_a_search_without_a_metric_has_a_page(exp: Exp) -> None:
    exp("run", "-q", "--", "python", "-c", "pass")
    exp("report", "-o", "page.html")
    payload = payload_of(exp.repo.path / "page.html")
    assert payload["metrics"] == []
    assert payload["line"] == []
    assert len(payload["ideas"]) == 1


def test_a_run_with_thousands_of_metrics_has_a_page(exp: Exp) -> None:
    Tracker().log({"params": {"lr": 1}, "metrics": {f"m{n}": n / 7 for n in range(10_000)}})
    exp("report", "-o", "page.html")
    payload = payload_of(exp.repo.path / "page.html")
    assert payload["columns"]["metrics.m9999"] == {"num": [9999 / 7]}
    assert (exp.repo.path / "page.html").stat().st_size < 1_000_000


def test_an_idea_shows_the_trial_that_ranks_first_not_a_lucky_run(exp: Exp) -> None:
    trials = [(1, 0, 0.8), (1, 1, 0.81), (1, 2, 0.805), (2, 0, 0.806)]
    for lr, seed, accuracy in trials:
        Tracker().log({"params": {"lr": lr, "seed": seed}, "metrics": {"accuracy": accuracy}})
    exp("report", "-o", "page.html")
    payload = payload_of(exp.repo.path / "page.html")
    (idea,) = payload["ideas"]
    assert idea["best"] == payload["metrics"][0]["best"]
    assert idea["best"]["n"] == 3


# --- the comment ----------------------------------------------------------------------------------


def test_the_comment_tells_what_the_branch_did(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.3", "before")
    exp.repo.branch("faster")
    exp.repo.commit({"note.py": "print(1)\n"}, "a change")
    train("0.2", "after", "-m", "a lower rate, as @octocat said in #12 on https://evil.example")
    exp("decide", "last", "keep", "-m", "better <b>")
    comment = exp("report", "--md", "--base", "main").out
    first, headline = comment.splitlines()[0], comment.splitlines()[2]
    assert first == "<!-- git-exp-report -->"
    assert headline.startswith("### accuracy 0.8: better than main, <1> before, 0.7 (+14")
    assert "> a lower rate, as &#64;octocat said in &#35;12 on https&#58;//evil.example" in comment
    assert re.search(r"\| lr +\| +0\.3 \| +0\.2 \|", comment)
    assert "Code: note.py +1 -0" in comment
    assert "**Best so far:** accuracy 0.8 (one run) by <2> after" in comment
    assert "- keep <2> after: better &lt;b&gt;" in comment
    assert comment.count("<details>") == comment.count("</details>") == 1
    assert "@" not in comment


def test_the_comment_without_a_base_is_about_the_last_run(
    exp: Exp, train: Callable[..., Done]
) -> None:
    train("0.3", "first")
    assert "accuracy: nothing to compare" not in exp("report", "--md").out
    assert "succeeded, nothing to compare with" in exp("report", "--md").out
    train("0.4", "second")
    assert "### accuracy 0.6: worse than the best other trial" in exp("report", "--md").out
    exp("report", "--md", "-o", "comment.md")
    assert (exp.repo.path / "comment.md").read_text().startswith("<!-- git-exp-report -->")


def test_the_comment_fits_a_forge(exp: Exp) -> None:
    for n in range(2):
        many = {f"m{k}_{'x' * 150}": k + n for k in range(300)}
        given = {f"p{k}_{'y' * 150}": k + n for k in range(300)}
        Tracker().log({"params": given, "metrics": many, "reason": "z" * 60_000})
    comment = exp("report", "--md").out
    assert len(comment) < 65_536
    assert comment.startswith("<!-- git-exp-report -->")
    assert comment.count("<details>") == comment.count("</details>")


def test_what_a_comment_needs_is_said(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.3", "first")
    for options, said in (
        (("--base", "main"), "error: --base goes with --md"),
        (("--md", "--base", "nowhere"), "error: there is no commit 'nowhere' here"),
        (("--md", "--base", "main"), "error: there are no runs of the commits after 'main'"),
    ):
        assert exp("report", *options, check=128).err.splitlines()[0] == said


def test_comment_names_changes_of_the_command_and_of_inputs(exp: Exp) -> None:
    exp.repo.commit({"t.py": "import sys; print('METRIC accuracy=' + sys.argv[1])", "d.csv": "1"})
    exp("run", "-q", "--input", "d.csv", "--", "python", "t.py", "0.5")
    exp.repo.write("d.csv", "2")
    exp("run", "-q", "--input", "d.csv", "--", "python", "t.py", "0.6")
    comment = exp("report", "--md").out
    assert re.search(r"command +\| python t\.py 0\.5 +\| python t\.py 0\.6", comment), comment
    assert re.search(r"\| d\.csv +\|", comment), comment
    exp("run", "-q", "--again", "--input", "d.csv", "--", "python", "t.py", "0.6")
