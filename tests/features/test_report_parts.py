"""The parts of a report that need no repository."""

import json
import math
import re
from importlib.resources import files
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.run import Decision, RecordedRun, Series
from gitexp.core.query.names import ATTRIBUTES
from gitexp.core.schema.json_codec import entry_document
from gitexp.core.schema.series_csv import decode_columns, decode_series
from gitexp.features.report.anonymous import without_names
from gitexp.features.report.columns import EXACT, columns_of, encode
from gitexp.features.report.payload import TAIL_LETTERS, end_of
from gitexp.features.report.squeezing import squeeze_program, squeeze_style
from gitexp.features.report.thinning import POINTS, Curve, curves_of_columns, thin
from tests.core.sample_runs import full_run, make_annotation

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-EXACT, EXACT), st.floats(allow_nan=False), st.text()
)


def decode(column: dict[str, Any], rows: int) -> list[Any]:
    """As the page does it."""
    if "codes" in column:
        values = [None if code < 0 else column["dict"][code] for code in column["codes"]]
    else:
        values = column["num"] if "num" in column else column["raw"]
    if "at" not in column:
        return values
    spread: list[Any] = [None] * rows
    for row, value in zip(column["at"], values, strict=True):
        spread[row] = value
    return spread


@given(st.lists(VALUES, max_size=30))
def test_columns_give_back_every_value_and_its_kind(values: list[Any]) -> None:
    cells = {row: value for row, value in enumerate(values) if value is not None}
    found = decode(encode(cells, len(values)), len(values))
    assert [(type(v), repr(v)) for v in found] == [(type(v), repr(v)) for v in values]


def test_page_has_a_column_for_every_attribute_that_filters_know() -> None:
    apart = tuple(
        make_annotation(id=f"{n:016x}", decision=decision, saw=())
        for n, decision in enumerate((Decision.KEEP, Decision.DISCARD))
    )
    columns = columns_of([entry_document(RecordedRun(full_run(), apart))])
    lacking = sorted(ATTRIBUTES.keys() - columns.keys())
    assert lacking == [], "add them to columns.py of the report, and values to `full_run`"


def test_filters_of_the_page_know_the_attributes_of_the_command_line() -> None:
    program = (files("gitexp.features.report") / "static/filter.js").read_text(encoding="utf-8")
    listed = re.search(r"ATTRIBUTES = \((.*?)\)\.split", program, re.DOTALL)
    assert listed is not None
    words = "".join(re.findall(r'"([^"]*)"', listed[1])).split()
    assert sorted(words) == sorted(ATTRIBUTES), "write the same names into filter.js"


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2000), st.integers(4, 600))
def test_thinned_values_keep_both_ends_and_the_extremes(values: list[float], most: int) -> None:
    places = thin(values, most)
    kept = [values[n] for n in places]
    assert places == sorted(set(places))
    assert len(places) <= max(most, 2)
    assert (places[0], places[-1]) == (0, len(values) - 1)
    assert (min(kept), max(kept)) == (min(values), max(values))


def curves_of(rows: Series, *, full: bool = False) -> dict[str, Curve]:
    """Return the curves of a series given by its rows."""
    names = dict.fromkeys(name for row in rows for name in row)
    return curves_of_columns({n: [row.get(n) for row in rows] for n in names}, full=full)


def test_a_curve_has_only_what_is_a_number() -> None:
    rows: Series = [
        {"step": 0, "time": 0.5, "loss": 1.0, "word": "a"},
        {"step": 1, "time": 0.6, "loss": math.nan, "once": 3},
        {"step": 2, "loss": 0.1234567890123},
    ]
    assert curves_of(rows) == {"loss": {"x": [0, 2], "y": [1.0, 0.123457]}}
    assert curves_of(rows, full=True) == {"loss": {"x": [0, 2], "y": [1.0, 0.1234567890123]}}
    long = curves_of([{"step": n, "loss": math.sin(n)} for n in range(5000)])
    assert len(long["loss"]["x"]) <= POINTS


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([2.0, 1.0, math.nan], "NaN"),
        ([2.0, 1.0, math.inf, None], "Infinity"),
        ([2.0, 1.0, -math.inf], "-Infinity"),
        ([2.0, math.nan, 1.0], None),
        ([2.0, 1.0, None], None),
        ([2.0, 1.0, "word"], None),
    ],
)
def test_a_curve_says_that_it_does_not_end_with_a_number(
    values: list[Any], end: str | None
) -> None:
    for full in (True, False):
        curve = curves_of_columns({"step": [0, 1, 2], "loss": values}, full=full)["loss"]
        assert curve.get("end") == end


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a short one\n", "a short one\n"),
        ("loss=1\n" * 1000, "loss=1\n" * (TAIL_LETTERS // 7)),
        ("x" * 700 + "\n" + "loss=1\n" * (TAIL_LETTERS // 7), "loss=1\n" * (TAIL_LETTERS // 7)),
        ("y" * 10 + "\n" + "x" * TAIL_LETTERS, "x" * TAIL_LETTERS),
        ("x" * 5000, "…" + "x" * (TAIL_LETTERS - 1)),
        ("x" * 5000 + "\n", "…" + "x" * (TAIL_LETTERS - 2) + "\n"),
    ],
)
def test_the_end_of_an_output_begins_with_a_whole_line(text: str, shown: str) -> None:
    assert end_of(text) == shown


def test_curves_of_rows_and_of_columns_are_the_same() -> None:
    huge = "9" * 400
    for text in (
        "step,time,loss\n0,0.5,1.25\n1,1.5,1\n2,,0.5\n",
        "step,time,loss,acc\n,,1.0,\n,,2.0,0.5\n,,nan,0.75\n",
        f"step,time,loss\n0,,{huge}\n1,,2.5\n2,,inf\n3,,-1e-7\n",
        "step,time,loss\na,b,c\n1,2,3\n2,x,4\n3,3,5\n",
        "step,time,loss,loss\n0,0,1,2\n1,1,3,4\n",
        "step,time,loss\n",
    ):
        rows, columns = decode_series(text.encode()), decode_columns(text.encode())
        for full in (True, False):
            assert curves_of_columns(columns, full=full) == curves_of(rows, full=full), text
    for broken in (b"", b"step,loss\n1\n", b"step,loss\n1,2\n1,2,3\n", b'a,"b\n', b"\xff"):
        for decode in (decode_series, decode_columns):
            with pytest.raises(UnreadableRecord):
                decode(broken)


@pytest.mark.parametrize(
    "text",
    [
        "step,time,loss\n0,,0.5\n1,,nan\n2,,inf\n",
        "step,loss\n0,0.5\n1\n",
        "step,loss\n0,0.5\n1,2,3\n4\n",
        "step,loss\n0,0.5\n1,7",
        "step,loss\n",
        "step\n1\n\n2\n",
        'step,"a,b"\n0,1\n',
        "step,loss\r\n0,1\r\n",
        "step,loss\n\n0,1\n",
    ],
)
def test_columns_without_quotes_are_read_as_csv_reads_them(text: str) -> None:
    def read(data: bytes) -> str:
        try:
            return repr(decode_columns(data))
        except UnreadableRecord:
            return "unreadable"

    with mock.patch("gitexp.core.schema.series_csv._plain_cells", return_value=None):
        wanted = read(text.encode())
    assert read(text.encode()) == wanted


def test_a_program_is_squeezed_to_what_does_the_same() -> None:
    text = """\
// a comment with "quotes" and `ticks`
const greeting = "a  b // no comment";
function shout(words, { loud = 2 / 1 } = {}) {
  /* another */
  const found = words.replace(/[/'"`]  x/g, "y") + 1;
  return found + - loud + `  ${words.map((w) => `<${w} ${greeting}>`)}  kept  `;
}
const shown = { shout };
let rate = 4 / 2 / 1;
"""
    squeezed = squeeze_program(text)
    assert "comment with" not in squeezed
    assert '"a  b // no comment"' in squeezed
    assert """/[/'"`]  x/g""" in squeezed
    assert "+ -loud" in squeezed
    assert "`  ${b.map(w=>`<${w} ${a}" in squeezed, "names of parameters are shortened too"
    assert "{loud=2/1}={}" in squeezed, "names of properties stay"
    assert "}  kept  `" in squeezed
    assert "4/2/1" in squeezed
    assert "{shout}" in squeezed, "a name that is a property's as well stays"
    assert "greeting" not in squeezed, "a name of the program alone is shortened everywhere"
    assert len(squeezed) < len(text) * 0.7


def test_a_style_is_squeezed() -> None:
    assert squeeze_style("a:hover > b, i { color: red; }\n/* c */ .x { margin: 0 auto }\n") == (
        "a:hover>b,i{color:red}.x{margin:0 auto}"
    )


def test_names_are_replaced_in_every_text_and_key() -> None:
    document = {
        "author": "Ada Example <ada@example.org>",
        "reason": "as Ada Example and ADA@EXAMPLE.ORG said on box-7",
        "params": {"ada@example.org": 1, "lr": 0.1},
        "session": "abc",
        "code": {"commit": "c0", "tree": "7e", "branch": "feature/ada-x", "remote": "git@x:y"},
        "environment": {"host": "box-7", "python": "3.12"},
        "annotations": [{"author": "Ben <ben@x.org>", "text": "feature/ada-x is Ben's"}],
    }
    documents, replaced = without_names([document])
    found = json.dumps(documents)
    for word in ("Ada", "ada", "ADA", "Ben", "ben", "box-7", "feature", "git@", '"c0"'):
        assert word not in found, word
    assert "as author 1 and author 1 said on a machine" in found
    assert "3.12" in found
    assert documents[0]["code"]["tree"] == "tree 1"
    assert replaced({"7e 7e": ["# by Ada Example"]}) == {"tree 1 tree 1": ["# by author 1"]}
