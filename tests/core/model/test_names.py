"""Nested tables: each name has one value, in the form of records."""

from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.model.run import MAX_NESTING, Table, Value, flatten, name_parts, nest
from gitexp.core.schema.limits import check_table, fit

names = st.lists(st.sampled_from(["a", "b", "val", "mAP@0", "5", "1", ""]), min_size=1, max_size=6)
tables = st.dictionaries(names.map(".".join).filter(bool), st.integers(0, 9), max_size=8)


def spellings(table: Table) -> list[Table]:
    """Draw the same names and values in a form in which a program may pass them."""
    halves: list[Table] = [{}, {}]
    for number, (name, value) in enumerate(table.items()):
        halves[number % 2][name] = value
    reversed_order = dict(reversed(table.items()))
    return [nest(table), nest(*halves), nest(nest(halves[0]), halves[1]), nest(reversed_order)]


@given(tables)
def test_no_value_is_lost_and_every_name_stays(table: Table) -> None:
    assert dict(flatten(nest(table))) == table


@given(tables)
def test_flat_and_nested_input_give_the_same_table(table: Table) -> None:
    for spelling in spellings(table):
        assert spelling == nest(table)


def test_a_dot_nests_unless_it_is_a_decimal_point() -> None:
    assert nest({"val.loss": 1, "val": {"acc": 2}}) == {"val": {"loss": 1, "acc": 2}}
    assert name_parts("val.mAP@0.5:0.95") == ["val", "mAP@0.5:0.95"]
    assert name_parts("layer.0.weight") == ["layer", "0", "weight"]
    assert [name_parts(odd) for odd in (".a", "a..b", "a.")] == [[".a"], ["a..b"], ["a."]]


def test_value_and_names_below_it_are_all_kept() -> None:
    both = {"val": 1, "val.loss": 2}
    assert nest({"val": 1}, {"val": {"loss": 2}}) == both
    assert nest({"val": {"loss": 2}}, {"val": 1}) == both
    assert nest({"a": 1, "a.b.c": 2, "a.b.d": 3}) == {"a": 1, "a.b": {"c": 2, "d": 3}}


def test_later_value_of_a_name_counts_in_any_spelling() -> None:
    old_record: Table = {"val": {"loss": 1, "acc": 5}, "val.loss": 2}
    assert nest(old_record) == {"val": {"loss": 2, "acc": 5}}
    assert nest({"val.loss": 2}, {"val": {"loss": 1}}) == {"val": {"loss": 1}}


def test_a_name_of_many_parts_is_recorded_whole() -> None:
    name = ".".join("a" * 90)
    (kept,) = flatten(nest({name: 1}))
    assert kept == (name, 1)
    check_table(nest({name: 1}), "metric")
    depth, inner = 0, nest({name: 1}).get("a")
    while isinstance(inner, dict):
        depth, (inner,) = depth + 1, inner.values()
    assert depth == MAX_NESTING - 1


def test_only_the_value_that_cannot_be_recorded_is_left_out() -> None:
    long: Value = "x" * 70_000
    kept, warnings = fit({"val": {"loss": 1, "text": long}, "val.acc": 2}, "metric")
    assert kept == {"val": {"loss": 1, "acc": 2}}
    assert len(warnings) == 1
    assert "'val.text' is too long" in warnings[0]
