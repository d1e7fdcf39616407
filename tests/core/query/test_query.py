"""Filters: valid ones, errors with their column, and the meaning of each form."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.errors import InvalidQuery
from gitexp.core.model.run import AnnotationKind, Command, RecordedRun
from gitexp.core.query.matching import keyed_values, matches, parse_query, parse_sort, resolve
from gitexp.core.query.parse import MAX_CONDITIONS, MAX_LENGTH, MAX_VALUES, Operator
from gitexp.core.query.values import query_value
from gitexp.core.schema.json_codec import entry_document, parse_entry
from tests.core.sample_runs import make_annotation, make_run

ENTRY = RecordedRun(
    make_run(
        name="brave-otter",
        reason="stop the oscillation",
        duration_s=12.5,
        tags=("sweep", "night"),
        params={
            "lr": 0.01,
            "layers": [1, 2],
            "flag": True,
            "off": False,
            "mode": "fast",
            "empty": "",
            "zero": 0,
            "when": datetime(2026, 11, 23, tzinfo=UTC),
            "lambda": 3,
            "a.b": "dotted",
            "opt": {"name": "adam", "beta": 0.9},
            "same": 1,
        },
        metrics={"accuracy": 0.85, "top-1": 0.5, "bad": math.nan, "blown": math.inf, "same": 2},
        environment={"python": "3.11.7"},
        command=Command(argv=("true",), exit_code=0),
    ),
    (make_annotation(),),
)
KNOWN = [
    *(key for key, _ in keyed_values(ENTRY)),
    "metrics.gone",
    "params.gone2",
]


def ask(text: str, entry: RecordedRun = ENTRY) -> bool:
    return matches(resolve(parse_query(text), KNOWN), entry)


def refuse(text: str) -> InvalidQuery:
    with pytest.raises(InvalidQuery) as caught:
        ask(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "metrics.accuracy > 0.8",
        "accuracy >= 0.85 and lr < 0.1",
        "accuracy == 0.85",
        "0.8 < accuracy <= 0.85",
        "0.9 > accuracy",
        'tag == "sweep"',
        '"night" == tag',
        '"sweep" in tags',
        '"other" not in tags',
        'tag != "other"',
        'tag in ("other", "night")',
        'tag not in ["other"]',
        "tag",
        "tag is not None",
        'outcome == "succeeded" or accuracy < 0',
        'not outcome == "failed"',
        'started > "2026-11-01" and started < "2027"',
        "duration_s > 12 and exit_code == 0",
        'decision == "keep"',
        'mode in ("fast", "slow")',
        "lr in (0.1, 0.01)",
        "lr not in (0.1, 1)",
        "gone is None and metrics.gone == None",
        "lr is not None and lr != None",
        '"oscill" in reason',
        '"xyz" not in reason',
        'flag and flag == True and flag == 1 and flag == "true"',
        "not off and not empty and not zero",
        "zero == False",
        "dirty == False",
        'layers == "[1, 2]"',
        'when < "2026-12"',
        'params["lambda"] == 3',
        'params["a.b"] == "dotted"',
        'params["opt.name"] == "adam" and opt.name == "adam"',
        'metrics["top-1"] == +0.5',
        "lr > -1",
        "blown > 1e300 and blown == 1e999",
        'blown == "Infinity" and bad == "NaN"',
        'lr != "text"',
        'env.python == "3.11.7"',
        "metrics.accuracy > params.lr",
        'mode != lr and mode != "slow"',
        "parent is None",
        "metrics.same > params.same",
        "  lr\n==\n0.01 ",
    ],
)
def test_filters_that_match(text: str) -> None:
    assert ask(text)
    assert not ask(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "gone > 0",
        "gone == 0",
        "gone != 0",
        "gone in (0, 1)",
        "gone not in (0, 1)",
        '"a" not in params.gone2',
        "gone",
        "gone != gone2",
        'lr == "0.01"',
        'lr < "text"',
        'lr > "text"',
        "bad > 0",
        "bad < 0",
        'tag == "swee"',
        "tag == 3",
        '"swee" in tags',
        "not 0 < lr < 1",
        "lr in ()",
    ],
)
def test_filters_that_do_not_match(text: str) -> None:
    assert not ask(text)


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        ("acuracy > 1", 0, "no run has 'acuracy'"),
        ("lr > 0 and bogus == 1", 11, "no run has 'bogus'"),
        ('reason == "é" and bogus == 1', 18, "no run has 'bogus'"),
        ("  bogus == 1", 2, "no run has 'bogus'"),
        ("same > 0", 0, "'same' is ambiguous"),
        ("metrics > 0", 0, "'metrics' is a group of names, not a name"),
        ("lr = 1", 3, "cannot read the filter"),
        ("lr == 1 && dirty", 9, "cannot read the filter"),
        ("params.lambda == 1", 7, "cannot read the filter"),
        ("(lr == 1", 0, "cannot read the filter"),
        ("lr + 1 == 2", 0, "'lr + 1' is not a value"),
        ("abs(lr) == 2", 0, "'abs(lr)' is not a value"),
        ("__import__('os').system('true')", 0, "is not a condition"),
        ("[x for x in lr]", 0, "is not a condition"),
        ("lambda: 1", 0, "is not a condition"),
        ("True", 0, "'True' is not a condition"),
        ("1 < 2", 0, "a comparison needs a name on one side"),
        ("lr is 1", 0, "`is` is only for None"),
        ("lr < None", 5, "None has no order"),
        ("lr in 3", 6, "the meaning of `in` is unclear here"),
        ("lr in (1, None)", 10, "a value is a number, a text, True or False"),
        ("lr == 1j", 6, "a value is a number, a text, True or False"),
        ("lr == b'x'", 6, "a value is a number, a text, True or False"),
        ('mode == "\\ud800"', 8, "a value is a number, a text, True or False"),
        ("lr == 9223372036854775808", 6, "the number has more than 64 bits"),
        ("tag == name", 0, "tags compare only with a text"),
        ("name == tag", 0, "tags compare only with a text"),
        ("lr[0] == 1", 0, "'lr[0]' is not a name"),
        ('f"{lr}" == mode', 0, "is not a value"),
        ("", None, "the filter is empty"),
        (" \n", None, "the filter is empty"),
        ("lr\0", None, "cannot read the filter"),
        ("not " * 20 + "dirty", 64, "the filter is nested deeper than 16 levels"),
        ("x" + ".y" * 60, 0, "the name has more than 50 parts"),
        ("dirty or " * MAX_CONDITIONS + "dirty", 1800, "more than 200 conditions"),
        (f"lr in ({'1,' * (MAX_VALUES + 1)})", 1007, "more than 500 values"),
        ("x" * (MAX_LENGTH + 1), None, "the filter is too long"),
    ],
)
def test_error_names_the_column(text: str, position: int | None, what: str) -> None:
    fault = refuse(text)
    assert what in fault.what
    assert fault.position == position


@pytest.mark.parametrize(
    "bomb",
    ["not " * 2400 + "x", "(" * 4999 + "x", "-" * 9000 + "1 < lr", "x" + ".a" * 4500, "[" * 9000],
)
def test_deep_nesting_is_refused(bomb: str) -> None:
    assert refuse(bomb)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("acuracy > 1", "did you mean `metrics.accuracy`?"),
        ("outcom == 'x'", "did you mean `outcome`?"),
        ("opt.nme == 'x'", "did you mean `params.opt.name`"),
        ("beta > 0", "did you mean `params.opt.beta`?"),
        ("same > 0", "write `metrics.same`"),
        ("lr = 1", "write `==` to compare"),
        ("lr > 1 || dirty", "write `and`, `or` instead of `&&`, `||`"),
        ("params.lambda == 1", '`lambda` is a Python keyword: write `["lambda"]`'),
        ("metrics.top-1 > 1", 'odd names as `metrics["top-1"]`'),
        ("metrics.top.1 > 1", "put odd names in quotes"),
        ("metrics > 1", "write `metrics.NAME`"),
        ("(lr > 1) & dirty", "write `and`, `or` for `&`, `|`"),
    ],
)
def test_error_says_what_to_write_instead(text: str, hint: str) -> None:
    assert any(hint in said for said in refuse(text).hints), refuse(text).hints


SLASHED = RecordedRun(
    make_run(metrics={"val/loss": 0.5, "train/acc": {"top1": 0.9}, "a/b/c": 1, "loss": 3})
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("val/loss < 0.8", True),
        ("0.8 > val/loss", True),
        ("metrics.val/loss < 0.4", False),
        ("val / loss == 0.5 and loss == 3", True),
        ("train/acc.top1 > 0.8", True),
        ('metrics["val/loss"] == 0.5', True),
        ("a/b/c == 1", True),
        ("a/b/c in (1, 2)", True),
        ("val/loss is None", False),
        ("not a/b/c", False),
        ("a/b/c", True),
    ],
)
def test_a_name_may_have_slashes(text: str, holds: bool) -> None:
    known = [key for key, _ in keyed_values(SLASHED)]
    assert matches(resolve(parse_query(text), known), SLASHED) is holds


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("val/los < 0.8", "no run has 'val/los'"),
        ("loss / 2 < 0.8", "'loss / 2' is not a value"),
        ("2 / loss < 0.8", "'2 / loss' is not a value"),
        ("a/(b/c) == 1", "'a/(b/c)' is not a value"),
        ("/".join("a" * 60) + " == 1", "the name has more than 50 parts"),
    ],
)
def test_invalid_name_with_slashes_is_refused(text: str, what: str) -> None:
    known = [key for key, _ in keyed_values(SLASHED)]
    with pytest.raises(InvalidQuery) as refused:
        resolve(parse_query(text), known)
    assert refused.value.what == what


def test_ambiguous_name_lists_all_candidates() -> None:
    assert refuse("same > 0").why == "it could be metrics.same or params.same"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("accuracy", "metrics.accuracy"),
        ("metrics.accuracy", "metrics.accuracy"),
        ("top-1", "metrics.top-1"),
        ("metrics.top-1", "metrics.top-1"),
        (" lr ", "params.lr"),
        ("a.b", "params.a.b"),
        ("opt.name", "params.opt.name"),
        ("name", "name"),
        ("started", "started"),
    ],
)
def test_a_sort_key_gets_its_full_name(text: str, key: str) -> None:
    assert parse_sort(text, KNOWN) == key


@pytest.mark.parametrize("text", ["same", "bogus", "tag", "lr > 1", "", "lr, mode", "metrics"])
def test_invalid_sort_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        parse_sort(text, KNOWN)


def test_tags_in_force_count_not_those_of_the_start() -> None:
    untagged = make_annotation(kind=AnnotationKind.UNTAG, tags=("sweep",), decision=None)
    assert not ask('tag == "sweep"', RecordedRun(ENTRY.run, (untagged,)))
    assert ask('tag is None and tag != "x"', RecordedRun(make_run()))


def test_the_last_decision_counts() -> None:
    assert ask("decision is None", RecordedRun(ENTRY.run))


def test_number_form_is_never_nan() -> None:
    assert query_value(math.nan).number is None
    assert query_value("-Infinity").number == -math.inf


values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "true", "1"]),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.one_of(st.integers(0, 3), st.floats()), max_size=2),
)
literals = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.text("tru1NaIfinty", max_size=3),
)


@given(
    metric=values,
    param=values,
    op=st.sampled_from(list(Operator)),
    literal=literals,
    field=st.sampled_from(["metrics.m", "params.p"]),
)
def test_a_record_and_its_document_match_alike(
    metric: Any, param: Any, op: Operator, literal: Any, field: str
) -> None:
    entry = RecordedRun(make_run(metrics={"m": metric}, params={"p": param}))
    again = parse_entry(json.loads(json.dumps(entry_document(entry))))
    shown = "1e999" if literal == math.inf else "-1e999" if literal == -math.inf else repr(literal)
    for text in (f"{field} {op} {shown}", f"metrics.m {op} params.p", f"{field} in ({shown},)"):
        query = resolve(parse_query(text), ["metrics.m", "params.p"])
        assert matches(query, entry) is matches(query, again)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = resolve(parse_query(text), KNOWN)
    except InvalidQuery:
        return
    assert matches(query, ENTRY) in (True, False)
