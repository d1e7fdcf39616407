"""The space of a sweep: what each form of `-S` means, which points follow, and in which order."""

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import format_value
from gitexp.core.model.run import Value
from gitexp.features.sweeps.condition import parse_conditions
from gitexp.features.sweeps.space import (
    MAX_POINTS,
    Choice,
    Space,
    Span,
    count_points,
    draw,
    grid,
    make_space,
)
from gitexp.features.sweeps.space_syntax import parse_values
from gitexp.features.sweeps.table_files import parse_space_file


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1,0.01", (0.1, 0.01)),
        ("0.1", (0.1,)),
        ("1, 2 ,3", (1, 2, 3)),
        ("1,1.0,2", (1, 2)),
        ("adam,sgd", ("adam", "sgd")),
        ('"a,b",c', ("a,b", "c")),
        ('["a,b","c"]', ("a,b", "c")),
        ("[1,2],[3]", ([1, 2], [3])),
        ("[[1,2]]", ([1, 2],)),
        ("true,false", (True, False)),
        ("2..8:2", (2, 4, 6, 8)),
        ("2..9:3", (2, 5, 8)),
        ("0.1..0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("0..1:0.5", (0.0, 0.5, 1.0)),
        ("-1..1:1", (-1, 0, 1)),
        ("log(1e-3..1e-1:3)", (0.001, 0.01, 0.1)),
        ("../data.csv", ("../data.csv",)),
        ("a..b", ("a..b",)),
        ('"1..5"', ("1..5",)),
        ("don't,it's", ("don't", "it's")),
    ],
)
def test_lists_and_steps(text: str, values: tuple[Value, ...]) -> None:
    found = parse_values("p", text)
    assert isinstance(found, Choice)
    assert found.values == values
    assert [type(v) for v in found.values] == [type(v) for v in values]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2..8", Span(2, 8, is_whole=True)),
        ("0.0..0.5", Span(0.0, 0.5)),
        ("0..0.5", Span(0.0, 0.5)),
        ("log(1e-5..1e-1)", Span(1e-5, 1e-1, is_log=True)),
    ],
)
def test_ranges(text: str, span: Span) -> None:
    assert parse_values("p", text) == span


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no value"),
        ("[]", "empty"),
        ("1,,2", "missing"),
        ("1..", "each side"),
        ("..5", "each side"),
        ("8..2", "begins above"),
        ("1..3,7", "stands alone"),
        ("1..5:0", "above zero"),
        ("1..5:-1", "above zero"),
        ("1..5:x", "above zero"),
        ("log(0..1)", "above zero"),
        ("log(5)", "no range"),
        ("log(1..2:1)", "at least 2"),
        ('["a"', "not closed"),
        ("1e999..2e999", "too large"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_values("p", text)
    assert why in (caught.value.why or "")
    assert "p=" in caught.value.what


def test_the_last_parameter_varies_fastest() -> None:
    space = make_space({"a": Choice((1, 2)), "b": Choice(("x", "y"))})
    assert grid(space) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_zipped_parameters_vary_together() -> None:
    space = make_space(
        {"a": Choice((1, 2)), "b": Choice((0, 1)), "c": Span(5, 6, is_whole=True)}, ["a,c"]
    )
    found = [tuple(point.values()) for point in grid(space)]
    assert found == [(1, 0, 5), (1, 1, 5), (2, 0, 6), (2, 1, 6)]


@pytest.mark.parametrize(
    ("zipped", "why"),
    [(["a,b"], "a has 2, b has 3"), (["a,z"], "-S gives it no values"), (["a,a"], "twice")],
)
def test_a_zip_that_does_not_fit_is_refused(zipped: list[str], why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_space({"a": Choice((1, 2)), "b": Choice((1, 2, 3))}, zipped)
    assert why in (caught.value.why or "")


def test_a_grid_without_end_is_refused_with_both_ways_out() -> None:
    space = make_space({"lr": parse_values("lr", "0.0..0.5")})
    with pytest.raises(InvalidInput) as caught:
        grid(space)
    assert "no end" in caught.value.what
    assert any("STEP" in hint for hint in caught.value.hints)
    assert any("--random" in hint for hint in caught.value.hints)


def test_a_grid_that_is_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(InvalidInput, match="1,000,000,000"):
        grid(make_space({"n": parse_values("n", "1..1000000000")}))
    with pytest.raises(InvalidInput, match="points"):
        parse_values("n", "0..1:0.0000000001")
    big = Choice(tuple(range(1000)))
    with pytest.raises(InvalidInput, match="1,000,000"):
        grid(make_space({"a": big, "b": big}))


# --- conditions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depth * width <= 512", True),
        ("depth > 4", False),
        ("1 < depth < 4", True),
        ("opt == 'adam' and not depth == 2", False),
        ("opt in ('adam', 'sgd')", True),
        ("opt not in ['sgd']", True),
        ("depth ** 2 == 4 or opt == 'sgd'", True),
        ("max(depth, width) == 16 and abs(-depth) == 2", True),
        ("model.size // 3 == 3", True),
        ("deep == true", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    point: dict[str, Value] = {
        "depth": 2,
        "width": 16,
        "opt": "adam",
        "model.size": 10,
        "deep": True,
    }
    condition = parse_conditions([text], list(point))
    assert condition is not None
    assert condition(point) is expected


@pytest.mark.parametrize(
    "text",
    [
        *("depth <", "import os", "__import__('os')", "depth.real.x(1)", "lambda: 1", "depth = 2"),
        *("open('/etc/passwd')", "[x for x in (1,)]", "other > 1", "", "depth[0]", "(" * 20_000),
        "-" * 5_000 + "1",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_conditions([text], ["depth"])


@pytest.mark.parametrize("text", ["depth < 'a'", "depth / 0 > 1", "9.0 ** 9 ** 9 > depth"])
def test_a_condition_that_cannot_be_worked_out_is_told(text: str) -> None:
    condition = parse_conditions([text], ["depth"])
    assert condition is not None
    with pytest.raises(InvalidInput, match="cannot work out"):
        condition({"depth": 2})


def test_a_condition_that_leaves_nothing_is_an_empty_space() -> None:
    space = make_space({"a": Choice((1, 2))})
    with pytest.raises(InvalidInput, match="empty"):
        grid(space, parse_conditions(["a > 5"], space.names))
    endless = make_space({"a": Span(0, 1)})
    with pytest.raises(InvalidInput, match="empty"):
        draw(endless, 3, seed=0, condition=parse_conditions(["a > 5"], endless.names))


# --- drawing ----------------------------------------------------------------------------------


def test_points_drawn_are_the_same_everywhere() -> None:
    """Golden values: a sweep that is resumed on another machine draws the same points."""
    space = make_space({"lr": Span(1e-5, 1e-1, is_log=True), "n": Span(1, 8, is_whole=True)})
    found = draw(space, 3, seed=1)
    assert found == [
        {"lr": 0.00170056, "n": 6},
        {"lr": 0.0199915, "n": 1},
        {"lr": 0.000405736, "n": 2},
    ]


def test_another_parameter_does_not_change_what_was_drawn() -> None:
    one = draw(make_space({"lr": Span(0, 1)}), 5, seed=3)
    two = draw(make_space({"a": Span(0, 1), "lr": Span(0, 1)}), 5, seed=3)
    assert [p["lr"] for p in one] == [p["lr"] for p in two]


def test_a_small_space_gives_all_its_points_once() -> None:
    space = make_space({"a": Choice((1, 2, 3))})
    found = draw(space, 50, seed=0)
    assert sorted(str(p["a"]) for p in found) == ["1", "2", "3"]


PATIENT = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
"""For a machine that is busy."""

NUMBERS = st.floats(-1e6, 1e6).map(lambda number: float(f"{number:.6g}"))
VALUES = st.one_of(st.integers(-(10**6), 10**6), NUMBERS, st.booleans(), st.text("abc", min_size=1))
CHOICES = st.lists(VALUES, min_size=1, max_size=3).map(lambda values: Choice(tuple(values)))
SPANS = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: Span(min(pair), max(pair))),
    st.tuples(st.integers(-50, 50), st.integers(0, 3)).map(
        lambda pair: Span(pair[0], pair[0] + pair[1], is_whole=True)
    ),
    st.floats(1e-6, 1).map(lambda low: Span(low, low * 1000, is_log=True)),
)
SPACES = st.dictionaries(st.sampled_from("abcd"), st.one_of(CHOICES, SPANS), min_size=1).map(
    make_space
)


@PATIENT
@given(SPACES, st.integers(1, 20), st.integers(0, 20), st.integers(0, 5))
def test_more_points_begin_with_the_fewer(space: Space, few: int, more: int, seed: int) -> None:
    assert draw(space, few + more, seed=seed)[:few] == draw(space, few, seed=seed)


@PATIENT
@given(SPACES, st.integers(1, 30), st.integers(0, 5))
def test_points_drawn_are_in_the_space_and_each_is_there_once(
    space: Space, count: int, seed: int
) -> None:
    found = draw(space, count, seed=seed)
    assert len({canonical(point) for point in found}) == len(found) <= count
    for point in found:
        assert tuple(point) == space.names
        for name, value in point.items():
            values = space.values[name]
            if isinstance(values, Choice):
                assert canonical(value) in {canonical(each) for each in values.values}
            else:
                assert isinstance(value, int | float)
                assert values.low <= value <= values.high


@PATIENT
@given(st.dictionaries(st.sampled_from("abcd"), CHOICES, min_size=1))
def test_a_grid_has_every_combination_once(values: dict[str, Choice]) -> None:
    space = make_space(values)
    distinct = math.prod(len({canonical(v) for v in c.values}) for c in values.values())
    assert len(grid(space)) == distinct <= (count_points(space) or 0)


@PATIENT
@given(st.lists(st.one_of(st.integers(-(10**9), 10**9), NUMBERS), min_size=1, max_size=6))
def test_a_list_reads_back_as_it_was_written(values: list[Value]) -> None:
    found = parse_values("p", ",".join(format_value(value) for value in values))
    assert isinstance(found, Choice)
    distinct = {canonical(value) for value in values}
    assert {canonical(value) for value in found.values} == distinct
    assert len(found.values) == len(distinct)


@PATIENT
@given(st.integers(-100, 100), st.integers(0, 60), st.integers(1, 9))
def test_a_range_with_a_step_is_pythons_range(low: int, length: int, step: int) -> None:
    found = parse_values("p", f"{low}..{low + length}:{step}")
    assert found == Choice(tuple(range(low, low + length + 1, step)))


@PATIENT
@given(st.text(max_size=30))
def test_no_text_does_anything_but_read_or_be_refused(text: str) -> None:
    try:
        found = parse_values("p", text)
    except InvalidInput:
        return
    assert isinstance(found, Choice | Span)


@PATIENT
@given(st.text("ab+-*/()<>=.1 andornot'", max_size=30))
def test_no_condition_does_anything_but_hold_or_not(text: str) -> None:
    try:
        condition = parse_conditions([text], ["a", "b"])
        assert condition is not None
        assert condition({"a": 1, "b": 2.5}) in (True, False)
    except InvalidInput:
        return


# --- files ------------------------------------------------------------------------------------


def read(text: str, name: str) -> Space:
    values, rows = parse_space_file(text.encode(), Path(name).suffix, name=name)
    return make_space(values, rows=rows)


def test_a_toml_table() -> None:
    space = read(
        '[space]\nlr = [0.1, 0.01]\nopt = "adam"\n[space.model]\ndepth = "2..3"\n', "s.toml"
    )
    assert [tuple(p.values()) for p in grid(space)] == [
        (0.1, "adam", 2),
        (0.1, "adam", 3),
        (0.01, "adam", 2),
        (0.01, "adam", 3),
    ]
    assert space.names == ("lr", "opt", "model.depth")


def test_a_matrix_in_json_and_in_csv() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert grid(read('[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]', "s.json")) == rows
    assert grid(read("a,b\n1,x\n2,y\n", "s.csv")) == rows


def test_a_matrix_is_combined_with_other_parameters() -> None:
    values, rows = parse_space_file(b"a\n1\n2\n", ".csv", name="s.csv")
    found = grid(make_space({**values, "seed": Choice((0, 1))}, rows=rows))
    assert [tuple(p.values()) for p in found] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    with pytest.raises(InvalidInput, match="in the table and after -S"):
        make_space({"a": Choice((1,))}, rows=rows)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("", "s.toml"), ("x = 1", "s.toml"), ("[space]\na = []", "s.toml"), ("{", "s.json")),
        *(("[1]", "s.json"), ("[]", "s.json"), ("a,b\n1,2,3\n", "s.csv"), ("a\n", "s.csv")),
        *(("x", "s.txt"), ("[" * 100_000, "s.json"), ("\udcff", "s.csv")),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text: str, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_space_file(text.encode(errors="surrogateescape"), Path(name).suffix, name=name)
    assert caught.value.what


def test_a_matrix_that_is_too_long_is_refused() -> None:
    text = "a\n" + "1\n" * (MAX_POINTS + 1)
    with pytest.raises(InvalidInput, match="points"):
        parse_space_file(text.encode(), ".csv", name="s.csv")
