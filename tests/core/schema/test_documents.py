"""Entries as JSON documents, and back."""

import json
import math
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from gitexp.core.analysis.kinship import kinship
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import AnnotationKind, Decision, Parser, RecordedRun, ReproductionVerdict
from gitexp.core.schema.json_codec import (
    annotation_document,
    entry_document,
    json_value,
    parse_entry,
    typed_values,
)
from tests.core.sample_runs import full_run, make_annotation, make_run

ANNOTATIONS = (
    make_annotation(),
    make_annotation(
        id="1" * 16,
        kind=AnnotationKind.TAG,
        clock=8,
        decision=None,
        text=None,
        hint=None,
        tags=("new",),
    ),
    make_annotation(
        id="2" * 16,
        kind=AnnotationKind.REPRODUCTION,
        clock=9,
        decision=None,
        verdict=ReproductionVerdict.DRIFTED,
        by=RunId("3" * 16),
    ),
)


PARSER = Parser(by="argparse", given=("epochs",), renamed={"e": "epochs"})


def through_json(document: object) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


def through_index(entry: RecordedRun) -> RecordedRun:
    """Return an entry as read from the index."""
    return parse_entry(through_json(entry_document(entry)), through_json(typed_values(entry)))


@pytest.mark.parametrize(
    "entry",
    [
        RecordedRun(make_run()),
        RecordedRun(make_run(command=None)),
        RecordedRun(full_run(), ANNOTATIONS),
        RecordedRun(make_run(params={"e": 1}, parsed={"epochs": 1}, parser=PARSER)),
        RecordedRun(make_run(parsed={"epochs": 1})),
    ],
)
def test_an_entry_survives_json(entry: RecordedRun) -> None:
    assert parse_entry(through_json(entry_document(entry))) == entry
    assert typed_values(entry) == []


def test_document_has_the_decision_in_force() -> None:
    document = entry_document(RecordedRun(full_run(), ANNOTATIONS))
    assert document["decision"] == Decision.KEEP.value
    assert document["tags"] == ["baseline", "new", "sweep"]
    assert document["start_tags"] == ["sweep", "baseline"]
    assert document["started"] == "2026-11-23T10:15:02+00:00"


def test_params_of_a_document_are_given_and_parsed_ones() -> None:
    given, parsed = {"e": 1, "seed": 3, "lr": "0.1"}, {"epochs": 1, "lr": 0.1}
    run = make_run(params=given, parsed=parsed, parser=PARSER)
    document = entry_document(RecordedRun(run))
    assert document["params"] == {"seed": 3, "epochs": 1, "lr": 0.1}
    assert document["given"] == given
    assert document["parsed"] == parsed
    assert document["parser"] == {
        "by": "argparse",
        "given": ["epochs"],
        "renamed": {"e": "epochs"},
    }


def test_absent_values_are_left_out() -> None:
    document = entry_document(RecordedRun(make_run()))
    assert "reason" not in document
    assert "params" not in document
    assert "snapshot" not in document["code"]
    assert document["code"]["dirty"] is False
    assert document["command"]["exit_code"] == 0


def test_zero_and_false_are_not_absent() -> None:
    document = entry_document(
        RecordedRun(make_run(metrics={"loss": 0.0, "ok": False}, duration_s=0.0, clock=0))
    )
    assert document["metrics"] == {"loss": 0.0, "ok": False}
    assert document["duration_s"] == 0.0
    assert document["clock"] == 0


def test_metrics_that_are_not_finite_come_back_as_numbers() -> None:
    run = make_run(metrics={"a": math.nan, "b": {"c": math.inf, "d": -math.inf}})
    document = through_json(entry_document(RecordedRun(run)))
    assert document["metrics"] == {"a": "NaN", "b": {"c": "Infinity", "d": "-Infinity"}}
    assert (
        repr(through_index(RecordedRun(run)).run.metrics)
        == "{'a': nan, 'b': {'c': inf, 'd': -inf}}"
    )


def test_values_that_json_changes_are_restored() -> None:
    odd: dict[str, Any] = {
        "day": date(2026, 1, 2),
        "list": [1.0, 2, {"at": time(1, 2)}],
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "local": datetime(2026, 1, 1, 12, tzinfo=UTC).replace(tzinfo=None),
        "text": "NaN",
        "nan": math.nan,
    }
    note = make_annotation(kind=AnnotationKind.METRICS, metrics={"x": math.inf, "y": "Infinity"})
    run = make_run(params=odd, parsed={"day": date(2026, 1, 3)}, metrics={"NaN": "NaN"})
    for entry in (
        RecordedRun(run),
        RecordedRun(run, (note,)),
        RecordedRun(make_run(params=odd), (note,)),
    ):
        assert repr(through_index(entry)) == repr(entry)


def test_date_and_equal_text_are_different_values() -> None:
    first, second = (make_run(n, params={"day": date(2026, 1, n), "lr": 1.0}) for n in (1, 2))
    found = kinship(second, through_index(RecordedRun(first)).run)
    assert found == kinship(second, first)
    assert found is not None


def test_dates_become_text() -> None:
    assert json_value({"day": date(2026, 1, 2), "all": [date(2026, 1, 3)]}) == {
        "day": "2026-01-02",
        "all": ["2026-01-03"],
    }


def test_document_of_an_annotation_has_only_its_fields() -> None:
    assert annotation_document(ANNOTATIONS[1]) == {
        "id": "1" * 16,
        "run": "7f3a9c0d5e1b2a48",
        "kind": "tag",
        "clock": 8,
        "time": "2026-11-23T10:15:02+00:00",
        "author": "Ada <ada@example.org>",
        "tags": ["new"],
    }


def test_a_foreign_document_is_refused() -> None:
    document = entry_document(RecordedRun(make_run()))
    with pytest.raises(TypeError, match="code"):
        parse_entry({k: v for k, v in document.items() if k != "code"})
    with pytest.raises(ValueError, match="perhaps"):
        parse_entry({**document, "outcome": "perhaps"})


def test_metrics_added_later_are_in_force_and_marked() -> None:
    first = make_annotation(
        id="4" * 16,
        kind=AnnotationKind.METRICS,
        clock=10,
        decision=None,
        metrics={"rmse": 0.5, "accuracy": 90.0},
        units={"accuracy": "%"},
    )
    second = make_annotation(
        id="5" * 16,
        kind=AnnotationKind.METRICS,
        clock=11,
        decision=None,
        metrics={"rmse": math.nan, "val": {"acc": 0.5}},
    )
    run = make_run(metrics={"accuracy": 0.8, "val": {"loss": 1.0}}, units={"val.loss": "s"})
    entry = RecordedRun(run, (first, second))
    assert entry.metrics["accuracy"] == 90.0
    assert entry.metrics["val"] == {"loss": 1.0, "acc": 0.5}
    assert entry.units == {"accuracy": "%", "val.loss": "s"}
    assert entry.added_metrics == {"rmse": second, "accuracy": first, "val.acc": second}
    assert entry.measured.metrics == entry.metrics
    assert entry.measured.units == entry.units
    document = through_json(entry_document(entry))
    assert document["metrics"]["rmse"] == "NaN"
    assert document["recorded_metrics"] == {"accuracy": 0.8, "val": {"loss": 1.0}}
    assert set(document["added_metrics"]) == {"rmse", "accuracy", "val.acc"}
    assert document["added_metrics"]["accuracy"] == {
        "by": first.id,
        "time": "2026-11-23T10:15:02+00:00",
        "author": "Ada <ada@example.org>",
    }
    again = through_index(entry)
    assert again.run == run
    assert repr(again) == repr(entry)


def test_metrics_added_to_a_run_without_any_do_not_enter_its_record() -> None:
    added = make_annotation(kind=AnnotationKind.METRICS, decision=None, metrics={"a": 1})
    entry = parse_entry(through_json(entry_document(RecordedRun(make_run(), (added,)))))
    assert entry.run.metrics == {}
    assert entry.metrics == {"a": 1}


def test_a_run_without_later_metrics_is_measured_as_recorded() -> None:
    entry = RecordedRun(full_run(), ANNOTATIONS)
    assert entry.measured is entry.run
    assert "added_metrics" not in entry_document(entry)
