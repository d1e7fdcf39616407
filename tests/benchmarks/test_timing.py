"""Verdicts of the benchmarks: a warning at the limit, a failure at twice the limit."""

import math

import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks.timing import Figure, table


@pytest.mark.parametrize(
    ("ratio", "limit", "verdict", "status"),
    [
        (2.0, 2.0, "within the limit", 0),
        (2.1, 2.0, "above the limit", 0),
        (4.0, 2.0, "above the limit", 0),
        (4.1, 2.0, "**failed**: above 2 times the limit", 1),
        (math.nan, 2.0, "**failed**: above 2 times the limit", 1),
        (99.0, None, "", 0),
    ],
)
def test_benchmarks_fail_at_twice_the_limit(
    ratio: float,
    limit: float | None,
    verdict: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = [Figure("best", 1.0, 2.0, 1.0), Figure("list", ratio, limit, 1.0)]
    monkeypatch.setattr(program, "measure", lambda *_: figures)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "reading"])
    assert program.main() == status
    assert table(figures).splitlines()[-1].endswith(f"| {verdict} |")
    assert capsys.readouterr().out == table(figures) + "\n"
