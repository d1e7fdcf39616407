"""Record codec: round trips, golden bytes, and hostile input."""

import json
import math
import string
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Checks,
    Code,
    Command,
    Decision,
    Direction,
    FileState,
    Harvested,
    Origin,
    Outcome,
    ParentRule,
    Parser,
    RecordedRun,
    ReproductionVerdict,
    Run,
    SweepPlace,
    Value,
)
from gitexp.core.schema.fields import RUN
from gitexp.core.schema.json_codec import (
    entry_document,
    parse_entry,
    plain_document,
    typed_in_record,
    typed_values,
)
from gitexp.core.schema.limits import MAX_DEPTH, MAX_RECORD_BYTES, MAX_VALUE_BYTES
from gitexp.core.schema.series_csv import decode_series, encode_series, merge_series
from gitexp.core.schema.toml_codec import (
    decode_annotation,
    decode_run,
    decode_table,
    encode_annotation,
    encode_run,
    encode_table,
    recode_run,
)
from tests.core.sample_runs import full_run, make_annotation, make_run

GOLDEN_RUN = b"""\
schema = 2
id = "7f3a9c0d5e1b2a48"
name = "brave-otter"
outcome = "succeeded"
clock = 1
started = 2026-11-23 10:15:02+00:00
duration_s = 12.5
author = "Ada <ada@example.org>"
origin = "run"
fingerprint = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
reason = "a lower rate should stop the oscillation"
parent = "1111111111111111"
parent_rule = "applied"
reproduces = "2222222222222222"
session = "9c4f21d07b6e8a35"
source = "mlflow:42"
tags = [
    "baseline",
    "sweep",
]
produced = [
    "metrics.json",
]
warnings = [
    "cannot read the metrics file",
]
output_tail = "epoch 1\\nepoch 2"

[sweep]
id = "5555555555555555"
number = 12
attempts = 2
pruned_at = 3
worker = "node7"

[code]
commit = "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"
tree = "7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e"
dirty = true
snapshot = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
digest = "d1"
branch = "main"
remote = "https://example.org/x.git"
left_out = [
    "big.bin (20 MiB)",
]

[command]
argv = [
    "python",
    "train.py",
    "--lr",
    "0.01",
]
template = [
    "python",
    "train.py",
    "--lr",
    "{lr}",
]
directory = "sub"
exit_code = 0

[params]
layers = [
    1,
    2,
]
lr = 0.01

[params.model]
depth = 3
name = "tiny"

[metrics]
accuracy = 0.85

[metrics.val]
loss = 0.25

[directions]
accuracy = "maximize"

[inputs."data/train.csv"]
sha256 = "abababababababababababababababababababababababababababababababab"
bytes = 1234

[outputs."model.bin"]
sha256 = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
bytes = 9

[harvested."logs/metrics.csv"]
kind = "lightning"
metrics = 1
steps = 2

[environment]
python = "3.11.7"
"""
"""Records on existing branches; schema 2 must never change them."""

GOLDEN_ANNOTATION = b"""\
schema = 2
id = "0123456789abcdef"
run = "7f3a9c0d5e1b2a48"
kind = "decision"
clock = 7
time = 2026-11-23 10:15:02+00:00
author = "Ada <ada@example.org>"
decision = "keep"
text = "good enough"
hint = "try a wider net"
"""

# --- strategies -----------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text(
    st.characters(
        exclude_categories=["Cc", "Cs"],
        exclude_characters="\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    ),
    min_size=1,
    max_size=8,
)
MOMENTS = st.datetimes(
    datetime.fromisoformat("1970-01-02"),
    datetime.fromisoformat("9000-01-01"),
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(fold=0))
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | MOMENTS
    | st.dates(date(1000, 1, 1))
    | st.times().map(lambda moment: moment.replace(fold=0))
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(NAME, VALUES, max_size=4)
HEX40 = st.text("0123456789abcdef", min_size=40, max_size=40)
OIDS = st.builds(ObjectId, HEX40 | HEX40.map(lambda text: (text * 2)[:64]))
RUN_IDS = st.builds(RunId, st.text("0123456789abcdef", min_size=16, max_size=16))
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
SORTED_TEXTS = st.lists(TEXT, max_size=3, unique=True).map(lambda texts: tuple(sorted(texts)))
T = TypeVar("T")


def drawn(made: type[T], **values: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Return a strategy for records that draws every field, so that none goes untested."""
    missing = {field.name for field in fields(made)} - values.keys()  # type: ignore[arg-type]
    assert not missing, f"{made.__name__} has fields that no strategy draws: {missing}"
    return st.builds(made, **values)


FILES = st.dictionaries(
    NAME,
    drawn(FileState, sha256=TEXT, bytes=st.integers(0, 2**60), named=st.booleans()),
    max_size=2,
)
RUNS: st.SearchStrategy[Run] = drawn(
    Run,
    id=RUN_IDS,
    name=TEXT,
    outcome=st.sampled_from(Outcome),
    clock=st.integers(0, 2**53),
    started=MOMENTS,
    author=TEXT,
    origin=st.sampled_from(Origin),
    code=drawn(
        Code,
        commit=OIDS,
        tree=OIDS,
        dirty=st.booleans(),
        snapshot=st.none() | OIDS,
        digest=TEXT,
        branch=st.none() | TEXT,
        remote=st.none() | TEXT,
        left_out=TEXTS,
        hashed=FILES,
        unhashed=TEXTS,
    ),
    fingerprint=TEXT,
    duration_s=st.none() | st.floats(0, 1e9),
    reason=st.none() | TEXT,
    parent=st.none() | RUN_IDS,
    parent_rule=st.none() | st.sampled_from(ParentRule),
    reproduces=st.none() | RUN_IDS,
    batch=st.none() | TEXT,
    round=st.none() | st.integers(0, 10**5),
    session=st.none() | TEXT,
    source=st.none() | TEXT,
    tags=SORTED_TEXTS,
    command=st.none()
    | drawn(
        Command,
        argv=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
        template=TEXTS,
        directory=TEXT,
        exit_code=st.none() | st.integers(-64, 255),
        metrics_files=TEXTS,
        metric_patterns=TEXTS,
        timeout_s=st.none() | st.floats(1e-3, 1e9),
    ),
    checks=st.none()
    | drawn(
        Checks,
        outcome=st.sampled_from(Outcome),
        exit_code=st.none() | st.integers(-64, 255),
        output=TEXT,
    ),
    params=TABLES,
    parsed=TABLES,
    parser=st.none()
    | drawn(
        Parser,
        by=TEXT,
        given=SORTED_TEXTS,
        renamed=st.dictionaries(NAME, TEXT, max_size=2),
    ),
    metrics=TABLES,
    units=st.dictionaries(NAME, TEXT, max_size=2),
    directions=st.dictionaries(NAME, st.sampled_from(Direction), max_size=2),
    inputs=FILES,
    outputs=FILES,
    reads=FILES,
    changed_reads=FILES,
    produced=SORTED_TEXTS,
    sweep=st.none()
    | drawn(
        SweepPlace,
        id=TEXT,
        number=st.integers(1, 10**5),
        attempts=st.integers(1, 99),
        pruned_at=st.none() | st.integers(0, 10**9),
        worker=st.none() | TEXT,
    ),
    harvested=st.dictionaries(
        NAME,
        drawn(
            Harvested,
            kind=TEXT,
            metrics=st.integers(0, 9),
            steps=st.integers(0, 9),
            params=SORTED_TEXTS,
        ),
        max_size=2,
    ),
    environment=TABLES,
    output_tail=TEXT,
    warnings=TEXTS,
)
ANNOTATIONS: st.SearchStrategy[Annotation] = drawn(
    Annotation,
    id=RUN_IDS | st.just("delete"),
    run=RUN_IDS,
    kind=st.sampled_from(AnnotationKind),
    clock=st.integers(0, 2**53),
    time=MOMENTS,
    author=TEXT,
    decision=st.none() | st.sampled_from(Decision),
    text=st.none() | TEXT,
    hint=st.none() | TEXT,
    tags=SORTED_TEXTS,
    verdict=st.none() | st.sampled_from(ReproductionVerdict),
    by=st.none() | RUN_IDS,
    saw=st.none() | TEXTS,
    metrics=TABLES,
    units=st.dictionaries(NAME, TEXT, max_size=2),
)
METRIC_NAMES = st.text(string.ascii_letters + "_./,\"'\n ", min_size=1, max_size=8)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["step", "time"]) | METRIC_NAMES,
        st.integers() | st.floats(allow_nan=False),
        min_size=1,
        max_size=4,
    ),
    max_size=5,
)

# --- round trips ----------------------------------------------------------------------------------


def exactly(value: object) -> str:
    """Return equal text for values that are equal in type as well: 1 is not 1.0, nor -0.0 0.0."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {exactly(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(exactly(member) for member in value) + "]"
    return repr(value)


def vars_of(entry: RecordedRun) -> dict[str, Any]:
    run = {field.name: getattr(entry.run, field.name) for field in fields(Run)}
    return {**run, "annotations": repr(entry.annotations)}


@pytest.mark.slow
@given(RUNS)
def test_a_run_survives_the_round_trip(run: Run) -> None:
    again = decode_run(encode_run(run))
    assert again == run
    for table in ("params", "parsed", "metrics", "environment"):
        assert exactly(getattr(again, table)) == exactly(getattr(run, table))
    recorded, document = recode_run(encode_run(run))
    assert json.dumps(document) == json.dumps(RUN.json(again))
    assert typed_in_record(recorded, document) == typed_values(RecordedRun(again))
    if not run.parsed:
        whole = entry_document(RecordedRun(again), "group")
        assert json.dumps(plain_document(document, "group")) == json.dumps(whole)


@pytest.mark.slow
@given(RUNS, st.dictionaries(NAME, st.floats(), max_size=3), st.lists(ANNOTATIONS, max_size=2))
def test_run_is_restored_from_its_document(
    run: Run, floats: dict[str, Any], annotations: list[Annotation]
) -> None:
    """Return the run as the index stores it: with dates, times, NaN and infinities."""
    odd = replace(run, params={**run.params, **floats}, metrics={**run.metrics, "floats": [floats]})
    entry = RecordedRun(odd, tuple(annotations))
    document = json.loads(json.dumps(entry_document(entry), allow_nan=False))
    again = parse_entry(document, json.loads(json.dumps(typed_values(entry))))
    assert exactly(vars_of(again)) == exactly(vars_of(entry))


@pytest.mark.slow
@given(RUNS)
def test_equal_runs_have_equal_bytes(run: Run) -> None:
    turned = replace(
        run,
        params=dict(reversed(run.params.items())),
        metrics=dict(reversed(run.metrics.items())),
        inputs=dict(reversed(run.inputs.items())),
        directions=dict(reversed(run.directions.items())),
        tags=tuple(reversed(run.tags)),
        started=run.started.astimezone(timezone(timedelta(hours=5))),
    )
    assert encode_run(turned) == encode_run(run)
    assert encode_run(decode_run(encode_run(run))) == encode_run(run)


@given(ANNOTATIONS)
def test_an_annotation_survives_the_round_trip(annotation: Annotation) -> None:
    assert decode_annotation(encode_annotation(annotation)) == annotation


@given(TABLES)
def test_a_table_survives_the_round_trip(table: dict[str, Value]) -> None:
    assert decode_table(encode_table(table)) == table


@given(ROWS)
def test_a_series_survives_the_round_trip(rows: list[dict[str, float | int | str]]) -> None:
    again = decode_series(encode_series(rows))
    assert again == rows
    assert [{k: type(row[k]) for k in sorted(row)} for row in again] == [
        {k: type(row[k]) for k in sorted(row)} for row in rows
    ]


TRICKY_TEXTS = {
    "version numbers": "1." * 60,
    "a list of floats": ",".join(["0.25"] * 60),
    "ASCII art": "[" * 60,
    "progress bars": "[=>] " * 5000,
    "braces": "{" * 60,
    "a long number": "1" * 5000,
    "quotes": "\"'" * 200 + "[" * 40,
    "backslashes": "\\" * 301 + "[" * 40,
    "comments": "# " + "[" * 60 + "\n" + "." * 60,
    "TOML": "[" + ".".join("a" * 60) + "]\nx = 1",
    "line ends": "\r\n\t\x0b\x0c\x1c\x85\u2028" + "." * 60,
}


@pytest.mark.parametrize("what", TRICKY_TEXTS)
def test_text_that_looks_like_deep_nesting_is_accepted(what: str) -> None:
    text = TRICKY_TEXTS[what]
    run = make_run(
        params={"text": text, "list": [text, [text]], text[:30]: 1}
        if text.isprintable()
        else {"text": text},
        command=Command(argv=("python", text)),
        output_tail=text,
        inputs={text[:200]: FileState(sha256=text, bytes=1)},
        warnings=(text,),
    )
    assert decode_run(encode_run(run)) == run


def test_numbers_that_are_not_finite_survive() -> None:
    metrics: dict[str, Value] = {"up": math.inf, "down": -math.inf, "lost": math.nan}
    again = decode_run(encode_run(make_run(metrics=metrics))).metrics
    assert repr(again) == "{'down': -inf, 'lost': nan, 'up': inf}"
    assert repr(decode_series(encode_series([{"step": 1, "loss": math.nan}]))) == (
        "[{'step': 1, 'loss': nan}]"
    )


def test_date_without_time_zone_keeps_none() -> None:
    params: dict[str, Value] = {
        "day": date(2026, 1, 2),
        "at": time_of_day(3, 4, 5),
        "local": datetime.fromisoformat("2026-01-02T03:04:05"),
    }
    assert decode_run(encode_run(make_run(params=params))).params == params


# --- bytes that never change ----------------------------------------------------------------------


def test_the_bytes_of_a_full_run() -> None:
    assert encode_run(full_run()).decode() == GOLDEN_RUN.decode()


def test_the_golden_run_is_read() -> None:
    assert decode_run(GOLDEN_RUN) == replace(full_run(), tags=("baseline", "sweep"))


def test_the_bytes_of_an_annotation() -> None:
    assert encode_annotation(make_annotation()).decode() == GOLDEN_ANNOTATION.decode()
    assert decode_annotation(GOLDEN_ANNOTATION) == make_annotation()


def test_a_row_without_a_step_has_its_position_as_step() -> None:
    assert merge_series([{"loss": 3}, {"loss": 2}]) == [
        {"step": 0, "loss": 3},
        {"step": 1, "loss": 2},
    ]
    assert merge_series([], [{"step": 7, "loss": 3}]) == [{"step": 7, "loss": 3}]


def test_the_bytes_of_a_series() -> None:
    rows: list[dict[str, float | int | str]] = [
        {"step": 0, "time": 0.5, "loss": 1.0},
        {"step": 1, "acc": 0.1 + 0.2},
    ]
    assert encode_series(rows) == b"step,time,acc,loss\n0,0.5,,1.0\n1,,0.30000000000000004,\n"


def test_the_smallest_record_has_no_empty_fields() -> None:
    text = encode_run(make_run(command=None)).decode()
    assert "[]" not in text
    assert "params" not in text
    assert "command" not in text


def test_unknown_fields_of_a_later_writer_are_ignored() -> None:
    assert decode_run(b'colour = "red"\n' + GOLDEN_RUN) == decode_run(GOLDEN_RUN)


# --- refusals -------------------------------------------------------------------------------------


def with_line(old: str, new: str) -> bytes:
    text = GOLDEN_RUN.decode()
    assert old in text
    return text.replace(old, new, 1).encode()


DAMAGED = {
    "empty": b"",
    "not TOML": b"schema = = 1",
    "not UTF-8": b"\xff\xfe" + GOLDEN_RUN,
    "cut off": GOLDEN_RUN[: len(GOLDEN_RUN) // 3],
    "no schema": with_line("schema = 2\n", ""),
    "schema zero": with_line("schema = 2\n", "schema = 0\n"),
    "text schema": with_line("schema = 2\n", 'schema = "1"\n'),
    "short id": with_line('"7f3a9c0d5e1b2a48"', '"7f3a"'),
    "id of another type": with_line('"7f3a9c0d5e1b2a48"', "7"),
    "unknown outcome": with_line('"succeeded"', '"perhaps"'),
    "no code": with_line("[code]", "[coda]"),
    "code is text": with_line("[params]", "[rest]").replace(b"[code]", b"[params.code]"),
    "bad commit": with_line('"c0c0', '"zzzz'),
    "params are text": with_line("schema = 2\n", 'schema = 2\nenvironment = "x"\n'),
    "negative zone": with_line("2026-11-23 10:15:02+00:00", '"yesterday"'),
    "NaN duration": with_line("12.5", "nan"),
    "argv is text": with_line('argv = [\n    "python"', "argv = [\n    3"),
    "clock is text": with_line("clock = 1", 'clock = "1"'),
    "clock is boolean": with_line("clock = 1", "clock = true"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_run_is_unreadable(what: str) -> None:
    with pytest.raises(UnreadableRecord) as caught:
        decode_run(DAMAGED[what])
    assert caught.value.what == "cannot read a record"


def test_a_record_of_a_newer_gitexp_says_so() -> None:
    with pytest.raises(UnreadableRecord) as caught:
        decode_run(with_line("schema = 2\n", "schema = 3\n"))
    assert caught.value.why == "it has schema 3, this gitexp knows up to 2"
    assert caught.value.hints == ("update gitexp: `pip install -U gitexp`",)


BOMBS: dict[str, Callable[[], bytes]] = {
    "a megabyte of brackets": lambda: b"x = " + b"[" * 1_000_000,
    "brackets with spaces": lambda: b"x = " + b"[ " * 400_000,
    "brackets on lines": lambda: b"x = " + b"[\n" * 400_000,
    "inline tables": lambda: b"x = " + b"{a=" * 300_000,
    "inline tables, closed": lambda: b"x = " + b"{a=" * 5_000 + b"1" + b"}" * 5_000,
    "a long dotted key": lambda: b".".join([b"a"] * 400_000) + b" = 1",
    "a long dotted header": lambda: b"[" + b".".join([b"a"] * 400_000) + b"]",
    "a dotted key in a table": lambda: b"x = {" + b".".join([b"a"] * 400_000) + b" = 1}",
    "an integer of a megabyte": lambda: b"x = " + b"9" * 1_000_000,
    "an integer of 65 bits": lambda: b"x = 18446744073709551616",
    "a hexadecimal integer": lambda: b"x = 0x" + b"f" * 900_000,
    "too large": lambda: b"#" * (MAX_RECORD_BYTES + 1),
    "brackets that a misplaced quote hides": lambda: b'a = 1:"""\nb = ' + b"[" * 100_000,
    "deep headers": lambda: b"".join(
        b"[" + b".".join([b"a"] * n) + b"]\n" for n in range(1, MAX_DEPTH + 40)
    ),
    "quotes without end": lambda: b'x = "' + b"\\" * 900_000,
    "triple quotes without end": lambda: b'x = """' + b'\\""' * 300_000,
}


@pytest.mark.parametrize("what", BOMBS)
@pytest.mark.parametrize(
    "decode",
    [
        decode_run,
        *(pytest.param(d, marks=pytest.mark.slow) for d in (decode_annotation, decode_table)),
    ],
)
def test_hostile_record_is_refused_within_a_second(
    what: str, decode: Callable[[bytes], object]
) -> None:
    bomb = BOMBS[what]()
    started = time.process_time()
    with pytest.raises(UnreadableRecord):
        decode(bomb)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"step,time\n1\n", b"step,time\n1,2,3\n", b'step,time\n"1,2\n'],
    ids=["empty", "not UTF-8", "short row", "long row", "open quote"],
)
def test_a_damaged_series_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        decode_series(data)


@given(st.binary(max_size=200), st.integers(0, 1500), st.integers(0, 300))
def test_any_damage_gives_a_run_or_one_unreadable(junk: bytes, at: int, length: int) -> None:
    data = GOLDEN_RUN[:at] + junk + GOLDEN_RUN[at + length :]
    try:
        decode_run(data)
    except UnreadableRecord as error:
        assert error.why is None or "\n" not in error.why


@given(st.text(max_size=200))
def test_any_text_as_a_series_gives_rows_or_one_unreadable(text: str) -> None:
    try:
        decode_series(text.encode("utf-8", "replace"))
    except UnreadableRecord as error:
        assert error.why


def test_a_run_beyond_the_bounds_is_not_encoded() -> None:
    values: dict[str, Value] = {f"p{n}": "x" * MAX_VALUE_BYTES for n in range(17)}
    with pytest.raises(InvalidInput) as caught:
        encode_run(make_run(params=values))
    assert caught.value.what == "cannot record run 7f3a9c0"
    with pytest.raises(InvalidInput, match="cannot record a metric"):
        encode_run(make_run(metrics={"big": 2**64}))


def test_units_patterns_and_later_metrics_survive() -> None:
    run = make_run(metrics={"accuracy": 97.3})
    assert run.command is not None
    run = replace(
        run,
        units={"accuracy": "%", "val.loss": "ms"},
        command=replace(run.command, metric_patterns=(r"loss=loss ([\d.]+)", 'a="b" (.)')),
    )
    assert decode_run(encode_run(run)) == run
    annotation = make_annotation(
        kind=AnnotationKind.METRICS,
        decision=None,
        metrics={"rmse": 0.45, "val": {"n": 3}},
        units={"rmse": "s"},
    )
    assert decode_annotation(encode_annotation(annotation)) == annotation


def test_an_annotation_refuses_metrics_that_no_record_can_hold() -> None:
    with pytest.raises(InvalidInput):
        encode_annotation(make_annotation(kind=AnnotationKind.METRICS, metrics={"n": 2**64}))
