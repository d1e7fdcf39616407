"""Metric patterns: their meaning, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.patterns import (
    MAX_PATTERN,
    MAX_PATTERNS,
    parse_pattern,
    parse_patterns,
    read_lines,
    reading_of,
)

LINE = "step 10: train loss 4.63, val loss 4.65, acc 97.3%"

FOUND: list[tuple[list[str], dict[str, float], dict[str, str], int | None]] = [
    ([r"val_loss=val loss ([\d.]+)"], {"val_loss": 4.65}, {}, None),
    ([r"(?P<val_loss>(?<=val loss )[\d.]+)"], {"val_loss": 4.65}, {}, None),
    ([r"step (?P<step>\d+): train loss (?P<loss>[\d.]+)"], {"loss": 4.63}, {}, 10),
    ([r"loss=step (?P<step>\d+): train loss ([\d.]+)"], {"loss": 4.63}, {}, 10),
    ([r"step=step (\d+)", r"val/loss=val loss ([\d.]+)"], {"val/loss": 4.65}, {}, 10),
    ([r"acc=acc ([\d.]+)"], {"acc": 97.3}, {"acc": "%"}, None),
    ([r"acc=acc ([\d.]+)%"], {"acc": 97.3}, {"acc": "%"}, None),
    ([r"acc=acc (\S+)"], {"acc": 97.3}, {"acc": "%"}, None),
    ([r"x=(?:nothing (\d+)|train loss ([\d.]+))"], {"x": 4.63}, {}, None),
    ([r"x=(?i)VAL LOSS ([\d.]+)"], {"x": 4.65}, {}, None),
]


@pytest.mark.parametrize(("patterns", "values", "units", "step"), FOUND)
def test_patterns_read_values_units_and_step(
    patterns: list[str], values: dict[str, float], units: dict[str, str], step: int | None
) -> None:
    assert read_lines(parse_patterns(patterns), [LINE]) == [(values, units, step, None)]


def test_step_applies_to_the_following_lines() -> None:
    patterns = parse_patterns([r"step=^Epoch (\d+)/", r"loss=loss: ([\d.]+)"])
    lines = ["loss: 9.0", "Epoch 1/2", "loss: 0.5", "loss: 0.4", "Epoch 2/2", "loss: 0.3"]
    readings = read_lines(patterns, lines)
    assert [(r.step, r.values["loss"]) for r in readings] == [
        (None, 9.0),
        (1, 0.5),
        (1, 0.4),
        (2, 0.3),
    ]


@pytest.mark.parametrize(
    ("pattern", "line", "value"),
    [
        (r"loss=loss ([\d.]+)", "loss nan", "nan"),
        (r"loss=loss ([\d.]+)", "loss NaN, accuracy 0.5", "nan"),
        (r"loss=loss ([\d.]+)", "train loss nan, val loss 0.5", "nan"),
        (r"loss=loss: (\d+\.\d+)", "loss: inf", "inf"),
        (r"loss=loss=(\d+)", "loss=-Infinity", "-inf"),
        (r"loss=loss ([\d.]+)", "loss -0.2", "-0.2"),
        (r"loss=loss ([\d.e-]+)", "loss -1.5e-3", "-0.0015"),
        (r"(?P<loss>[\d.]+) at (?P<step>\d+)", "nan at 3", "nan"),
        (r"loss=loss ([\d.]+)", "loss nano", None),
        (r"loss=loss ([\d.]+)", "loss info 3", None),
        (r"loss=loss \w+-([\d.]+)", "loss top-1", "1"),
        (r"loss=(?:\(\d+) ([\d.]+)", "(nan 4", None),
        (r"loss=at (?P<step>\d+): ([\d.]+)", "at nan: 4", None),
        (r"loss=loss ([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)", "loss nan", "nan"),
        (r"loss=loss (\d*\.\d+|\d+)", "loss -inf", "-inf"),
        (r"loss=loss=([\d.]+)", "val_loss=nan-step=5.ckpt", "nan"),
        (r"loss=loss=([\d.]+)", "val_loss=inf_acc=0.5", "inf"),
        (r"loss=loss.*?([\d.]+)", "loss, inf_norm 0.3", "0.3"),
        (r"loss=loss.*?([\d.]+)", "loss (l_inf) 0.3", "0.3"),
        (r"loss=loss.*?([\d.]+)", "loss after nan-check 0.3", "0.3"),
        (r"loss=loss.*?([\d.]+)", "loss ---0.3", "0.3"),
    ],
)
def test_a_group_for_digits_also_reads_nan_infinity_and_a_minus_sign(
    pattern: str, line: str, value: str | None
) -> None:
    readings = read_lines([parse_pattern(pattern)], [line])
    assert [str(r.values["loss"]) for r in readings] == ([] if value is None else [value])


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("loss=loss ([", "unterminated character set"),
        ("loss=loss (.+", "unterminated subpattern"),
        (r"loss=loss [\d.]+", "it has no group"),
        ("loss", "it has no group"),
        (r"loss ([\d.]+)", "it names no metric"),
        ("=([0-9])", "it names no metric"),
        ("", "it has no group"),
        ("a=(" + "x" * MAX_PATTERN + ")", "longer than"),
        ("(" * 500 + ")" * 500, ""),
    ],
)
def test_a_pattern_that_cannot_be_used_is_one_clear_error(pattern: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_pattern(pattern)
    assert "cannot use the metric pattern" in caught.value.what
    assert why in (caught.value.why or "")
    assert caught.value.hints


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_patterns(["a=(.)"] * (MAX_PATTERNS + 1))


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_an_input_error(text: str) -> None:
    try:
        found = parse_pattern(text)
    except InvalidInput:
        return
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "value"), [("0.4450.", 0.445), ("3,", 3), (" -1e-3 ", -0.001), ("97%", 97)]
)
def test_punctuation_around_a_number_is_not_part_of_it(text: str, value: float) -> None:
    assert reading_of({"x": text}, "").values == {"x": value}


def test_a_text_that_is_no_number_is_a_fault_and_no_value() -> None:
    reading = reading_of({"x": "1.2.3", "y": "2"}, "the line")
    assert reading.values == {"y": 2}
    assert reading.fault == "'1.2.3' for x is no number (in 'the line')"
    assert reading_of({"step": "1.5"}, "").fault


@pytest.mark.parametrize(
    ("pattern", "line", "value"),
    [
        (r"loss=loss ([\d.]+)", "loss 1,234", 1234),
        (r"loss=loss ([\d.]+)", "loss -1,234,567.5 ms", -1234567.5),
        (r"loss=loss ([-\d.]+)", "loss -1,234,567.5 ms", -1234567.5),
        (r"loss=loss ([\d.,]+)", "loss 12,345.5, acc 2", 12345.5),
        (r"loss=loss ([\d.]+)", "loss 1,234e3", 1234e3),
        (r"loss=loss ([\d.]+),", "loss 1,234", 1),
        (r"loss=loss ([\d.]+)", "loss 1,2345", 1),
        (r"loss=loss ([\d.]+)", "loss 1,234,5", 1),
        (r"loss=loss ([\d.]+)", "loss 1234,567", 1234),
        (r"loss=loss ([\d.]+)", "loss 2e+68", 2e68),
        (r"loss=loss ([\d.]+)", "loss 2.5E-3, next", 2.5e-3),
        (r"loss=loss (\d+)", "loss 2e3", 2000.0),
        (r"loss=loss ([\d.]+)", "loss 2e", 2),
        (r"loss=loss ([\d.]+)", "loss 2e5x", 2),
        (r"name=run (\w+)", "run abce5", None),
    ],
)
def test_exponent_and_thousands_after_a_group_belong_to_its_number(
    pattern: str, line: str, value: float | None
) -> None:
    readings = read_lines([parse_pattern(pattern)], [line])
    assert [list(reading.values.values()) for reading in readings] == ([[value]] if value else [])
