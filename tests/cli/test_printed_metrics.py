"""Metrics that commands print, recorded by `git exp run`."""

import json
from typing import Any

from tests.cli.conftest import Exp

PRINTER = r"""
import sys
print("2026-11-30 12:00:01 INFO METRIC loss=0.5, acc=90.5% epoch=1", flush=True)
print("METRIC speed=3it/s epoch=2", file=sys.stderr)
print("METRIC loss=0.25, acc=97.3% epoch=2")
print("  METRIC size: 12MB")
print("METRIC broken=yes")
print("METRIC broken=1,5")
sys.stdout.write("10%\rMETRIC fast=1\r100%\n")
"""


def shown(exp: Exp, run: str = "last") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("show", run, "--json").out)["runs"][0]
    return document


def test_metric_lines_of_many_forms_and_both_streams_are_recorded(exp: Exp) -> None:
    exp.repo.write("printer.py", PRINTER)
    done = exp("run", "-q", "--", "python", "printer.py")
    assert "10%\nMETRIC fast=1\n100%" in done.out.replace("\r", "\n")
    document = shown(exp)
    assert document["metrics"] == {
        "loss": 0.25,
        "acc": 97.3,
        "size": 12,
        "fast": 1,
        "speed": 3,
    }
    assert document["units"] == {"acc": "%", "size": "MB", "speed": "it/s"}
    assert exp("show", "--series").out.splitlines()[0].startswith("step,")
    assert any(line.split()[:2] == ["acc", "97.3%"] for line in exp("show").out.splitlines())


def test_unreadable_metric_lines_are_counted_and_the_first_is_quoted(exp: Exp) -> None:
    exp.repo.write("printer.py", PRINTER)
    exp("run", "-q", "--", "python", "printer.py")
    (warning,) = shown(exp)["warnings"]
    assert warning == (
        "2 printed lines begin like `METRIC name=value` and cannot be read: the first, "
        "'METRIC broken=yes': 'broken=yes' is no `name=value` with a number"
    )


def test_number_of_metric_names_is_bounded(exp: Exp) -> None:
    code = "for n in range(1200): print(f'METRIC m{n}=1 step=1')"
    exp("run", "-q", "--", "python", "-c", code)
    document = shown(exp)
    assert len(document["metrics"]) == 1000
    assert document["warnings"] == [
        "200 printed values were left out: a run may print 1,000 different metrics"
    ]


TRAINER = """
for n in range(3):
    print(f"step {n * 10}: train loss {4 - n}.63, val loss {5 - n}.65")
"""
PATTERN = r"val_loss=step (?P<step>\d+): .*val loss ([\d.]+)"


def test_a_pattern_reads_metrics_with_steps(exp: Exp) -> None:
    exp.repo.write("trainer.py", TRAINER)
    exp("run", "-q", "--metric-pattern", PATTERN, "--", "python", "trainer.py")
    document = shown(exp)
    assert document["metrics"] == {"val_loss": 3.65}
    assert document["command"]["metric_patterns"] == [PATTERN]
    rows = [line.split(",") for line in exp("show", "--series").out.splitlines()]
    assert [(row[0], row[2]) for row in rows[1:]] == [("0", "5.65"), ("10", "4.65"), ("20", "3.65")]


def test_patterns_of_the_settings_are_used_and_the_option_replaces_them(exp: Exp) -> None:
    exp.repo.write("trainer.py", TRAINER)
    exp.repo.write("gitexp.toml", "metric-patterns = ['a=train loss ([\\d.]+)']\n")
    exp("run", "-q", "--", "python", "trainer.py")
    assert shown(exp)["metrics"] == {"a": 2.63}
    exp("run", "-q", "--again", "--metric-pattern", PATTERN, "--", "python", "trainer.py")
    assert shown(exp)["metrics"] == {"val_loss": 3.65}


def test_a_reproduction_uses_the_recorded_patterns(exp: Exp) -> None:
    exp.repo.commit({"trainer.py": TRAINER}, "trainer")
    exp("run", "-q", "--metric-pattern", PATTERN, "--", "python", "trainer.py")
    assert "reproduced" in exp("reproduce", "last").out


def test_a_pattern_that_does_not_compile_stops_before_anything_starts(exp: Exp) -> None:
    code = "open('ran', 'w')"
    done = exp("run", "--metric-pattern", "x=([", "--", "python", "-c", code, check=None)
    assert done.code != 0
    assert "cannot use the metric pattern 'x=(['" in done.err
    assert not (exp.repo.path / "ran").exists()
    assert exp("list", "--porcelain", check=None).out == ""


def test_a_hostile_pattern_neither_stops_nor_changes_the_output(exp: Exp) -> None:
    code = "import sys\nfor n in range(400): print('a' * 300 + 'b', n)"
    command = ("--metric-pattern", "x=(a+)+$", "--", "python", "-c", code)
    done = exp("run", "-q", *command)
    assert done.out == "\n".join("a" * 300 + f"b {n}" for n in range(400))
    (warning,) = shown(exp)["warnings"]
    assert warning == "the metric pattern 'x=(a+)+$' is too slow"


def test_pattern_match_without_a_number_is_reported(exp: Exp) -> None:
    exp("run", "-q", "--metric-pattern", r"x=x is (\S+)", "--", "echo", "x is good")
    assert shown(exp)["warnings"] == [
        "1 times a metric pattern found no number: 'good' for x is no number (in 'x is good')"
    ]


def test_metric_line_matched_by_a_pattern_counts_once(exp: Exp) -> None:
    code = "for n in range(3): print(f'METRIC loss={n}.5')"
    exp("run", "-q", "--metric-pattern", r"loss=loss=([\d.]+)", "--", "python", "-c", code)
    rows = exp("show", "--series").out.splitlines()[1:]
    assert [row.split(",")[2] for row in rows] == ["0.5", "1.5", "2.5"]


def test_pattern_reads_the_nan_of_a_run_that_diverged(exp: Exp) -> None:
    code = "for loss in ('0.5', '0.3', 'nan'): print('loss', loss)"
    exp("run", "-q", "--metric-pattern", r"loss=loss ([\d.]+)", "--", "python", "-c", code)
    assert shown(exp)["metrics"] == {"loss": "NaN"}


def test_percent_and_fraction_are_not_compared_as_numbers(exp: Exp) -> None:
    exp.repo.commit({"t.py": "import sys; print('METRIC accuracy=' + sys.argv[1])"})
    exp("run", "-q", "--", "python", "t.py", "0.82")
    told = exp("run", "--", "python", "t.py", "85%").err
    assert "better" not in told.replace("higher is better", "")
    assert "the units differ: % here, none there" in told
    assert "next: print 'accuracy' in the same unit in all runs" in told
    assert "(cannot tell from 0.82)" in exp.repo.git("log", "-1", "--format=%s", "gitexp")
    exp("compare", "@{0}", "@{1}", check=125)
    exp("compare", "--single", "@{0}", "@{1}", check=125)
    assert "'accuracy' has several units: %, none" in exp("best").err
    exp("run", "-q", "--", "python", "t.py", "86%")
    exp("compare", "@{0}", "@{1}", check=0)


def test_a_metric_with_another_value_in_the_metrics_file_is_a_warning(exp: Exp) -> None:
    code = "import json, pathlib; print('METRIC loss=0.7 close=0.333 nan=nan')\n"
    code += "values = {'loss': 0.5, 'close': 1 / 3, 'nan': float('nan')}\n"
    code += "pathlib.Path('metrics.json').write_text(json.dumps(values))"
    exp("run", "-q", "--", "python", "-c", code)
    document = shown(exp)
    assert document["metrics"]["loss"] == 0.7
    (warning,) = document["warnings"]
    assert warning == (
        "loss is 0.7 as printed or logged and 0.5 in the metrics file; the record has 0.7"
    )
    exp("run", "-q", "--metrics", "metrics.json", "--", "python", "-c", code)
    assert shown(exp)["warnings"][0].endswith("; the record has 0.5")
