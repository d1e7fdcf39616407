"""Values as text: safe, short, and equal for every reader."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.kinship import Kin
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.reproduction import compare_reproduction
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import Comparison, MetricVerdict
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    AnnotationKind,
    Checks,
    Code,
    Command,
    Direction,
    FileState,
    Harvested,
    Outcome,
    RecordedRun,
    ReproductionVerdict,
    Table,
    Tolerance,
)
from gitexp.core.model.run_names import ADJECTIVES, NOUNS, memorable_name
from gitexp.core.render.colour import style
from gitexp.core.render.machine_formats import (
    format_csv,
    format_json,
    format_porcelain,
)
from gitexp.core.render.run_detail import TextOptions, log_lines, run_detail
from gitexp.core.render.run_table import (
    changed_keys,
    column_table,
    default_keys,
    headers_for,
    run_list,
    value_at,
)
from gitexp.core.render.table import format_table
from gitexp.core.render.text import (
    clean,
    format_age,
    format_bytes,
    format_cell,
    format_duration,
    format_number,
    format_percent,
    format_signed,
    shorten,
    width_of,
)
from gitexp.core.render.verdict import (
    changes_table,
    comparison_heading,
    comparison_table,
    reproduction_sentence,
    reproduction_table,
)
from gitexp.core.render.verdict_sentence import (
    alone_sentence,
    format_apart,
    metric_sentence,
    run_sentence,
)
from gitexp.core.schema.json_codec import entry_document
from tests.core.sample_runs import (
    RUN_ID,
    STARTED,
    full_run,
    make_annotation,
    make_run,
    verdicts_between,
)

NOW = STARTED + timedelta(minutes=3)
VIEW = TextOptions(now=NOW)
ATTACK = "\x1b]0;owned\x07\x9b2J\u202egnp.exe\u2028\r\n\t\x00\udcff\u200b"
DANGEROUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

# --- text -----------------------------------------------------------------------------------------


def test_terminal_controls_are_shown_as_text() -> None:
    assert clean(ATTACK) == (
        "\\x1b]0;owned\\x07\\x9b2J\\u202egnp.exe\\u2028\\r\\n\\t\\x00\\udcff\\u200b"
    )
    assert clean("a\tb\r\nc\rd\n", multiline=True) == "a\tb\nc\\rd\n"
    assert clean("tag\U000e0041") == "tag\\U000e0041"
    assert clean("grüße 你好 👩\u200d🔬 é") == "grüße 你好 👩\u200d🔬 é"


@given(st.text())
def test_clean_text_is_always_printable(text: str) -> None:
    for cleaned in (clean(text), clean(text, multiline=True)):
        assert not DANGEROUS.search(cleaned)
        cleaned.encode()
    assert "\n" not in clean(text)
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.85, "0.85"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.33333"),
        (1e-7, "1e-07"),
        (123456.789, "123457"),
        (1e15, "1e+15"),
        (99999.99, "1e+05"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (12345678901, "12345678901"),
        (True, "true"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_are_shortened(value: float, text: str) -> None:
    assert format_number(value) == text


def test_exact_and_signed_numbers_are_formatted() -> None:
    assert format_number(0.1 + 0.2, precision=None) == "0.30000000000000004"
    assert format_number(1 / 3, precision=2) == "0.33"
    assert [format_signed(v) for v in (1.0, -1.0, 0.0, math.inf)] == ["+1", "-1", "+0", "+inf"]
    assert format_percent(0.0625) == "+6.25%"
    assert format_percent(-1.0) == "-100%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.123456789, "0.12346"),
        ([1, 2.5, "x\x1b"], "[1, 2.5, x\\x1b]"),
        ({"a\x1b": [True]}, "{a\\x1b=[true]}"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_cells_are_formatted(value: Any, text: str) -> None:
    assert format_cell(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-60, "in the future"),
        (-0.5, "0 seconds ago"),
        (1, "1 second ago"),
        (89, "89 seconds ago"),
        (90, "2 minutes ago"),
        (180, "3 minutes ago"),
        (3600, "60 minutes ago"),
        (2 * 3600, "2 hours ago"),
        (86400, "24 hours ago"),
        (3 * 86400, "3 days ago"),
        (21 * 86400, "3 weeks ago"),
        (100 * 86400, "3 months ago"),
        (365 * 86400, "1 year ago"),
        (1000 * 86400, "3 years ago"),
    ],
)
def test_ages_are_formatted(seconds: float, text: str) -> None:
    assert format_age(NOW - timedelta(seconds=seconds), now=NOW) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.1234, "123 ms"),
        (0.9999, "1 s"),
        (12.5, "12.5 s"),
        (59.99, "1 min 00 s"),
        (75, "1 min 15 s"),
        (3599.7, "1 h 00 min"),
        (3 * 3600 + 125, "3 h 02 min"),
        (3 * 86400 + 7200, "3 days 02 h"),
        (math.nan, "unknown"),
        (-1, "unknown"),
    ],
)
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_sizes_are_formatted() -> None:
    sizes = (0, 1023, 1024, 10 << 20, 3 << 50)
    assert [format_bytes(n) for n in sizes] == ["0 B", "1023 B", "1.0 KiB", "10.0 MiB", "3.0 PiB"]


def test_wide_letters_take_two_columns() -> None:
    assert width_of("abc") == 3
    assert width_of("你好") == 4
    assert width_of("e\u0301") == 1
    assert shorten("你好世界", 5) == "你好…"
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"


def test_colour_is_only_added_when_enabled() -> None:
    assert style("x", "good", enabled=True) == "\x1b[32mx\x1b[0m"
    assert style("x", "good", enabled=False) == "x"
    assert style("", "good", enabled=True) == ""


# --- tables ---------------------------------------------------------------------------------------

HEADERS = ["id", "name", "accuracy", "note"]
ROWS = [
    ["7f3a9c0", "brave-otter", "0.85", "a long remark about what was tried here"],
    ["1b2c3d4", "calm-heron", "0.9", ""],
]


def test_a_plain_table() -> None:
    assert format_table(HEADERS, ROWS) == (
        "id       name         accuracy  note\n"
        "7f3a9c0  brave-otter      0.85  a long remark about what was tried here\n"
        "1b2c3d4  calm-heron        0.9"
    )


def test_text_is_shortened_to_fit_but_no_number_and_no_id() -> None:
    assert format_table(HEADERS, ROWS, width=50) == (
        "id       name         accuracy  note\n"
        "7f3a9c0  brave-otter      0.85  a long remark abo…\n"
        "1b2c3d4  calm-heron        0.9"
    )
    narrow = format_table(HEADERS, ROWS, width=10, fixed={"name"})
    assert narrow.splitlines()[1] == "7f3a9c0  brave-otter      0.85  a long…"


def test_empty_columns_and_tables() -> None:
    assert format_table(["a", "b"], [["1", ""]]) == "a\n1"
    assert format_table(["a", "b"], []) == "a  b"
    assert format_table([], []) == ""


def test_markdown_table_escapes_markup() -> None:
    rows = [["a|b", "<img src=x>", "val_loss", "0.10"], ["c\nd", "`x` *y* [z](u)", "_e_", "12"]]
    assert format_table(["t|", "h", "n", "v"], rows, style="md") == (
        "| t\\|   | h                    | n        |    v |\n"
        "|:------|:---------------------|:---------|-----:|\n"
        "| a\\|b  | \\<img src=x\\>        | val_loss | 0.10 |\n"
        "| c\\\\nd | \\`x\\` \\*y\\* \\[z\\](u) | \\_e\\_    |   12 |"
    )
    assert format_table(["a", "b"], [], style="md").startswith("| a")


def test_a_csv_table_is_read_back() -> None:
    text = format_table(HEADERS, [["1", 'a "b", c', "", "d"]], style="csv")
    assert list(csv.reader(io.StringIO(text))) == [HEADERS, ["1", 'a "b", c', "", "d"]]


@pytest.mark.parametrize("table_style", ["plain", "md", "csv"])
def test_tables_escape_hostile_text(table_style: Any) -> None:
    text = format_table([ATTACK, "b"], [[ATTACK, ATTACK]], style=table_style, width=40)
    assert not DANGEROUS.search(text)


@given(
    st.lists(st.lists(st.text(max_size=12), min_size=3, max_size=3), max_size=4),
    st.integers(1, 60),
)
def test_lines_of_a_table_keep_their_columns(rows: list[list[str]], width: int) -> None:
    lines = format_table(["first", "second", "third"], rows, width=width).split("\n")
    assert len(lines) == len(rows) + 1


# --- listing --------------------------------------------------------------------------------------


def listed() -> list[RecordedRun]:
    runs = [
        make_run(1, params={"lr": 0.1, "m": {"d": 1}}, metrics={"acc": 0.5}, name="a-b"),
        make_run(2, params={"lr": 0.2, "m": {"d": 1}}, metrics={"acc": 0.75}, name="c-d"),
    ]
    decision = make_annotation(run=runs[1].id)
    return [RecordedRun(runs[0]), RecordedRun(runs[1], (decision,))]


def test_run_table_of_several_runs() -> None:
    assert run_list(listed(), now=NOW) == (
        "id       name  age            outcome    decision   acc   lr  d\n"
        "0000000  a-b   3 minutes ago  succeeded             0.5  0.1  1\n"
        "0000000  c-d   3 minutes ago  succeeded  keep      0.75  0.2  1"
    )


def test_ids_are_shown_by_their_unique_prefix() -> None:
    ids = {entry.run.id: entry.run.id[:16] for entry in listed()}
    assert "0000000000000002" in run_list(listed(), ["id"], now=NOW, ids=ids)


def test_only_changed_drops_constant_columns() -> None:
    entries = listed()
    assert changed_keys(entries, default_keys(entries)) == [
        "id",
        "name",
        "decision",
        "metrics.acc",
        "params.lr",
    ]


def test_every_column_has_a_value_for_a_full_run() -> None:
    entry = RecordedRun(full_run(), (make_annotation(),))
    values = {
        "why": "good enough",
        "tags": "baseline, sweep",
        "command": "python train.py --lr 0.01",
        "params.model.depth": 3,
        "metrics.val.loss": 0.25,
        "environment.python": "3.11.7",
        "exit_code": 0,
        "dirty": True,
        "nothing": None,
        "params.nothing": None,
    }
    assert {key: value_at(entry, key) for key in values} == values
    columns = ["age", "started", "duration", "parent", "commit", "fingerprint"]
    assert run_list([entry], columns, now=NOW, style="csv").splitlines()[1] == (
        "3 minutes ago,2026-11-23 10:15:02 UTC,12.5 s,1111111,c0c0c0c,fffffff"
    )


def test_headers_are_short_but_distinct() -> None:
    keys = [
        "name",
        "params.lr",
        "params.a.x",
        "metrics.b.x",
        "params.name",
        "params.y",
        "metrics.y",
    ]
    assert headers_for(keys) == ["name", "lr", "a.x", "b.x", "params.name", "params.y", "metrics.y"]


# --- verdicts in words ----------------------------------------------------------------------------


def compared(value: float | None, old: float | None, **changes: Any) -> MetricVerdict:
    run = make_run(1, metrics={} if value is None else {"accuracy": value})
    reference = make_run(2, metrics={} if old is None else {"accuracy": old})
    declared = {"accuracy": Direction.MAXIMIZE}
    return replace(verdicts_between(run, reference, declared)[0], **changes)


@pytest.mark.parametrize(
    ("last", "best", "sentence"),
    [
        (
            compared(0.85, 0.80),
            compared(0.85, 0.80),
            "accuracy 0.85: better than the last, 0.80 (+6.25%); best so far; "
            "one run each, noise unknown",
        ),
        (
            compared(0.85, 0.80),
            compared(0.85, 0.9, reference=RunId("9" * 16)),
            "accuracy 0.85: better than the last, 0.80 (+6.25%); "
            "worse than the best, 0.90 (-5.56%); one run each, noise unknown",
        ),
        (
            compared(0.8, 0.8),
            None,
            "accuracy 0.8: same as the last, 0.8; one run each, noise unknown",
        ),
        (
            compared(0.8, 0.0, answer=Answer.UNKNOWN, why="more of its runs failed"),
            None,
            "accuracy 0.8: cannot tell from the last, 0.0 (+0.8; more of its runs failed); "
            "one run each, noise unknown",
        ),
        (
            compared(math.nan, 0.5),
            None,
            "accuracy: here it is not a number, while the last has 0.5",
        ),
        (
            compared(None, 0.5),
            None,
            "accuracy: missing here, while the last has 0.5",
        ),
        (
            compared(math.nan, 0.5),
            compared(math.nan, 0.5),
            "accuracy: here it is not a number, while the last, which is the best, has 0.5",
        ),
        (compared(0.5, None), None, "accuracy 0.5: not measured by the last"),
        (
            compared(0.5, 0.4, guessed=True),
            None,
            "accuracy 0.5: better than the last, 0.4 (+25%); one run each, noise unknown; "
            "higher is better (a guess)",
        ),
        (compared(0.5, None, reference=None), None, "accuracy 0.5: nothing to compare with yet"),
        (None, None, "nothing was measured"),
    ],
)
def test_verdict_as_a_sentence(
    last: MetricVerdict | None, best: MetricVerdict | None, sentence: str
) -> None:
    claim = "best" if best is not None and best.answer is Answer.BETTER else ""
    assert metric_sentence(last, best, claim=claim) == sentence


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Outcome.SUCCEEDED, "nothing to compare with yet"),
        (Outcome.FAILED, "not compared, the run failed"),
        (Outcome.TIMED_OUT, "not compared, the run timed out"),
        (Outcome.INTERRUPTED, "not compared, the run was interrupted"),
        (Outcome.RUNNING, "not compared, the run has not ended"),
        (Outcome.UNKNOWN, "not compared, how the run ended is not known"),
    ],
)
def test_sentence_says_why_a_value_is_not_compared(outcome: Outcome, why: str) -> None:
    said = alone_sentence("train_error", 0.9005, None, outcome=outcome)
    assert said == f"train_error 0.9005: {why}"
    again = alone_sentence("train_error", 0.9005, None, outcome=outcome, reproduces="7f3a9c0")
    assert ("a reproduction of 7f3a9c0" in again) == (outcome is Outcome.SUCCEEDED)


def test_a_verdict_against_a_named_run() -> None:
    assert run_sentence(compared(0.5, 0.4), against="7f3a9c0") == (
        "accuracy 0.5: better than 7f3a9c0, 0.4 (+25%); one run each, noise unknown"
    )


def test_numbers_that_differ_only_by_rounding_look_alike() -> None:
    assert format_apart(0.1 + 0.2, 0.3) == ("0.3", "0.3")
    assert format_apart(0.3, 0.30000001) == ("0.30000000", "0.30000001")


def test_a_verdict_in_colour_says_the_same() -> None:
    plain, coloured = (metric_sentence(compared(0.5, 0.4), colour=on) for on in (False, True))
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain
    assert "\x1b[32mbetter than the last\x1b[0m" in coloured


def comparison() -> Comparison:
    run = make_run(1, metrics={"loss": 0.2, "x": 1, "new": 2})
    reference = make_run(2, metrics={"loss": 0.4, "x": 2})
    verdicts = tuple(verdicts_between(run, reference))
    return Comparison(run=run.id, against="best", verdicts=verdicts)


def test_a_comparison_as_a_table() -> None:
    assert comparison_heading(comparison()) == "0000000 against the best, 0000000"
    assert comparison_table(comparison()) == (
        "metric  run  reference  difference     %  verdict      remark\n"
        "loss    0.2        0.4        -0.2  -50%  better       noise unknown; minimize (a guess)\n"
        "x         1          2          -1  -50%  cannot tell  "
        "which way it is better is not known; noise unknown\n"
        "new       2                               cannot tell  missing from the reference"
    )
    nothing = Comparison(run=RUN_ID, against="last", verdicts=())
    assert comparison_heading(nothing) == "7f3a9c0 against the last"


@pytest.mark.parametrize(
    ("before", "after", "outcome", "sentence"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, Outcome.SUCCEEDED, "reproduced: 2 metrics equal"),
        (
            {"a": 1.0},
            {"a": 1.05},
            Outcome.SUCCEEDED,
            "within tolerance: 1 of 1 metric moved, none too far",
        ),
        (
            {"a": 1.0, "b": 1.0},
            {"a": 2.0},
            Outcome.SUCCEEDED,
            "drifted: of 2 metrics, 1 outside the tolerance and 1 missing",
        ),
        (
            {"a": 1.0, "b": 1.0},
            {"b": 1.0},
            Outcome.SUCCEEDED,
            "drifted: of 2 metrics, 1 missing",
        ),
        ({"a": 1}, {"a": 2}, Outcome.SUCCEEDED, "drifted: of 1 metric, 1 outside the tolerance"),
        ({"a": 1}, {"a": 1}, Outcome.FAILED, "failed: it did not end as the recorded run did"),
        (
            {},
            {},
            Outcome.SUCCEEDED,
            "reproduced: there were no metrics to compare, only the outcome and exit code",
        ),
    ],
)
def test_reproduction_as_a_sentence(
    before: Any, after: Any, outcome: Outcome, sentence: str
) -> None:
    found, matches = compare_reproduction(
        make_run(1, metrics=before),
        make_run(2, metrics=after, outcome=outcome),
        tolerances={},
        default=Tolerance(absolute=0.1),
    )
    assert reproduction_sentence(found, matches) == sentence


def test_a_comparison_of_repeats_as_a_table() -> None:
    single = compared(0.5, 0.4)
    repeats = replace(
        single, runs=2, reference_runs=3, repeats=3, low=0.05, high=0.15, noise=0.02, guessed=True
    )
    alone = replace(single, metric="f1", reference=None, basis=Basis.DETERMINISTIC, direction=None)
    table = Comparison(run=RUN_ID, against="parent", verdicts=(alone, repeats))
    assert comparison_heading(table) == "7f3a9c0 against its parent, 0000000"
    assert comparison_table(table) == (
        "metric    mean  n  reference  n  difference        %  verdict  remark\n"
        "f1         0.5  1        0.4  1  +0.1           +25%  better   no noise\n"
        "accuracy   0.5  2        0.4  3  +0.100 ±0.050  +25%  better   "
        "noise 0.02; maximize (a guess)"
    )


def test_reproduction_with_another_exit_code_as_a_sentence() -> None:
    recorded, again = (Command(argv=("x",), exit_code=code) for code in (0, 1))
    for metrics, why in (({}, "the exit code"), ({"a": 1}, "the metrics agree but the exit code")):
        found, matches = compare_reproduction(
            make_run(1, metrics=metrics, command=recorded),
            make_run(2, metrics=metrics, command=again),
            tolerances={},
            default=Tolerance(),
        )
        assert reproduction_sentence(found, matches) == f"drifted: {why} differs"


def test_a_reproduction_as_a_table() -> None:
    _, matches = compare_reproduction(
        make_run(1, metrics={"a": 1.0, "time_s": 3, "h": "x"}),
        make_run(2, metrics={"a": 1.5, "time_s": 4}),
        tolerances={},
        default=Tolerance(relative=0.1),
    )
    assert reproduction_table(matches) == (
        "metric  recorded  again  difference  tolerance  state\n"
        "a       1           1.5        +0.5        0.1  outside\n"
        "time_s  3             4          +1        0.3  informative\n"
        "h       x                                    0  missing"
    )


def test_differences_as_a_table() -> None:
    assert changes_table([("lr", 0.1, 0.2), ("new", None, [1])], before="a", after="b") == (
        "name    a  b\nlr    0.1  0.2\nnew        [1]"
    )


# --- one run --------------------------------------------------------------------------------------

DETAIL = """\
run 7f3a9c0d5e1b2a48 brave-otter
outcome     succeeded, exit code 0, after 12.5 s
started     2026-11-23 10:15:02 UTC (3 minutes ago)
author      Ada <ada@example.org>
origin      run
tags        baseline, sweep
reason      a lower rate should stop the oscillation
parent      1111111 (not named: its code was applied)
sweep       5555555, trial 12, stopped at step 3, on node7
reproduces  2222222
source      mlflow:42
fingerprint ffffffffffffffff

decision
  keep: good enough (Ada, 3 minutes ago)
  next: try a wider net
  before: discard: too slow (Ada, 3 minutes ago)

code
  commit    c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0 with uncommitted changes
  branch    main
  remote    https://example.org/x.git
  snapshot  5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a
  tree      7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e
  left out  big.bin (20 MiB)
  produced  metrics.json

command
  $ python train.py --lr 0.01
  from python train.py --lr '{lr}'
  in sub

params
  lr           0.01
  model.depth  3
  model.name   tiny
  layers       [1, 2]

metrics
  accuracy  0.85 (maximize)
  val.loss  0.25 (minimize, a guess)

picked up
  logs/metrics.csv  lightning: 1 metric and 2 steps

inputs
  data/train.csv  1.2 KiB, sha256 abababababab

outputs
  model.bin  9 B, sha256 cdcdcdcdcdcd

environment
  python  3.11.7

7f3a9c0 against the best, 0000000
  metric     run  reference  difference       %  verdict      remark
  accuracy  0.85        0.8       +0.05  +6.25%  better       noise unknown; maximize
  val.loss  0.25                                 cannot tell  missing from the reference; \
minimize (a guess)

reproductions
  drifted by run 3333333: off by 0.1 (Ada, 3 minutes ago)

kin
  0000000 brave-otter: only seed (failed)

notes
  first line (Ada, 3 minutes ago)
  second line

warnings
  cannot read the metrics file

output
  epoch 1
  epoch 2"""

ANNOTATIONS = (
    replace(
        make_annotation(id="1" * 16, clock=5, text="too slow", hint=None),
        decision=type(make_annotation().decision)("discard"),  # type: ignore[misc]
    ),
    make_annotation(),
    make_annotation(
        id="2" * 16,
        kind=AnnotationKind.REPRODUCTION,
        decision=None,
        text="off by 0.1",
        hint=None,
        verdict=ReproductionVerdict.DRIFTED,
        by=RunId("3" * 16),
    ),
    make_annotation(
        id="3" * 16,
        kind=AnnotationKind.NOTE,
        decision=None,
        text="first line\nsecond line",
        hint=None,
    ),
)


def test_run_detail_of_a_full_run() -> None:
    run = full_run()
    reference = make_run(9, metrics={"accuracy": 0.8})
    verdicts = tuple(verdicts_between(run, reference))
    text = run_detail(
        RecordedRun(run, ANNOTATIONS),
        view=VIEW,
        comparisons=[Comparison(run=run.id, against="best", verdicts=verdicts)],
        kin=[(Kin.SEED, RecordedRun(make_run(8, outcome=Outcome.FAILED)))],
    )
    assert text == DETAIL


def test_a_small_run_has_no_empty_sections() -> None:
    run = make_run(command=None, outcome=Outcome.RUNNING)
    assert run_detail(RecordedRun(run), view=VIEW) == (
        "run 7f3a9c0d5e1b2a48 brave-otter\n"
        "outcome     running\n"
        "started     2026-11-23 10:15:02 UTC (3 minutes ago)\n"
        "author      Ada <ada@example.org>\n"
        "origin      run\n"
        "\n"
        "code\n"
        f"  commit  {'c0' * 20}\n"
        f"  tree    {'7e' * 20}"
    )


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ([0.5, 0.5], "same 2 0.5"),
        ([0.5, None], "varies 1 0.5"),
        ([3, 1, 2, 4], "varies 4 3, 1, 2, 4"),
        ([3, 1, 2, 4, 5], "varies 5 1 to 5 (5 values)"),
        ([math.nan, 3, 1, 2, 4], "varies 5 1 to 4 (5 values)"),
        (["e", "a", "b", "c", "d"], "varies 5 e, a, b, c, d"),
    ],
)
def test_column_table_has_kind_count_and_extent(values: list[Any], row: str) -> None:
    runs = [make_run(n, params={} if v is None else {"lr": v}) for n, v in enumerate(values)]
    told = column_table([RecordedRun(run) for run in runs], ["params.lr", "params.no"], width=None)
    assert [line.split() for line in told.splitlines()[1:]] == [["params.lr", *row.split()]]


def test_run_detail_has_the_checks_with_their_output() -> None:
    checks = Checks(outcome=Outcome.FAILED, exit_code=1, output="2 passed\n1 failed")
    told = run_detail(RecordedRun(make_run(checks=checks)), view=VIEW)
    assert "checks\n  failed, exit code 1\n  2 passed\n  1 failed" in told


def test_exit_by_signal_is_named() -> None:
    run = make_run(outcome=Outcome.INTERRUPTED, command=Command(argv=("x",), exit_code=-9))
    assert "outcome     interrupted, signal 9" in run_detail(RecordedRun(run), view=VIEW)


def test_log_entry_of_a_run() -> None:
    entry = RecordedRun(full_run(), ANNOTATIONS)
    assert "\n".join(log_lines(entry, view=VIEW)) == (
        "run 7f3a9c0d5e1b2a48 (brave-otter, tag: baseline, tag: sweep)\n"
        "Author:   Ada <ada@example.org>\n"
        "Date:     2026-11-23 10:15:02 UTC (3 minutes ago)\n"
        "Code:     c0c0c0c on main, with uncommitted changes\n"
        "Outcome:  succeeded after 12.5 s\n"
        "Parent:   1111111\n"
        "Repeats:  2222222\n"
        "\n"
        "    a lower rate should stop the oscillation\n"
        "\n"
        "    $ python train.py --lr 0.01\n"
        "\n"
        "    accuracy 0.85, val.loss 0.25\n"
        "\n"
        "    keep: good enough (Ada, 3 minutes ago)\n"
        "    next: try a wider net\n"
        "    before: discard: too slow (Ada, 3 minutes ago)\n"
        "\n"
        "    reproduction: drifted by run 3333333: off by 0.1 (Ada, 3 minutes ago)\n"
        "\n"
        "    first line (Ada, 3 minutes ago)\n"
        "    second line"
    )
    told = log_lines(entry, view=VIEW, verdicts=["accuracy 0.85: best so far"])
    assert "    accuracy 0.85: best so far" in told
    assert "    accuracy 0.85, val.loss 0.25" not in told


def poisoned() -> RecordedRun:
    run = full_run()
    table: Table = {ATTACK: ATTACK, "list": [ATTACK]}
    files = {ATTACK: FileState(sha256=ATTACK, bytes=1)}
    run = replace(
        run,
        name=ATTACK,
        author=ATTACK,
        reason=ATTACK,
        source=ATTACK,
        fingerprint=ATTACK,
        tags=(ATTACK,),
        produced=(ATTACK,),
        harvested={ATTACK: Harvested(kind=ATTACK, metrics=1)},
        warnings=(ATTACK,),
        output_tail=ATTACK,
        params=table,
        metrics={**table, ATTACK + "n": 1.0},
        environment=table,
        inputs=files,
        outputs=files,
        code=Code(
            commit=run.code.commit,
            tree=run.code.tree,
            branch=ATTACK,
            remote=ATTACK,
            left_out=(ATTACK,),
        ),
        command=Command(argv=(ATTACK,), template=(ATTACK,), directory=ATTACK),
    )
    annotations = tuple(
        replace(a, author=ATTACK, text=ATTACK, hint=ATTACK, tags=(ATTACK,)) for a in ANNOTATIONS
    )
    tag = make_annotation(kind=AnnotationKind.TAG, tags=(ATTACK,), decision=None)
    return RecordedRun(run, (*annotations, tag))


def test_no_record_text_reaches_a_terminal_raw() -> None:
    entry = poisoned()
    verdicts = tuple(verdicts_between(entry.run, entry.run))
    against = Comparison(run=entry.run.id, against="last", verdicts=verdicts)
    keys = [
        *default_keys([entry]),
        "why",
        "author",
        "reason",
        "tags",
        "branch",
        "command",
        "source",
    ]
    document = entry_document(entry)
    texts = [
        run_detail(entry, view=VIEW, comparisons=[against], kin=[(Kin.CODE, entry)]),
        "\n".join(log_lines(entry, view=VIEW)),
        *(run_list([entry], keys, now=NOW, style=s) for s in ("plain", "md", "csv")),
        comparison_table(against),
        metric_sentence(verdicts[0], verdicts[0]),
        changes_table([(ATTACK, ATTACK, [ATTACK])], before=ATTACK, after=ATTACK),
        format_json(document),
        format_json(document, indent=None),
        format_csv([document]),
        format_porcelain([document], ["name", "params.list"]).replace("\t", ""),
    ]
    for text in texts:
        assert text
        assert not DANGEROUS.search(text)
        text.encode()
    assert "\t" not in "".join(texts[2:])


# --- for programs ---------------------------------------------------------------------------------


def test_json_is_safe_and_exact() -> None:
    value = {"text": ATTACK, "tag": "\U000e0041", "nan": math.nan, "day": date(2026, 1, 2)}
    text = format_json(value)
    assert not DANGEROUS.search(text)
    assert json.loads(text) == {**value, "nan": "NaN", "day": "2026-01-02"}
    assert format_json({"ü": (1, None)}, indent=None) == '{"\\u00fc": [1, null]}'


@given(st.dictionaries(st.text(), st.text()))
def test_json_is_printable_ascii_whatever_the_text(value: dict[str, str]) -> None:
    text = format_json(value, indent=None)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


def test_json_escapes_control_characters_and_lone_surrogates() -> None:
    text = format_json(["\x1b[2J", "\x9b31m", "\x7f", "\ud800", "\u202e"], indent=None)
    assert text == r'["\u001b[2J", "\u009b31m", "\u007f", "\ud800", "\u202e"]'


def test_dataclasses_become_objects() -> None:
    document = json.loads(format_json([compared(0.5, 0.4)]))
    assert document == [
        {
            "metric": "accuracy",
            "value": 0.5,
            "reference_value": 0.4,
            "reference": "0000000000000002",
            "difference": 0.09999999999999998,
            "relative": 0.24999999999999994,
            "direction": "maximize",
            "guessed": False,
            "answer": "better",
            "basis": "unknown",
            "shown": False,
            "runs": 1,
            "reference_runs": 1,
            "repeats": 1,
            "own": 0.5,
            "total": 1,
            "failed": 0,
            "reference_failed": 0,
            "not_numbers": 0,
            "missing": 0,
            "rivals": 1,
            "look": 1,
            "in_turns": False,
            "apart": False,
            "one_seed": False,
        }
    ]


def test_csv_has_every_value_of_every_run() -> None:
    documents = [entry_document(entry) for entry in listed()]
    rows = list(csv.DictReader(io.StringIO(format_csv(documents))))
    assert [row["params.lr"] for row in rows] == ["0.1", "0.2"]
    assert [row["decision"] for row in rows] == ["", "keep"]
    assert rows[0]["command.argv"] == '["python", "train.py", "--lr", "0.01"]'
    assert "annotations" not in rows[0]
    assert format_csv(documents, ["id", "params.none"]) == (
        "id,params.none\n0000000000000001,\n0000000000000002,"
    )


def test_porcelain_has_one_line_for_each_run() -> None:
    documents = [entry_document(RecordedRun(make_run(name="a\tb\\c\nd", duration_s=0.5)))]
    assert format_csv(documents, ["name"]) == "name\na\\tb\\c\\nd", "a backslash stays"
    assert format_porcelain(documents) == (
        "7f3a9c0d5e1b2a48\ta\\tb\\\\c\\nd\tsucceeded\t\t2026-11-23T10:15:02+00:00\t0.5\t"
        + "c0" * 20
        + "\t\t"  # a run without fingerprint has no group
    )
    assert format_porcelain([entry_document(RecordedRun(make_run()), "ab12")]).endswith("\t\tab12")
    assert format_porcelain([]) == ""


# --- names ----------------------------------------------------------------------------------------


def test_words_of_run_names_are_distinct_and_plain() -> None:
    assert len(ADJECTIVES) == len(NOUNS) == 128
    assert len({*ADJECTIVES, *NOUNS}) == 256
    assert all(re.fullmatch("[a-z]{2,9}", word) for word in (*ADJECTIVES, *NOUNS))


def test_a_name_is_the_same_on_every_machine() -> None:
    assert memorable_name(RUN_ID) == "keen-lynx"


@given(st.text("0123456789abcdef", min_size=16, max_size=16))
def test_every_run_has_a_name(run: str) -> None:
    adjective, noun = memorable_name(RunId(run)).split("-")
    assert adjective in ADJECTIVES
    assert noun in NOUNS


def test_every_word_of_run_names_is_used() -> None:
    names = {memorable_name(RunId(f"{n:016x}")) for n in range(128 * 128)}
    assert len(names) == 128 * 128


def test_dates_keep_their_time_zone() -> None:
    run = make_run(started=datetime(2026, 1, 2, tzinfo=UTC))
    assert "2026-01-02 00:00:00 UTC" in run_detail(RecordedRun(run), view=VIEW)


def test_a_leader_is_not_told_beside_another_best() -> None:
    verdict = compared(0.85, 0.80, answer=Answer.UNKNOWN)
    sentence = metric_sentence(verdict, verdict, claim="leads")
    assert "cannot tell from the last, which is the best other, 0.80" in sentence
    assert "; leads, not shown" in sentence
    assert "which is the best, 0.80" in metric_sentence(verdict, verdict)
