"""Columns in a narrow terminal: every column is shown or named."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.render.fitted_table import FittedColumns, Rank, fit_columns, fitted_table
from gitexp.core.render.text import fold, width_of

HEADERS = ["id", "name", "outcome", "loss", "accuracy", "lr", "epochs"]
RANKS = [
    *(Rank.DECISION, Rank.DECISION, Rank.OUTCOME),
    *(Rank.MAIN, Rank.METRIC, Rank.PARAMETER, Rank.PARAMETER),
]
ROWS = [
    ["1111111", "brave-otter", "succeeded", "0.25", "0.75", "0.1", "100"],
    ["2222222", "calm-heron", "succeeded", "0.5", "0.5", "0.2", "100"],
]


def fit(width: int, **more: Any) -> FittedColumns:
    return fit_columns(HEADERS, ROWS, width, fixed={"id", "outcome"}, ranks=RANKS, **more)


def kept(width: int) -> list[str]:
    return [HEADERS[n] for n in fit(width).kept]


def test_table_that_fits_stays_complete() -> None:
    assert fit(200) == FittedColumns(tuple(range(len(HEADERS))))


def test_constant_columns_are_dropped_first() -> None:
    fitted = fit(50)
    assert fitted.kept == (0, 1, 3, 4, 5)
    assert fitted.same == (2, 6)
    assert fitted.notes == ("same in all: outcome succeeded, epochs 100",)


def test_least_important_columns_are_dropped_next() -> None:
    assert kept(33) == ["id", "name", "loss", "lr"]
    assert kept(28) == ["id", "name", "loss"]
    assert kept(20) == ["id", "loss", "lr"]
    assert kept(16) == ["id", "loss"]
    assert kept(5) == ["id"]
    assert fit(33).notes == ("same in all: outcome, epochs", "no room for 1: accuracy")
    assert fit(33, more="--columns").notes == fit(33).notes
    assert fit(22).notes == ("same in all: outcome,…", "no room for 2: name,…")
    assert fit(22, more="--all").notes[0] == "same in all (--all li…"


def test_of_two_parameters_the_one_with_more_values_stays() -> None:
    rows = [["1", "a", "1"], ["2", "b", "2"], ["3", "a", "3"]]
    ranks = [Rank.MAIN, Rank.PARAMETER, Rank.PARAMETER]
    assert fit_columns(["id", "lr", "depth"], rows, 10, ranks=ranks).kept == (0, 2)


def test_narrow_column_fits_where_a_wide_one_did_not() -> None:
    rows = [["1", "123456789012", "7"], ["2", "223456789012", "8"]]
    ranks = [Rank.MAIN, Rank.PARAMETER, Rank.METRIC]
    assert fit_columns(["id", "wide", "k"], rows, 10, ranks=ranks).kept == (0, 2)


def test_the_main_metric_and_the_parameters_stay_of_many_columns() -> None:
    params = [f"p{n:02}" for n in range(20)]
    metrics = ["val/loss", *(f"metric{n:02}" for n in range(14))]
    headers = ["id", "name", "age", "outcome", "decision", *metrics, *params]
    ranks = [
        *(Rank.DECISION, Rank.DECISION, Rank.AGE, Rank.OUTCOME, Rank.DECISION),
        *(Rank.MAIN, *[Rank.METRIC] * 14, *[Rank.PARAMETER] * 20),
    ]
    rows = [
        [f"{n}111111", f"brave-otter-{n}", f"{n} seconds ago", "succeeded", "keep" * (n == 3)]
        + [f"0.{n}{m:03}" for m in range(15)]
        + [str(p if p > 9 else n * p) for p in range(20)]
        for n in range(1, 6)
    ]
    for width in (80, 200):
        found = fit_columns(headers, rows, width, ranks=ranks, fixed={"id"})
        shown = [headers[n] for n in found.kept]
        assert {"id", "name", "decision", "val/loss", *params[1:6]} <= set(shown)
        assert not {"outcome", *params[10:]} & set(shown)
        table = fitted_table(headers, rows, width, ranks=ranks, fixed={"id"})
        assert max(map(width_of, table.splitlines())) <= width


def test_single_run_has_no_constant_columns() -> None:
    assert fit_columns(HEADERS, ROWS[:1], 30, ranks=RANKS).same == ()


cells = st.text("abc0123456789.", max_size=12)


@given(
    st.lists(st.lists(cells, min_size=5, max_size=5), min_size=1, max_size=6),
    st.lists(st.sampled_from(Rank), min_size=5, max_size=5),
    st.integers(8, 90),
)
def test_every_column_is_shown_or_named_and_the_table_fits(
    rows: list[list[str]], ranks: list[Rank], width: int
) -> None:
    headers = ["first", "second", "third", "fourth", "fifth"]
    fitted = fit_columns(headers, rows, width, ranks=ranks)
    filled = [n for n in range(5) if any(row[n] for row in rows)]
    assert sorted([*fitted.kept, *fitted.same, *fitted.cut]) == filled
    assert len(fitted.notes) == bool(fitted.same) + bool(fitted.cut)
    assert fitted.kept[:1] == tuple(filled[:1])
    lines = fitted_table(headers, rows, width, ranks=ranks).splitlines()
    if len(fitted.kept) > 1 or width >= 14:
        assert max(map(width_of, lines), default=0) <= width


def test_folded_text_fits_and_keeps_its_words() -> None:
    text = "    some words that are longer than a line\nshort"
    assert fold(text, 24) == "    some words that are\n      longer than a line\nshort"
    assert fold(text, None) == text
    assert fold("a \x1b[31mred\x1b[0m word and more of them", 21) == (
        "a \x1b[31mred\x1b[0m word and more\n  of them"
    )
    assert fold("$ python train.py --rate 0.5 --depth 3", 24, joint=" \\") == (
        "$ python train.py \\\n  --rate 0.5 --depth 3"
    )
    assert fold("x" * 40, 24) == "x" * 23 + "…"


@given(st.text("ab \u4e2d", max_size=120), st.integers(20, 60))
def test_no_folded_line_is_wider(text: str, width: int) -> None:
    folded = fold(text, width)
    assert all(width_of(line) <= width for line in folded.split("\n"))
    if "…" not in folded:
        assert folded.split() == text.split()
