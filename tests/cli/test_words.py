"""Sentences that were once wrong, each with its case."""

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Done, Exp

Train = Callable[..., Done]

PRINTS = """\
import sys

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("METRIC loss=" + options.pop("--says"))
sys.exit(int(options.get("--exit", 0)))
"""


def measured(exp: Exp, loss: str, *options: str, given: tuple[str, ...] = (), code: int = 0) -> str:
    """Run a program that prints a loss. Return the output of `run`."""
    if not (exp.repo.path / "prints.py").exists():
        exp.repo.commit({"prints.py": PRINTS}, "a program")
        exp.repo.git("config", "exp.metric", "loss")
    command = ("--", "python", "prints.py", "--says", loss, *options)
    return exp("run", *given, *command, check=code).err


def test_a_repeat_of_its_parent_is_not_better_than_its_parent(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    train("0.2", "second")
    said = train("0.2", "repeat", "--parent", "second").err
    assert "its parent" not in said
    assert "better than the last, 0.7" in said
    assert "against its parent" not in exp("compare", "repeat").out


def test_a_parent_that_failed_is_compared_with_nothing(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    exp("run", "-n", "broken", "--", "python", "-c", "raise SystemExit(3)", check=3)
    said = train("0.2", "child", "--parent", "broken").err
    assert "its parent" not in said
    assert "better than the last, 0.7" in said


def test_verdict_names_the_parent_and_never_the_run_itself(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    train("0.25", "second")
    said = train("0.2", "third", "--parent", "first").err
    assert "better than its parent <1>, 0.7" in said
    assert "than the <3>" not in said and "than <3>" not in said


def test_numbers_keep_their_digits(exp: Exp) -> None:
    measured(exp, "0.12345")
    said = measured(exp, "100.0095603", "--x", "1")
    assert "loss 100.00956: worse than the last, which is the best, 0.12345" in said
    assert "100.01000" not in said


def test_numbers_that_differ_look_different(exp: Exp) -> None:
    measured(exp, "100.0095603")
    said = measured(exp, "100.01", "--x", "1")
    assert "loss 100.0100: worse than the last, which is the best, 100.0096" in said


def test_float_parameter_keeps_its_point(exp: Exp) -> None:
    measured(exp, "0.5", "--dropout", "0.0", "--depth", "0")
    measured(exp, "0.6", "--dropout", "0.5", "--depth", "3")
    exp("decide", "last", "discard", "-m", "worse")
    measured(exp, "0.7", "--dropout", "1.0", "--depth", "0")
    brief = exp("brief").out
    assert "dropout 0.0" in brief and "depth 0," in brief and "dropout 1.0" in brief
    rows = [line.split() for line in exp("list", "--keep", "dropout|depth").out.splitlines()]
    assert [sorted(row[-2:]) for row in rows[1:]] == [["0", "1.0"], ["0.5", "3"], ["0", "0.0"]]
    assert "0.0" in exp("diff", "@{2}", "last").out


def test_when_the_last_is_the_best_there_is_one_table(exp: Exp, train: Train) -> None:
    train("0.1", "first")
    train("0.2", "second")
    out = exp("compare", check=1).out
    assert out.count(" against ") == 1
    assert out.count("verdict") == 1


def test_a_printed_metric_is_no_cause(exp: Exp) -> None:
    measured(exp, "0.5", "--exit", "2", code=2)
    lines = exp("brief").out.splitlines()
    cause = lines[lines.index("failed, not decided, by cause") + 1]
    assert cause.startswith("  exit code 2: <1> ")


def test_varied_parameter_is_not_called_never_varied(exp: Exp) -> None:
    measured(exp, "0.5", "--rate", "0.1")
    assert "rate 0.05: half; it was never varied" in exp("brief").out
    measured(exp, "0.6", "--rate", "auto")
    brief = exp("brief").out
    assert "never varied" not in "\n".join(line for line in brief.splitlines() if "rate" in line)
    assert "rate 0.05: half; no other number was tried" in brief


def test_running_trial_is_not_proposed(exp: Exp) -> None:
    exp("record", "-S", "rate=0.1", "-M", "loss=0.5")
    assert "rate 0.2: double" in exp("brief").out
    exp("start", "-S", "rate=0.2")
    assert "rate 0.2: double" not in exp("brief").out


def test_no_trial_beyond_a_discarded_timeout_is_proposed(exp: Exp) -> None:
    exp("record", "-S", "width=128", "-M", "loss=0.5")
    exp("record", "-S", "width=64", "-M", "loss=0.6")
    assert "width 256: above every value tried" in exp("brief").out
    sleep = ("--", "python", "-c", "import time; time.sleep(60)")
    exp("run", "-S", "width=256", "--timeout", "0.5s", *sleep, check=124)
    exp("decide", "last", "discard", "-m", "too slow")
    brief = exp("brief").out
    assert "above every value tried" not in brief
    assert "width 181: between 128 and 256" in brief or "width 192: between" in brief


def test_apply_keeps_the_settings_of_the_project(exp: Exp, train: Train) -> None:
    exp.repo.commit({"gitexp.toml": 'metric = "loss"\n'}, "settings")
    train("0.3", "first")
    script = exp.repo.path / "train.py"
    exp.repo.commit(
        {"gitexp.toml": 'metric = "accuracy"\n', "train.py": script.read_text() + "# more\n"},
        "another metric",
    )
    done = exp("apply", "first")
    assert (done.out, "left unchanged: gitexp.toml" in done.err) == ("write   train.py", True)
    assert (exp.repo.path / "gitexp.toml").read_text() == 'metric = "accuracy"\n'
    assert exp("config", "metric").out.startswith("metric = accuracy\n")


def test_apply_of_a_run_before_the_settings_keeps_them(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    exp.repo.commit({"gitexp.toml": 'metric = "accuracy"\n'}, "settings")
    assert exp("apply", "first").out == ""
    assert (exp.repo.path / "gitexp.toml").exists()


def test_the_instructions_for_agents_begin_with_the_metric() -> None:
    page = Path(__file__).parents[2] / "docs" / "agent-instructions.md"
    steps = page.read_text().partition("\n## Experiments\n")[2]
    first = next(line for line in steps.splitlines() if line[:1].isdigit())
    assert "Set the metric" in first and "git config exp.metric" in first
