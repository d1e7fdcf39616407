"""Which columns a narrow terminal gets: nothing goes without being named."""

from hypothesis import given
from hypothesis import strategies as st

from gitexp.render.fitting import Fitted, fit_columns
from gitexp.render.table import format_table
from gitexp.render.text import width_of

HEADERS = ["id", "name", "outcome", "loss", "accuracy", "lr", "epochs"]
KINDS = ["", "", "", "metrics", "metrics", "params", "params"]
ROWS = [
    ["1111111", "brave-otter", "succeeded", "0.25", "0.75", "0.1", "100"],
    ["2222222", "calm-heron", "succeeded", "0.5", "0.5", "0.2", "100"],
]


def fit(width: int, **more: object) -> Fitted:
    return fit_columns(
        HEADERS,
        ROWS,
        width,
        fixed={"id", "outcome"},
        pinned={"id", "name"},
        kinds=KINDS,
        **more,
    )


def test_what_fits_stays_whole() -> None:
    assert fit(200) == Fitted(tuple(range(len(HEADERS))))


def test_columns_that_never_change_go_first() -> None:
    assert fit(50) == Fitted((0, 1, 3, 4, 5), ("same in all: outcome succeeded, epochs 100",))


def test_then_the_last_of_the_kind_that_has_most() -> None:
    fitted = fit(32)
    assert [HEADERS[n] for n in fitted.kept] == ["id", "name", "loss", "lr"]
    assert fitted.notes == ("same in all: outcome, epochs", "no room for 1: accuracy")


def test_pinned_columns_stay_even_where_there_is_no_room() -> None:
    assert fit(5).kept == (0, 1)


def test_one_run_alone_hides_nothing_as_unchanging() -> None:
    fitted = fit_columns(HEADERS, ROWS[:1], 60, pinned={"id"}, kinds=KINDS)
    assert not any(note.startswith("same") for note in fitted.notes)


cells = st.text("abc0123456789.", max_size=12)


@given(
    st.lists(st.lists(cells, min_size=5, max_size=5), min_size=1, max_size=6), st.integers(1, 90)
)
def test_every_column_with_a_value_is_shown_or_named(rows: list[list[str]], width: int) -> None:
    headers = ["first", "second", "third", "fourth", "fifth"]
    fitted = fit_columns(headers, rows, width, pinned={"first"})
    named = [fitted.notes[n].count(",") + 1 for n in range(len(fitted.notes))]
    filled = [n for n in range(5) if any(row[n] for row in rows)]
    gone = [n for n in filled if n not in fitted.kept]
    assert set(fitted.kept) <= set(filled)
    if all(width_of(note) < width and "…" not in note for note in fitted.notes):
        assert sum(named) == len(gone)
    assert bool(gone) == bool(fitted.notes)


@given(st.integers(24, 120))
def test_the_table_then_fits(width: int) -> None:
    fitted = fit(width)
    table = format_table(
        [HEADERS[n] for n in fitted.kept],
        [[row[n] for n in fitted.kept] for row in ROWS],
        width=width,
        fixed={"id", "outcome"},
    )
    for line in [*table.splitlines(), *fitted.notes]:
        assert width_of(line) <= width, line
