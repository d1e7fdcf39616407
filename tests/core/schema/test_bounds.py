"""Limits of a record."""

import pytest

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.schema.limits import (
    INT_MAX,
    INT_MIN,
    MAX_DEPTH,
    MAX_NAME_BYTES,
    MAX_VALUE_BYTES,
    check_table,
    refuse_depth,
    refuse_values,
)


def nested(depth: int) -> dict[str, object]:
    table: dict[str, object] = {"leaf": 1}
    for _ in range(depth):
        table = {"a": table}
    return table


def test_values_within_the_limits_pass() -> None:
    check_table(
        {
            "small": INT_MIN,
            "large": INT_MAX,
            "text": "x" * MAX_VALUE_BYTES,
            "n" * MAX_NAME_BYTES: 1,
            "list": [1, [2.5, "x"]],
            "näme with.dots and spaces": True,
            "deep": nested(MAX_DEPTH - 3),
        },
        "parameter",
    )


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"x": 2**63}, "parameter 'x' is an integer of more than 64 bits; quote it to keep it as text"),
    ({"x": -(2**63) - 1}, "parameter 'x' is an integer of more than 64 bits"),
    ({"x": "é" * MAX_VALUE_BYTES}, "parameter 'x' is too long (131,072 bytes, at most 65,536)"),
    ({"x": "\ud800"}, "parameter 'x' is not valid unicode text"),
    ({"x": None}, "parameter 'x' has a value of type NoneType, which TOML cannot hold"),
    ({"a": {"b": [object()]}}, "parameter 'a.b' has a value of type object"),
    ({"": 1}, "the parameters: a name must be text and not empty"),
    ({"a": {"": 1}}, "parameter 'a': a name must be text and not empty"),
    ({"a\x1b": 1}, "has control characters"),
    ({"a\u202e": 1}, "has control characters"),
    ({"n" * (MAX_NAME_BYTES + 1): 1}, f"is longer than {MAX_NAME_BYTES} bytes"),
    (nested(MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels"),
]


@pytest.mark.parametrize(("table", "why"), REFUSED, ids=range(len(REFUSED)))
def test_values_beyond_the_limits_are_named(table: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_table(table, "parameter")
    assert caught.value.what == "cannot record a parameter"
    assert caught.value.why is not None
    assert why in caught.value.why


def test_up_to_five_faults_are_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_table({f"x{n}": None for n in range(8)}, "metric")
    assert caught.value.what == "cannot record the metrics"
    assert caught.value.why is not None
    assert caught.value.why.count("metric 'x") == 5
    assert caught.value.why.endswith("and 3 more")


def test_a_long_value_gets_a_hint() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_table({"x": "a" * (MAX_VALUE_BYTES + 1)}, "parameter")
    assert caught.value.hints == ("put long values in a file and name it with `--input`",)


@pytest.mark.parametrize(
    "text",
    [
        "." * 40 + " = 1",
        "[" + ".".join("a" * 40) + "]",
        "x = " + "[" * 40,
        "x = " + "[ " * 5000,
        "x = " + "[\n" * 40,
        "x = " + "{a=" * 40,
        "x = {" + ".".join("a" * 40) + " = 1}",
        ".".join(['"="'] * 40) + " = 1",
        "x = " + "1" * 5000,
    ],
    ids=[
        "dots",
        "header",
        "brackets",
        "spaced brackets",
        "brackets on lines",
        "inline tables",
        "dots in a table",
        "quoted parts",
        "endless number",
    ],
)
def test_depth_is_refused_before_parsing(text: str) -> None:
    with pytest.raises(UnreadableRecord):
        refuse_depth(text)


def test_dots_in_values_are_no_depth() -> None:
    refuse_depth("version = '" + "1." * 100 + "'\n[a.b.c]\n")
    refuse_depth('argv = [\n    "' + "0.1," * 100 + '",\n]\n')
    refuse_depth('text = "' + "[{" * 5000 + '"  # ' + "[." * 100 + "\n")


def test_values_beyond_the_bounds_are_refused() -> None:
    refuse_values({"a": [1, INT_MAX, {"b": -1}], "c": nested(MAX_DEPTH - 2)})
    for value in ({"a": [2**63]}, nested(MAX_DEPTH + 1)):
        with pytest.raises(UnreadableRecord):
            refuse_values(value)
