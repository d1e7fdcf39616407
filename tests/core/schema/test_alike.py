"""Records decoded together give the same values as decoded alone, or are refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitexp.core.errors import Unreadable
from gitexp.core.model.run import Outcome, Run
from gitexp.core.schema.toml_codec import decode_run, encode_run
from gitexp.core.schema.uniform_records import Layout, Place, read_together, take_apart
from tests.core.sample_runs import full_run, make_run

SAMPLE = encode_run(full_run())
LAYOUT, WRITTEN = take_apart(SAMPLE)

ODD = (
    *("", " ", "0", "-0", "7", "00", "0.5", "-1.5e-07", "1e-05", "1e400", "nan", "-inf", "1_000"),
    *("9223372036854775807", "9223372036854775808", "7" * 20, "7" * 400, "0." + "3" * 400, "0x1f"),
    *("true", "True", '"x"', '"succeeded"', '"x', "'x'", '"""', "'''", '"a\\nb"', '"\\q"', '"\t"'),
    *('"\x7f"', '"\x00"', '"é\U0001f600"', '"\ud7ff"', "x", "5 # five", "5\r", "5 = 6", "= 5"),
    *("2026-11-23 10:15:02+00:00", "2026-13-23 10:15:02+00:00", "2026-11-23 24:00:00+00:00"),
    *("2026-11-23T10:15:02Z", "2026-11-23 10:15:02.5+00:00", "2026-11-23", "2026-11-23 10:15:02"),
    *("2026-11-23 10:15:02+02:00", "0001-01-01 00:00:00+00:00", "2026-11-23 10150:02+00:00"),
    *("[]", "[1, 2]", "[[1]]", "{}", "{a = 1}", "[1", "[\n]", '[\n    "x",\n]', "[\n    1,\n]"),
    *(
        "[\n    [],\n]",
        '[\n    "x",\n]]',
        '[\n    """,\n]',
        "[\n    # no,\n]",
        "[\n    ]\n    a,\n]",
    ),
    "[\n    ],\n    b = [0,\n]",
)
"""Values as other programs may write them, and text that looks like a value."""


def value_at(run: object, place: Place) -> Any:
    for name in place:
        run = run[name] if isinstance(run, Mapping) else getattr(run, name)
    return run


def together(*records: bytes) -> dict[Place, list[Any]]:
    parts = [take_apart(record) for record in records]
    assert len({layout for layout, _ in parts}) == 1
    return read_together(records[0], parts[0][0], [written for _, written in parts])


def assert_same(columns: dict[Place, list[Any]], runs: list[Run]) -> None:
    assert set(columns) > {("id",), ("clock",), ("code", "commit")}
    for place, column in columns.items():
        if place != ("schema",):
            expected = [value_at(run, place) for run in runs]
            assert [(type(v), repr(v)) for v in column] == [(type(v), repr(v)) for v in expected]


def put_together(layout: Layout, written: list[str]) -> bytes:
    *before, last = layout.split("\0")
    text = "".join(f"{part} = {value}" for part, value in zip(before, written, strict=True)) + last
    return text.encode(errors="surrogatepass")


def test_layout_and_values_restore_the_record() -> None:
    assert put_together(LAYOUT, WRITTEN) == SAMPLE


def test_every_field_is_decoded_as_by_the_codec() -> None:
    runs = [
        full_run(),
        replace(
            full_run(),
            outcome=Outcome.FAILED,
            tags=("one",),
            params={"lr": 1e-05, "model": {"depth": 4, "name": "a\nb"}, "layers": []},
            metrics={"accuracy": float("nan"), "val": {"loss": float("-inf")}},
            output_tail='quotes " and \\ and \x1b[0m',
        ),
        replace(full_run(), name="é \u2028", metrics={"accuracy": 1, "val": {"loss": "none"}}),
    ]
    runs = [decode_run(encode_run(run)) for run in runs]
    assert_same(together(*map(encode_run, runs)), runs)


@pytest.mark.parametrize(
    "values",
    [
        (1, 0.5, -3, 1e-05, 0, -0.0, 10**17, -2.5e17),
        (0.5, float("nan"), 2, float("-inf"), "none", True, 10**18),
        (1, 2, True, "3", "", 4.0),
    ],
)
def test_column_with_several_forms_is_decoded_as_by_the_codec(values: tuple[Any, ...]) -> None:
    metrics = full_run().metrics
    runs = [replace(full_run(), metrics={**metrics, "accuracy": value}) for value in values]
    records = [encode_run(run) for run in runs]
    assert_same(together(*records), [decode_run(record) for record in records])


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WRITTEN) - 1), st.sampled_from((*ODD, *WRITTEN))),
        min_size=1,
        max_size=3,
    )
)
@example([(0, "true")])
def test_unusual_value_is_decoded_as_by_the_codec_or_refused(
    changes: list[tuple[int, str]],
) -> None:
    written = list(WRITTEN)
    for number, value in changes:
        written[number] = value
    record = put_together(LAYOUT, written)
    try:
        layout, written = take_apart(record)
        if layout == LAYOUT:
            columns = read_together(SAMPLE, LAYOUT, [WRITTEN, written, WRITTEN])
        else:
            columns = read_together(record, layout, [written])
    except Unreadable:
        return
    run = decode_run(record)
    assert_same(columns, [full_run_read(), run, full_run_read()] if layout == LAYOUT else [run])


def full_run_read() -> Run:
    return decode_run(SAMPLE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[params]\n", '[params]\n"lr = 0" = 1\n'),
        ("[params]\n", '[params]\n"a=b" = 1\n'),
        ("[params]\n", "[params]\na=1\n"),
        ("[params]\n", "# a = 1\n[params]\n"),
        ("[params]\n", "[[more]]\na = 1\n[[more]]\na = 2\n[params]\n"),
        ("[params]\n", '[params]\ntext = """\nlr = 2\n"""\n'),
        ("[params]\n", "[params]\ntext = '''\nlr = 2\nx = '''\n"),
        ("[params]\n", "[params]\nmany = [1,\n2]\n"),
        ("[params]\n", "[params]\na = 1\na = 2\n"),
        ("lr = 0.01", "lr = {a = 1}"),
        ("    1,\n    2,\n", "    ] # ,\n    b = [0,\n"),
        ("[params]\n", f"[params.{'.'.join('x' * 31)}]\na = 1\n[params]\n"),
    ],
)
def test_record_in_another_form_is_refused(old: str, new: str) -> None:
    record = SAMPLE.decode().replace(old, new, 1).encode()
    assert record != SAMPLE
    with pytest.raises(Unreadable):
        together(record, record)


def test_a_carriage_return_at_the_end_is_no_part_of_a_value() -> None:
    """Before a line feed it would be part of the line end."""
    record = SAMPLE.rstrip()
    assert together(record, record)
    for read in (decode_run, lambda odd: together(record, odd)):
        with pytest.raises(Unreadable):
            read(record + b"\r")


def test_records_of_another_layout_than_the_sample_are_refused() -> None:
    other = encode_run(make_run(1))
    layout, written = take_apart(other)
    assert layout != LAYOUT
    with pytest.raises(Unreadable):
        read_together(SAMPLE, LAYOUT, [WRITTEN, written])
    with pytest.raises(Unreadable):
        read_together(b"schema = 2\n", *_single(b"schema = 2\n"))


def _single(record: bytes) -> tuple[Layout, list[list[str]]]:
    layout, written = take_apart(record)
    return layout, [written]


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Unreadable):
        take_apart(b"a = \xff")
