"""Reading the files of other trackers."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from gitexp.adapters.trackers import autoresearch, mlflow, protobuf, table_rows, tensorboard, wandb
from gitexp.adapters.trackers.source_run import fold_points, parse_moment, parse_status
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import (
    AnnotationKind,
    Checks,
    Decision,
    Direction,
    FileState,
    Outcome,
    Parser,
    RecordedRun,
    Value,
)
from gitexp.core.render.machine_formats import flat_document
from gitexp.core.schema.json_codec import entry_document
from tests.adapters.trackers.tracker_files import (
    COMMIT,
    START_MS,
    event_file,
    message,
    wandb_log,
    write_mlflow_base,
    write_mlruns,
)
from tests.core.sample_runs import full_run, make_annotation

# --- shared words ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("FINISHED", (Outcome.SUCCEEDED, None)),
        ("crash", (Outcome.FAILED, None)),
        ("Killed", (Outcome.INTERRUPTED, None)),
        ("running", (None, None)),
        ("keep", (Outcome.SUCCEEDED, Decision.KEEP)),
        ("discard", (Outcome.SUCCEEDED, Decision.DISCARD)),
        ("checks failed", (Outcome.FAILED, Decision.DISCARD)),
    ],
)
def test_status_words_give_outcomes(
    word: str, means: tuple[Outcome | None, Decision | None]
) -> None:
    assert parse_status(word) == means


def test_unknown_status_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'meh' is no status"):
        parse_status("meh")


def test_times_are_parsed() -> None:
    same = [
        parse_moment(moment)
        for moment in ("2026-11-23T13:28:56.372Z", "2026-11-23T14:28:56.372+01:00", START_MS)
    ]
    assert same[0] is not None and len(set(same)) == 1
    nonsense: list[Value] = ["yesterday", True, [], 1e30]
    assert [parse_moment(moment) for moment in nonsense] == [None] * 4


def test_the_last_value_is_that_of_the_highest_step() -> None:
    metrics, series = fold_points(
        {"loss": [(1, 2.0, 0.5), (0, 1.0, 1.0)], "val.acc": [(1, 2.0, 0.8)]}
    )
    assert metrics == {"loss": 0.5, "val": {"acc": 0.8}}
    assert series == [
        {"step": 0, "time": 1.0, "loss": 1.0},
        {"step": 1, "time": 2.0, "loss": 0.5, "val.acc": 0.8},
    ]


def test_values_without_steps_get_their_position() -> None:
    _, series = fold_points({"loss": [(0, 1.0, 3.0), (0, 2.0, 2.0), (0, 3.0, 1.0)]})
    assert [(row["step"], row["loss"]) for row in series] == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_single_values_make_no_series() -> None:
    assert fold_points({"a": [(5, 1.0, 1.0)], "b": [(7, 2.0, 2.0)], "c": []})[1] == []


# --- MLflow ---------------------------------------------------------------------------------------


def test_mlflow_directory_run_is_read(tmp_path: Path) -> None:
    write_mlruns(
        tmp_path,
        "abc",
        params={"lr": "0.1", "model/depth": "3", "opt.name": "adam", "on": "True", "xs": "[1, 2]"},
        metrics={
            "loss": f"{START_MS + 10} 1.0 0\n{START_MS + 20} 0.5 1\n",
            "val/acc": f"{START_MS + 20} 0.8 0\n",
            "odd": f"{START_MS} nan 0\n",
        },
        tags={
            "mlflow.source.git.commit": COMMIT + "\n",
            "mlflow.note.content": "a note",
            "team": "vision",
            "mlflow.user": "ada",
        },
    )
    (run,) = mlflow.read_folder(tmp_path).runs
    assert (run.source, run.name, run.outcome) == ("mlflow:abc", "brave one", Outcome.SUCCEEDED)
    assert run.started == parse_moment(START_MS) and run.duration_s == 1.5
    assert run.params == {
        "lr": 0.1,
        "model/depth": 3,
        "opt": {"name": "adam"},
        "on": True,
        "xs": "[1, 2]",
    }
    assert run.metrics["loss"] == 0.5 and run.metrics["val/acc"] == 0.8
    odd = run.metrics["odd"]
    assert isinstance(odd, float) and math.isnan(odd)
    assert run.series[1] == {"step": 1, "time": 0.02, "loss": 0.5}
    assert (run.commit, run.tags, run.notes) == (COMMIT, ("team=vision",), ("a note",))
    assert run.environment == {"tracker": "mlflow", "experiment": "first: try", "user": "ada"}


def test_mlflow_directory_statuses_are_read(tmp_path: Path) -> None:
    for number, status in enumerate((1, 3, 4, 5)):
        write_mlruns(tmp_path, f"r{number}", status=status)
    write_mlruns(tmp_path, "gone", stage="deleted")
    found = mlflow.read_folder(tmp_path)
    assert [run.outcome for run in found.runs] == [
        None,
        Outcome.SUCCEEDED,
        Outcome.FAILED,
        Outcome.INTERRUPTED,
    ]
    assert found.remarks == ("left out: 1 run that was deleted there",)


def test_a_broken_metric_line_is_named(tmp_path: Path) -> None:
    write_mlruns(tmp_path, "abc", metrics={"loss": f"{START_MS} 1.0 0\nnonsense\n"})
    (run,) = mlflow.read_folder(tmp_path).runs
    assert run.metrics == {"loss": 1.0}
    assert run.warnings == ("metric 'loss' has a line that cannot be read",)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("name: 'it''s: here'\nend_time: null\n", {"name": "it's: here"}),
        ('name: "tab\\t\\xe4"\n', {"name": "tab\\t\\xe4"}),
        ("name: a very\n  long one\nstatus: 3\n", {"name": "a very long one", "status": "3"}),
    ],
)
def test_flat_yaml_is_read(text: str, table: dict[str, str]) -> None:
    assert mlflow.read_flat_yaml(text) == table


@pytest.mark.parametrize("with_names", [True, False], ids=["new", "old"])
def test_mlflow_database_is_read(tmp_path: Path, with_names: bool) -> None:
    write_mlflow_base(tmp_path / "mlflow.db", with_names=with_names)
    found = mlflow.read_database(tmp_path / "mlflow.db")
    run, going_on = found.runs
    assert (run.source, run.outcome, going_on.outcome) == ("mlflow:aaa", Outcome.SUCCEEDED, None)
    assert run.name == ("brave" if with_names else None)
    assert run.params == {"lr": 0.1} and run.commit == COMMIT
    assert run.metrics["loss"] == 0.5 and run.metrics["big"] == math.inf
    assert [row.get("loss") for row in run.series] == [1.0, 0.5]
    assert found.remarks == ("left out: 1 run that was deleted there",)


def test_another_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"SQLite format 3\0" + b"\0" * 100)
    with pytest.raises(InvalidInput, match=r"'x\.db' is not an MLflow store"):
        mlflow.read_database(tmp_path / "x.db")


# --- W&B ------------------------------------------------------------------------------------------


def offline(tmp_path: Path, content: bytes, run: str = "p54gy7qm") -> Path:
    folder = tmp_path / "wandb" / f"offline-run-20261123_132914-{run}"
    folder.mkdir(parents=True)
    (folder / f"run-{run}.wandb").write_bytes(content)
    return tmp_path / "wandb"


def test_wandb_offline_run_is_read(tmp_path: Path) -> None:
    log = wandb_log(
        config={"lr": 0.1, "model": {"depth": 3}, "none": None, "_wandb": {}},
        history=[
            {"loss": 1, "val/acc": 0.5, "_step": 0, "_runtime": 1.2, "_timestamp": 1.0},
            {"loss": 0.5, "val/acc": 0.6, "_step": 1, "_runtime": 2.4},
        ],
        summary={"best": 0.7, "_runtime": 2},
    )
    (run,) = wandb.read_folders(offline(tmp_path, log)).runs
    assert (run.source, run.name, run.outcome) == ("wandb:p54gy7qm", "brave", Outcome.SUCCEEDED)
    assert run.params == {"lr": 0.1, "model": {"depth": 3}}
    assert run.metrics == {"loss": 0.5, "val/acc": 0.6, "best": 0.7}
    assert run.series[1] == {"step": 1, "time": 2.4, "loss": 0.5, "val/acc": 0.6}
    assert (run.commit, run.tags, run.notes) == (COMMIT, ("a",), ("why",))
    assert run.duration_s == 2.4 and run.started is not None and run.started.year == 2026
    assert run.environment["python"] == "3.11.7" and run.environment["program"] == "t.py"


@pytest.mark.parametrize(
    ("exit_code", "outcome"), [(0, Outcome.SUCCEEDED), (1, Outcome.FAILED), (None, None)]
)
def test_wandb_outcomes_are_read(
    tmp_path: Path, exit_code: int | None, outcome: Outcome | None
) -> None:
    log = wandb_log(history=[{"loss": 1, "_step": 0}], exit_code=exit_code)
    (run,) = wandb.read_folders(offline(tmp_path, log)).runs
    assert run.outcome is outcome


def test_wandb_log_with_long_records_and_a_torn_end_is_read() -> None:
    history = [{f"metric{n}": n + 0.5 for n in range(3000)} | {"_step": s} for s in range(3)]
    log = wandb_log(history=history)
    told = wandb.parse_log(log)
    assert len(told.points) == 3000 and told.points["metric7"][-1] == (2, None, 7.5)
    torn = wandb.parse_log(log[: len(log) - 40_000])
    assert torn.exit_code is None and torn.id == "p54gy7qm"


def test_rows_without_a_step_are_numbered() -> None:
    told = wandb.parse_log(wandb_log(history=[{"loss": n} for n in range(4)]))
    assert [(at, value) for at, _, value in told.points["loss"]] == [(n, n) for n in range(4)]


def test_a_row_with_a_step_out_of_range_is_left_out() -> None:
    history: list[dict[str, float]] = [
        {"loss": 1, "_step": 0},
        {"loss": 2, "_step": float("inf")},
        {"loss": 3, "_step": 2},
    ]
    told = wandb.parse_log(wandb_log(history=history))
    assert [value for _, _, value in told.points["loss"]] == [1, 3]


def test_wandb_files_of_older_versions_are_read(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    files = tmp_path / "run-20200101_000000-abc" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text("lr:\n  desc: null\n  value: 0.1\n_wandb:\n  value: {}\n")
    (files / "wandb-summary.json").write_text('{"loss": 0.5, "_step": 3}')
    (files / "wandb-metadata.json").write_text(
        json.dumps({"git": {"commit": COMMIT}, "startedAt": "2020-01-01T00:00:00.5"})
    )
    (run,) = wandb.read_folders(tmp_path).runs
    assert (run.source, run.params, run.metrics) == ("wandb:abc", {"lr": 0.1}, {"loss": 0.5})
    assert (run.commit, run.outcome) == (COMMIT, Outcome.UNKNOWN)
    assert not run.is_outcome_said


def test_wandb_directory_without_a_run_is_reported(tmp_path: Path) -> None:
    top = offline(tmp_path, b"nonsense")
    offline(tmp_path, wandb_log("good"), "good")
    found = wandb.read_folders(top)
    assert [run.source for run in found.runs] == ["wandb:good"]
    ((_, why),) = found.left_out
    assert why == "cannot read a W&B log; it does not begin as one"


def test_run_with_too_many_values_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.adapters.trackers.source_run.MAX_POINTS", 2)
    for name, count in (("small", 2), ("large", 3)):
        folder = tmp_path / "logs" / name
        folder.mkdir(parents=True)
        content = event_file([(1.0 + n, n, "loss", 0.5) for n in range(count)])
        (folder / "events.out.tfevents.1.host").write_bytes(content)
        lines = "".join(f"{n} 0.5 {n}\n" for n in range(count))
        write_mlruns(tmp_path / "mlruns", name, metrics={"loss": lines})
    for found in (
        tensorboard.read_folders(tmp_path / "logs"),
        mlflow.read_folder(tmp_path / "mlruns"),
    ):
        assert len(found.runs) == 1
        assert found.left_out == (("large", "it logged more than 2 values"),)


# --- TensorBoard ----------------------------------------------------------------------------------


@pytest.mark.parametrize("as_tensor", [False, True])
def test_tensorboard_event_files_are_read(tmp_path: Path, as_tensor: bool) -> None:
    folder = tmp_path / "logs" / "a"
    folder.mkdir(parents=True)
    points = [(1_795_440_000.0 + n, n, "loss", 1 / (n + 1)) for n in range(3)]
    content = event_file([*points, (1_795_440_002.0, 2, "acc", 0.1)], as_tensor=as_tensor)
    (folder / "events.out.tfevents.1.host").write_bytes(content + b"torn")
    (run,) = tensorboard.read_folders(tmp_path / "logs").runs
    assert (run.name, run.outcome, run.duration_s) == ("a", Outcome.UNKNOWN, 2.0)
    assert run.metrics == {"loss": pytest.approx(1 / 3), "acc": 0.1}
    assert [row.get("loss") for row in run.series][:2] == [1.0, 0.5]
    assert run.source == "tensorboard:a/events.out.tfevents.1.host"


def test_protobuf_wire_format_is_decoded() -> None:
    assert list(protobuf.fields(message((1, 300), (2, "x"), (3, -1)))) == [
        (1, 300),
        (2, b"x"),
        (3, (1 << 64) - 1),
    ]
    assert protobuf.signed((1 << 64) - 1) == -1
    for torn in (b"\x08", b"\x12\x05ab", b"\x0b", b"\xff" * 12):
        with pytest.raises(InvalidInput):
            list(protobuf.fields(torn))


# --- tables ---------------------------------------------------------------------------------------

TABLE = b"""run,lr,opt,test_accuracy,val_loss,seconds_total,state,created_at,notes
one,0.1,adam,0.8,0.5,12,finished,2026-01-02T03:04:05Z,fine
two,0.2,sgd,0.9,,13,crashed,2026-01-03T03:04:05Z,
"""


def test_columns_are_guessed() -> None:
    found = table_rows.imported_rows(
        table_rows.read_rows(TABLE, ".csv", name="t.csv"),
        table_rows.parse_mapping(["name=run"]),
        tracker="csv",
    )
    one, two = found.runs
    assert (one.name, one.params) == ("one", {"lr": 0.1, "opt": "adam"})
    assert one.metrics == {"test_accuracy": 0.8, "val_loss": 0.5, "seconds_total": 12}
    assert (one.outcome, one.notes) == (Outcome.SUCCEEDED, ("fine",))
    assert (two.outcome, two.metrics) == (
        Outcome.FAILED,
        {"test_accuracy": 0.9, "seconds_total": 13},
    )
    assert one.started == parse_moment("2026-01-02T03:04:05Z")
    assert found.remarks == (
        "taken as metrics: test_accuracy, val_loss, seconds_total",
        "taken as params: lr, opt",
    )


def test_columns_are_mapped() -> None:
    mapping = table_rows.parse_mapping(["metrics.acc=test_accuracy", "id=run", "skip=val_loss"])
    found = table_rows.imported_rows(
        table_rows.read_rows(TABLE, ".csv", name="t"), mapping, tracker="csv"
    )
    assert [run.source for run in found.runs] == ["csv:one", "csv:two"]
    assert found.runs[0].metrics == {"acc": 0.8, "seconds_total": 12}


def test_other_columns_of_an_export_become_no_parameters_or_metrics() -> None:
    run = replace(
        full_run(),
        batch="ab" * 8,
        round=1,
        parsed={"lr": 0.01},
        parser=Parser(by="argparse", given=("lr",)),
        units={"accuracy": "%"},
        checks=Checks(outcome=Outcome.SUCCEEDED, exit_code=0),
        reads={"data/a.csv": FileState(sha256="ab" * 32, bytes=1)},
        changed_reads={"data/a.csv": FileState(sha256="ab" * 32, bytes=1)},
    )
    assert all(getattr(run, field.name) for field in fields(run)), "each field has a value"
    entry = RecordedRun(run, (make_annotation(kind=AnnotationKind.METRICS, metrics={"f1": 0.5}),))
    assert entry.added_metrics
    row = flat_document(entry_document(entry, "cd" * 8))
    targets = table_rows.map_columns([row], {})
    assert [
        column
        for column, target in targets.items()
        if target.startswith(("params.", "metrics.")) and target != column
    ] == []


@pytest.mark.parametrize("text", ["acc", "metrics.=x", "speed=x", "name="])
def test_bad_mappings_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot use the mapping"):
        table_rows.parse_mapping([text])


def test_a_mapped_column_must_exist() -> None:
    table = table_rows.read_rows(TABLE, ".csv", name="t")
    with pytest.raises(InvalidInput, match="there is no column 'test_acuracy'"):
        table_rows.imported_rows(table, {"test_acuracy": "metrics.acc"}, tracker="csv")


def test_rows_without_an_id_are_identified_by_their_content() -> None:
    table = table_rows.read_rows(TABLE, ".csv", name="t")
    first = [r.source for r in table_rows.imported_rows(table, {}, tracker="csv").runs]
    twice = [r.source for r in table_rows.imported_rows([*table, table[0]], {}, tracker="csv").runs]
    assert len(set(first)) == 2 and twice[:2] == first and twice[2] == f"{first[0]}#2"


def test_json_lines_are_read() -> None:
    text = (
        '{"params": {"lr": 0.1}, "metrics": {"val": {"f1": 0.5}}, "tags": ["a", "b"]}\n{"lr": 2}\n'
    )
    one, two = table_rows.imported_rows(
        table_rows.read_rows(text.encode(), ".jsonl", name="t"), {}, tracker="jsonl"
    ).runs
    assert (one.params, one.metrics) == ({"lr": 0.1}, {"val": {"f1": 0.5}})
    assert (one.tags, one.outcome, two.outcome) == (("a", "b"), Outcome.SUCCEEDED, Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [(b'{"a": 1', ".jsonl"), (b"[1]", ".json"), (b"\xff\xfe", ".csv"), (b'"a\n', ".jsonl")],
)
def test_unreadable_tables_are_refused(content: bytes, suffix: str) -> None:
    with pytest.raises(InvalidInput):
        table_rows.read_rows(content, suffix, name="t")


def test_an_unknown_status_names_its_row() -> None:
    table = table_rows.read_rows(b"status,loss\nfinished,1\nmeh,2\n", ".csv", name="t")
    with pytest.raises(InvalidInput) as caught:
        table_rows.imported_rows(table, {}, tracker="csv")
    assert (caught.value.what, caught.value.why) == (
        "cannot read row 2",
        "'meh' is no status we know",
    )


# --- agent loops ----------------------------------------------------------------------------------

RESULTS = b"""commit\tval_bpb\tmemory_gb\tstatus\tdescription
a1b2c3d\t0.997900\t44.0\tkeep\tbaseline
b2c3d4e\t1.005000\t44.0\tdiscard\tswitch to GeLU activation
c3d4e5f\t0.000000\t0.0\tcrash\tdouble model width (OOM)
a1b2c3d\t0.998000\t44.0\tkeep\tbaseline again
"""


def test_autoresearch_results_are_read() -> None:
    kept, discarded, crashed, again = autoresearch.read_results(
        table_rows.read_rows(RESULTS, ".tsv", name="results.tsv")
    ).runs
    assert (kept.source, kept.commit, kept.is_exact) == ("autoresearch:a1b2c3d", "a1b2c3d", True)
    assert kept.metrics == {"val_bpb": 0.9979, "memory_gb": 44.0}
    assert kept.directions == {"val_bpb": Direction.MINIMIZE}
    assert (kept.decision, discarded.decision) == (Decision.KEEP, Decision.DISCARD)
    assert discarded.reason == "switch to GeLU activation"
    assert (crashed.outcome, crashed.decision, crashed.metrics) == (Outcome.FAILED, None, {})
    assert again.source == "autoresearch:a1b2c3d#2"


def test_a_commit_of_digits_only_stays_text() -> None:
    (run,) = autoresearch.read_results(
        table_rows.read_rows(
            b"commit\tloss\tstatus\tdescription\n1234567\t1\tkeep\tx\n", ".tsv", name="r"
        )
    ).runs
    assert run.commit == "1234567"


LOG = "\n".join(
    json.dumps(entry)
    for entry in (
        {"type": "config", "name": "faster", "metricName": "total_ms", "bestDirection": "lower"},
        {
            "run": 1, "commit": "aaa1111", "metric": 100, "metrics": {"mem": 5}, "status": "keep",
            "description": "baseline", "timestamp": 1711000000000, "segment": 0, "confidence": None,
        },
        {"type": "hook", "stage": "after", "exit_code": 0},
        {
            "run": 2, "commit": "aaa1111", "metric": 120, "metrics": {"mem": 5},
            "status": "discard", "description": "cache it", "timestamp": 1711000001000,
            "asi": {
                "hypothesis": "fewer reads", "rollback_reason": "slower",
                "next_action_hint": "profile first",
            },
        },
        {
            "run": 3, "commit": "aaa1111", "metric": 0, "metrics": {}, "status": "crash",
            "description": "boom", "timestamp": 1711000002000,
        },
    )
)  # fmt: skip


def test_pi_autoresearch_log_is_read() -> None:
    entries = autoresearch.parse_log(LOG + "\nnot json\n[1]\n")
    assert autoresearch.is_log(entries)
    kept, discarded, crashed = autoresearch.read_log(entries).runs
    assert kept.metrics == {"total_ms": 100, "mem": 5}
    assert kept.directions == {"total_ms": Direction.MINIMIZE} and kept.warnings == ()
    assert (discarded.decision, discarded.why) == (Decision.DISCARD, "slower")
    assert (discarded.hint, discarded.notes) == ("profile first", ("hypothesis: fewer reads",))
    assert discarded.reason == "cache it" and "thrown away" in discarded.warnings[0]
    assert (crashed.outcome, crashed.metrics) == (Outcome.FAILED, {})
    assert kept.environment == {"tracker": "pi-autoresearch", "session": "faster"}
    assert len({kept.source, discarded.source, crashed.source}) == 3
