"""Metrics that commands print, from the terminal to the record."""

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
