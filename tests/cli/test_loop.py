"""The main commands as a user runs them, with their whole output."""

import json
import os
from collections.abc import Callable

import pytest

from gitexp.core.errors import GitexpError
from tests.cli.conftest import Done, Exp

Train = Callable[..., Done]


def test_first_run_is_reported(train: Train) -> None:
    done = train("0.20", "first")
    assert done.out == (
        "METRIC loss=0.2000 step=0\nMETRIC loss=0.1000 step=1\nMETRIC loss=0.0667 step=2\n"
        "METRIC accuracy=0.8000"
    )
    assert done.err == (
        "run <1> first: python train.py --lr 0.20\n"
        "run <1> first succeeded after TIME\n"
        "accuracy 0.8: nothing to compare with yet\n"
        "next: learn the noise once with `--repeat 5` on this trial, "
        "then change one thing and compare"
    )


def test_better_run_is_reported(train: Train) -> None:
    train("0.20", "first")
    done = train("0.15", "second")
    assert done.err == (
        "run <2> second: python train.py --lr 0.15\n"
        "run <2> second succeeded after TIME\n"
        "accuracy 0.85: better than the last, 0.80 (+6.25%); best so far; "
        "one run each, noise unknown; higher is better (a guess)\n"
        "next: continue improving from here; `--repeat 3` measures the noise"
    )


def test_a_declared_direction_is_no_guess(exp: Exp, train: Train) -> None:
    exp.repo.write("gitexp.toml", '[metrics.accuracy]\ndirection = "maximize"\n')
    train("0.20", "first")
    done = train("0.30", "second")
    assert (
        "accuracy 0.7: worse than the last, which is the best, 0.8 (-12.5%); one run each"
        in done.err
    )
    assert "guess" not in done.err


def test_list_prints_a_table(exp: Exp, train: Train) -> None:
    train("0.20", "first")
    train("0.15", "second")
    assert [line.split() for line in exp("list").out.splitlines()] == [
        ["id", "name", "age", "outcome", "accuracy", "loss", "lr"],
        ["<2>", "second", "AGO", "succeeded", "0.85", "0.05", "0.15"],
        ["<1>", "first", "AGO", "succeeded", "0.8", "0.0667", "0.2"],
    ]
    rows = exp("list", "--porcelain").out.splitlines()
    assert [row.split("\t")[:3] for row in rows] == [
        ["<run 2>", "second", "succeeded"],
        ["<run 1>", "first", "succeeded"],
    ]


def test_list_filters_and_sorts(exp: Exp, train: Train) -> None:
    for lr, name in (("0.3", "a"), ("0.1", "b"), ("0.2", "c")):
        train(lr, name)
    assert exp("list", "--name-only", "--sort-by", "accuracy").out.split("\n") == [
        "<run 2>",
        "<run 3>",
        "<run 1>",
    ]
    found = exp("list", "--name-only", "--where", "accuracy > 0.75 and lr < 0.15")
    assert found.out == "<run 2>"
    nothing = exp("list", "--where", "accuracy > 1")
    assert (nothing.out, nothing.err) == ("", "none of the 3 runs matches: accuracy > 1")


def test_list_json_is_versioned_and_complete(exp: Exp, train: Train) -> None:
    train("0.2", "first", "-m", "a start", "-t", "sweep")
    document = json.loads(exp("show", "last", "--json").out)
    assert document["schema"] == 1
    (shown,) = document["runs"]
    assert shown["params"] == {"lr": 0.2}
    assert shown["metrics"] == {"accuracy": 0.8, "loss": 0.0667}
    assert (shown["reason"], shown["tags"], shown["outcome"]) == ("a start", ["sweep"], "succeeded")
    assert shown["command"]["argv"] == ["python", "train.py", "--lr", "0.2"]


@pytest.mark.parametrize(("lr", "code"), [("0.1", 0), ("0.2", 125), ("0.3", 1)])
def test_exit_code_of_compare_is_its_answer(exp: Exp, train: Train, lr: str, code: int) -> None:
    train("0.2", "first")
    train(lr, "second", "--again")
    exp("compare", check=code)


def test_compare_without_another_trial_cannot_tell(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    done = exp("compare", check=125)
    assert done.err == (
        "error: there is nothing to compare run <1> with\n"
        "because: no other trial measured the same\n"
        "hint: change one thing and record a second trial: `git exp run -- CMD`"
    )


def test_diff_shows_causes_and_effects(exp: Exp, train: Train) -> None:
    train("0.20", "first")
    train("0.15", "second")
    lines = exp("diff", "first", "second").out.splitlines()
    assert lines[0] == "causes, from <1> first to <2> second:"
    assert "params" in lines and "effects:" in lines
    assert any(line.split()[:3] == ["lr", "0.2", "0.15"] for line in lines)
    assert "code" not in lines


def test_discarded_trial_is_refused_before_it_starts(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    exp("decide", "first", "discard", "-m", "too slow", "--next", "try 0.1")
    done = train("0.2", "again", check=128)
    assert done.out == ""
    assert done.err == (
        "this very trial was run before:\n"
        "  <1> first, AGO: succeeded, accuracy 0.8; decided discard: too slow; next: try 0.1\n"
        "error: not run: this very trial was tried before\n"
        "because: it was decided: discard\n"
        "hint: change the code, a parameter or the data\n"
        "hint: `--again` runs it anyway\n"
        "hint: not compared: other environment variables, and files that git ignores and no "
        "argument names; settings `env-params` and `inputs` add them"
    )
    assert len(exp.ids()) == 1


def test_again_runs_a_discarded_trial(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    exp("decide", "first", "stop")
    train("0.2", "again", "--again")
    assert len(exp.ids()) == 2


def test_later_decision_supersedes_an_earlier_one(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    exp("decide", "first", "discard", "-m", "wrong")
    exp("decide", "first", "keep", "-m", "was right after all")
    done = train("0.2", "again")
    assert "decided keep: was right after all" in done.err
    assert len(exp.ids()) == 2


def test_amend_rebase_and_readme_do_not_defeat_the_repeat_check(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    exp("tried", "--", "python", "train.py", "--lr", "0.2", check=1)
    exp.repo.git("commit", "--quiet", "--amend", "--message", "another message")
    exp.repo.commit({"README.md": "words\n"}, "words")
    exp("tried", "--", "python", "train.py", "--lr", "0.2", check=1)
    exp("tried", "--", "python", "train.py", "--lr", "0.4")
    exp.repo.commit({"helper.py": "x = 1\n"}, "code")
    exp("tried", "--", "python", "train.py", "--lr", "0.2")


def test_what_a_run_writes_does_not_defeat_the_repeat_check(exp: Exp) -> None:
    script = 'open("model.bin", "w").write("w"); open("metrics.json", "w").write(\'{"a": 1}\')\n'
    exp.repo.commit({"make.py": script}, "a writer")
    exp("run", "-n", "first", "--", "python", "make.py")
    done = exp("tried", "--", "python", "make.py", check=1)
    assert "first" in done.out
    assert json.loads(exp("show", "first", "--json").out)["runs"][0]["metrics"] == {"a": 1}


@pytest.mark.parametrize(
    ("policy", "code", "runs"),
    [("refuse", 128, 1), ("warn", 0, 2), ("skip", 0, 1), ("allow", 0, 2)],
)
def test_repeat_setting_decides_about_repeats(
    exp: Exp, train: Train, policy: str, code: int, runs: int
) -> None:
    exp.repo.git("config", "exp.repeat", policy)
    train("0.2", "first")
    exp("decide", "first", "discard")
    train("0.2", "again", check=code)
    assert len(exp.ids()) == runs


def test_a_failing_command_leaves_a_sealed_record(exp: Exp) -> None:
    script = 'print("METRIC loss=0.5", flush=True)\nraise SystemExit("no data")\n'
    exp.repo.commit({"bad.py": script}, "a failure")
    done = exp("run", "-n", "bad", "--", "python", "bad.py", check=1)
    assert "run <1> bad failed with exit code 1 after TIME" in done.err
    (shown,) = json.loads(exp("show", "bad", "--json").out)["runs"]
    assert (shown["outcome"], shown["metrics"]) == ("failed", {"loss": 0.5})
    assert shown["command"]["exit_code"] == 1
    assert "no data" in shown["output_tail"]


def test_reproduce_records_a_linked_verdict(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    done = exp("reproduce", "first")
    assert done.out.splitlines()[-3:][0].split() == [
        *("metric", "recorded", "again", "difference", "tolerance", "state")
    ]
    assert "reproduced: 2 metrics equal" in done.out
    first, again = json.loads(exp("list", "--json").out)["runs"][::-1]
    assert again["reproduces"] == first["id"]
    assert first["annotations"][0]["verdict"] == "reproduced"
    assert exp.repo.git("worktree", "list").count("\n") == 0


def test_drifted_reproduction_exits_with_1(exp: Exp) -> None:
    script = 'import time\nprint(f"METRIC score={time.time_ns()}")\n'
    exp.repo.commit({"drift.py": script}, "not reproducible")
    exp("run", "-n", "first", "--", "python", "drift.py")
    assert "drifted" in exp("reproduce", "first", check=1).out
    done = exp("reproduce", "first", "--tolerance", "score=50%")
    assert "within tolerance" in done.out


def test_a_run_is_reproduced_from_its_commit(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    train("0.1", "second")
    commit = exp.repo.git("log", "--format=%H", "--grep", "run .* first", "gitexp")
    done = exp("reproduce", commit)
    assert "reproduce <1> first" in done.err


def test_a_run_of_another_clone_is_not_run_unseen(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    (exp.repo.path / ".git/gitexp/recorded-here").unlink()
    done = exp("reproduce", "first", check=128)
    assert done.err.splitlines()[-3:] == [
        "error: not run: run <1> was not recorded in this clone",
        "because: its command would run on your machine, with your rights",
        "hint: look at it with `--dry-run`, then say `--yes`",
    ]
    assert "python train.py --lr 0.2" in done.err
    assert len(exp.ids()) == 1
    exp("reproduce", "first", "--yes")


def test_an_edit_of_equal_size_in_the_second_of_the_commit_is_recorded(exp: Exp) -> None:
    """Only its content differs from the file in the index."""
    repo = exp.repo
    repo.git("config", "core.trustctime", "false")
    moment = (1_790_000_000, 1_790_000_000)
    os.utime(repo.write("code.py", "rate = 1\n"), moment)
    repo.git("add", "code.py")
    repo.commit(message="before")
    os.utime(repo.write("code.py", "rate = 2\n"), moment)
    os.utime(repo.path / ".git" / "index", moment)
    exp("run", "-q", "--", "true")
    (run,) = json.loads(exp("show", "last", "--json").out)["runs"]
    assert repo.git("show", f"{run['code']['snapshot']}:code.py") == "rate = 2"


def test_uncommitted_code_is_what_is_recorded_and_reproduced(exp: Exp, train: Train) -> None:
    exp.repo.write("train.py", "from extra import rate\nprint(f'METRIC accuracy={rate}')\n")
    exp.repo.write("extra.py", "rate = 0.5\n")
    exp.repo.write(".gitignore", "__pycache__/\n")
    before = exp.repo.git("status", "--porcelain")
    exp("run", "-n", "dirty", "--", "python", "train.py")
    assert exp.repo.git("status", "--porcelain") == before
    exp.repo.git("checkout", "--quiet", "train.py")
    (exp.repo.path / "extra.py").unlink()
    assert "reproduced: 1 metric equal" in exp("reproduce", "dirty").out


def test_apply_and_branch_restore_the_code_of_a_run(exp: Exp) -> None:
    exp.repo.write("train.py", "print('METRIC a=1')\n")
    exp("run", "-n", "dirty", "--", "python", "train.py")
    refused = exp("apply", "dirty")
    assert refused.err.startswith("the work tree already holds the code")
    exp.repo.git("checkout", "--quiet", "train.py")
    assert exp("apply", "dirty", "--dry-run").out == "write   train.py"
    exp("apply", "dirty")
    assert (exp.repo.path / "train.py").read_text() == "print('METRIC a=1')\n"
    exp.repo.write("train.py", "mine\n")
    assert "uncommitted work would be overwritten" in exp("apply", "dirty", check=128).err
    exp("branch", "dirty", "winner")
    assert exp.repo.git("show", "winner:train.py") == "print('METRIC a=1')"
    assert "exists already" in exp("branch", "dirty", "winner", check=128).err
    exp("branch", "dirty", "--", "-x", check=128)


def test_run_by_hand_is_recorded(exp: Exp) -> None:
    run_id = exp("start", "-S", "lr=0.1", "-n", "hand").out
    assert run_id == "<run 1>"
    exp("note", "hand", "-M", "loss=0.5", "--step", "1")
    exp("note", "hand", "-M", "loss=0.25", "--step", "2")
    exp("note", "hand", "looks fine")
    exp("finish", "hand", "-M", "accuracy=0.9")
    (shown,) = json.loads(exp("show", "hand", "--json").out)["runs"]
    assert shown["metrics"] == {"accuracy": 0.9, "loss": 0.25}
    assert (shown["outcome"], shown["params"]) == ("succeeded", {"lr": 0.1})
    assert [a["text"] for a in shown["annotations"]] == ["looks fine"]
    assert "step" in exp("show", "hand", "--series").out
    assert "is not open here" in exp("finish", "hand", check=128).err


def test_record_records_results_from_elsewhere(exp: Exp) -> None:
    exp.repo.write("metrics.csv", "step,loss\n1,0.5\n2,0.25\n")
    done = exp("record", "-S", "lr=0.1", "-M", "acc=0.8", "--metrics", "metrics.csv", "-q")
    assert done.out == "<run 1>"
    (shown,) = json.loads(exp("show", "last", "--json").out)["runs"]
    assert shown["metrics"] == {"acc": 0.8, "loss": 0.25}
    assert shown["origin"] == "record"


def test_the_history_is_plain_git(exp: Exp, train: Train) -> None:
    train("0.20", "first")
    train("0.15", "second")
    subjects = exp.repo.git("log", "--format=%s", "gitexp")
    assert exp._normal(subjects).splitlines() == [
        "run <2> second: accuracy 0.85 (better than 0.8)",
        "start <2> second",
        "run <1> first: accuracy 0.8",
        "start <1> first",
    ]
    assert exp.repo.git("ls-tree", "-r", "gitexp-code") == ""
    (kept,) = exp.repo.git("log", "--format=%H", "--no-merges", "gitexp-code^@").split()
    assert exp.repo.git("log", "-1", "--format=%T %P", kept) == exp.repo.git(
        "log", "-1", "--format=%T ", "HEAD"
    )
    code = json.loads(exp("show", "last", "--json").out)["runs"][0]["code"]
    assert (code["commit"], code["tree"]) == (
        exp.repo.head,
        exp.repo.git("rev-parse", f"{kept}^{{tree}}"),
    )
    assert exp.repo.head not in exp.repo.git("rev-list", "gitexp-code").split()


def test_failing_verdict_keeps_record_and_exit_code(
    exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise GitexpError("cannot compare")

    monkeypatch.setattr("gitexp.cli.run_command.judge_run", fail)
    done = exp("run", "--", "sh", "-c", "exit 7", check=7)
    assert "cannot compare" in done.err
    assert len(exp.ids()) == 1


def test_metric_rules_use_dotted_names(exp: Exp) -> None:
    exp.repo.write(
        "gitexp.toml",
        '[metrics.val]\ngate = 1\n[metrics.val.loss]\ndirection = "minimize"\n'
        'tolerance = { relative = 0.1 }\n[metrics."val.acc"]\ndirection = "maximize"\n',
    )
    rules = json.loads(exp("config", "--json").out)["metrics"]
    assert {name: rule.get("direction") for name, rule in rules.items()} == {
        "val": None,
        "val.loss": "minimize",
        "val.acc": "maximize",
    }
    exp.repo.write("gitexp.toml", '[metrics.val.loss]\ndirektion = "minimize"\n')
    error = exp("config", check=128).err
    assert "cannot use setting 'direktion' of metric 'val.loss'" in error
