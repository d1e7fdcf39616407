"""`METRIC` lines of programs and their loggers."""

import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.inputs.metric_lines import (
    MAX_LINE,
    MAX_PAIRS,
    parse_metric_line,
    plain_line,
    to_quantity,
)

READ: list[tuple[str, dict[str, float], dict[str, str], int | None]] = [
    ("METRIC acc=0.5", {"acc": 0.5}, {}, None),
    ("METRIC acc=0.5 step=3\n", {"acc": 0.5}, {}, 3),
    ("METRIC acc=0.5 [step=3]", {"acc": 0.5}, {}, 3),
    ("  METRIC val/acc@5 = -1e-3\r\n", {"val/acc@5": -0.001}, {}, None),
    ("METRIC n=3", {"n": 3}, {}, None),
    ("METRIC n=99999999999999999999", {"n": 1e20}, {}, None),
    ("METRIC x=inf", {"x": math.inf}, {}, None),
    ("METRIC x=-Infinity", {"x": -math.inf}, {}, None),
    # several values
    ("METRIC loss=0.3 acc=0.9", {"loss": 0.3, "acc": 0.9}, {}, None),
    ("METRIC loss=0.3, acc=0.9", {"loss": 0.3, "acc": 0.9}, {}, None),
    ("METRIC loss=0.3,acc=0.9;f1=1", {"loss": 0.3, "acc": 0.9, "f1": 1}, {}, None),
    ("METRIC loss=0.3 | acc=0.9 |", {"loss": 0.3, "acc": 0.9}, {}, None),
    ("METRIC loss=1 loss=2", {"loss": 2}, {}, None),
    # colons and blanks
    ("METRIC loss: 0.3", {"loss": 0.3}, {}, None),
    ("METRIC loss : 0.3 acc: 0.9", {"loss": 0.3, "acc": 0.9}, {}, None),
    ("METRIC loss:0.3 step:5", {"loss": 0.3}, {}, 5),
    ("METRIC: loss=0.3", {"loss": 0.3}, {}, None),
    ("METRIC a:b=1", {"a:b": 1}, {}, None),
    ("\tMETRIC\tloss = 0.3", {"loss": 0.3}, {}, None),
    ("METRIC loss=0.3,", {"loss": 0.3}, {}, None),
    # units
    ("METRIC acc=97.3%", {"acc": 97.3}, {"acc": "%"}, None),
    ("METRIC acc: 97.3 %, loss=1", {"acc": 97.3, "loss": 1}, {"acc": "%"}, None),
    ("METRIC latency=12ms size=3.5MB", {"latency": 12, "size": 3.5},
     {"latency": "ms", "size": "MB"}, None),
    ("METRIC a=1% a=2", {"a": 2}, {}, None),
    # steps
    ("METRIC epoch=2 loss=0.3", {"loss": 0.3}, {}, 2),
    ("METRIC Epoch: 2/10 loss=0.3", {"loss": 0.3}, {}, 2),
    ("METRIC epoch=2 step=300 loss=0.3", {"epoch": 2, "loss": 0.3}, {}, 300),
    ("METRIC epoch=0.5 loss=0.3", {"epoch": 0.5, "loss": 0.3}, {}, None),
    ("METRIC step=3", {"step": 3}, {}, None),
    ("METRIC steps=3", {"steps": 3}, {}, None),
    # prefixes of loggers
    ("2026-11-30 12:00:01 INFO METRIC loss=0.3", {"loss": 0.3}, {}, None),
    ("INFO:root:METRIC loss=0.3", {"loss": 0.3}, {}, None),
    ("[2026-11-30 12:00:01,123][__main__][INFO] - METRIC loss=0.3", {"loss": 0.3}, {}, None),
    ("I1130 12:00:01.123456 77 train.py:34] METRIC loss=0.3", {"loss": 0.3}, {}, None),
    ("12:00 | METRIC loss=0.3", {"loss": 0.3}, {}, None),
    ("[rank0] METRIC loss=0.3", {"loss": 0.3}, {}, None),
    ("0: METRIC loss=0.3", {"loss": 0.3}, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "values", "units", "step"), READ)
def test_metric_line_gives_values_units_and_step(
    line: str, values: dict[str, float], units: dict[str, str], step: int | None
) -> None:
    found = parse_metric_line(line)
    assert found is not None
    types = {name: type(value) for name, value in found.values.items()}
    assert types == {name: type(value) for name, value in values.items()}
    assert found == (values, units, step, None)


UNREADABLE = """METRIC acc=high|METRIC acc=true|METRIC =1|METRIC acc=1 and more|METRIC x=1e999
METRIC loss=0,3|METRIC n=1_000|METRIC n=1,234 m=2|METRIC x=0x10|METRIC x=1.2.3|METRIC x=1k
METRIC loss=|METRIC loss 0.3|METRIC loss=0.3acc=0.9|METRIC acc=nanometre|METRIC loss=0.3 acc=
12:00:01 INFO METRIC loss=oops 3|METRIC x=1e|METRIC x=12-3|METRIC {"loss": 0.3}
METRIC a = b = 3"""


@pytest.mark.parametrize("line", re.split(r"[|\n]", UNREADABLE))
def test_invalid_metric_line_gives_only_a_fault(line: str) -> None:
    found = parse_metric_line(line)
    assert found is not None
    assert found.fault
    assert not found.values


@pytest.mark.parametrize(
    "line",
    [
        "",
        "loss=0.3",
        "METRICS acc=1",
        "the METRIC acc=1",
        "+ echo METRIC acc=1",
        "usage: print METRIC name=0.3",
        "METRIC VALUE",
        "METRIC",
        "METRIC_A=1",
        "MYMETRIC acc=1",
        "x" * 400 + " 12:00 METRIC a=1",
    ],
)
def test_other_lines_are_no_metric_lines(line: str) -> None:
    assert parse_metric_line(line) is None


def test_nan_is_a_value() -> None:
    found = parse_metric_line("METRIC loss=nan")
    assert found is not None
    assert math.isnan(found.values["loss"])


def test_length_and_number_of_values_are_bounded() -> None:
    long = parse_metric_line("METRIC a=1" + " " * MAX_LINE + "b=2")
    assert long is not None
    assert long.fault
    many = parse_metric_line("METRIC " + " ".join(f"m{n}=1" for n in range(MAX_PAIRS + 1)))
    assert many is not None
    assert many.fault


def test_hostile_line_is_read_quickly() -> None:
    started = time.process_time()
    for filler in ("=", ":", "a", "a=", " ", "1", "METRIC ", "a:", "\x1b[", "1 ", "[", ",;|"):
        parse_metric_line(("METRIC " + filler * MAX_LINE)[:MAX_LINE])
        parse_metric_line(("12:00 " * 40 + "METRIC " + filler * MAX_LINE)[:MAX_LINE])
        plain_line((filler * 65536).encode()[:65536])
    assert time.process_time() - started < 20


DIGITS = re.compile(r"\d+")


@given(
    st.one_of(
        st.text(max_size=80),
        st.builds(
            "{}METRIC {}".format,
            st.sampled_from(["", " ", "12:00 INFO "]),
            st.text("ab=:,%0123456789.e+-|[] infstepMB\t", max_size=60),
        ),
    )
)
def test_reading_any_line_never_raises_or_invents_a_number(line: str) -> None:
    found = parse_metric_line(line)
    if found is None:
        return
    assert (found.fault is None) is bool(found.values)
    for name, value in found.values.items():
        assert name.lower() in line.lower()
        assert _is_written(value, line)
    if found.step is not None:
        assert found.step in [int(digits) for digits in DIGITS.findall(line)]


def _is_written(value: float, line: str) -> bool:
    """Python reads the same number in the line, between characters that are in no number."""
    words = re.split(r"[^\d.eE+\-a-zA-Z]+", line)
    texts = [t for w in words for t in (w, *re.findall(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", w))]
    for text in texts:
        for shorter in (text, *(text[:n] for n in range(len(text)))):
            try:
                read = float(shorter)
            except ValueError:
                continue
            if read == value or (math.isnan(read) and math.isnan(value)):
                return True
    return False


@given(st.floats(), st.integers(0, 10**17))
def test_what_python_prints_is_read_back(value: float, step: int) -> None:
    found = parse_metric_line(f"METRIC loss={value!r} step={step}")
    assert found is not None
    assert found.step == step
    assert found.values["loss"] == value or math.isnan(value)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("3", (3, None)),
        (" 0.25 ", (0.25, None)),
        ("1e-3", (1e-3, None)),
        ("97.3%", (97.3, "%")),
        ("x", None),
        ("", None),
    ],
)
def test_number_with_unit_is_parsed_from_text(
    text: str, quantity: tuple[float, str | None] | None
) -> None:
    assert to_quantity(text) == quantity
    assert to_quantity("12 apples") is None


def test_escape_codes_and_bad_bytes_do_not_hide_a_line() -> None:
    line = plain_line(b"\x1b[32mMETRIC\x1b[0m loss=0.3\x1b[K")
    assert parse_metric_line(line) == ({"loss": 0.3}, {}, None, None)
    assert "\ufffd" in plain_line(b"\xff")
