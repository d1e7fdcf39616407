"""Values read from a program's files: kinds, precedence, limits, hostile content."""

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitexp.core.model.run import Direction, flatten
from gitexp.features.harvest import changes
from gitexp.features.harvest.budget import Budget
from gitexp.features.harvest.gather import Harvest, gather, watch
from gitexp.storage.settings.parsers import HARVEST_ALL
from tests.adapters.trackers.tracker_files import (
    START_MS,
    event_file,
    wandb_log,
    write_mlflow_base,
    write_mlruns,
)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def harvest(
    tmp_path: Path,
    program: Callable[[Path], object],
    *,
    kinds: tuple[str, ...] = (HARVEST_ALL,),
    below: str = ".",
    **options: Any,
) -> Harvest:
    """Return the values picked up from a program that runs in `below` and writes files."""
    top = tmp_path / "top"
    directory = top / below
    directory.mkdir(parents=True, exist_ok=True)
    watched = watch(directory, top, kinds)
    assert watched is not None
    since = write(tmp_path / "since", "").stat().st_mtime_ns
    program(top)
    return gather(watched, since_ns=since, is_ended=True, **options)


def metrics(found: Harvest) -> dict[str, Any]:
    return dict(flatten(found.metrics))


def test_gather_reads_a_lightning_log_with_series_and_hyperparameters(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        folder = top / "lightning_logs/version_0"
        write(
            folder / "metrics.csv",
            "epoch,step,train_loss,val_loss\n0,1,0.9,\n0,1,,0.8\n1,3,0.5,\n1,3,,0.4\n",
        )
        write(folder / "hparams.yaml", "lr: 0.01\nmodel:\n  depth: 3\n")

    found = harvest(tmp_path, program)
    assert metrics(found) == {"train_loss": 0.5, "val_loss": 0.4}
    assert found.series == [
        {"step": 1, "train_loss": 0.9, "val_loss": 0.8},
        {"step": 3, "train_loss": 0.5, "val_loss": 0.4},
    ]
    assert found.params == {"lr": 0.01, "model": {"depth": 3}}
    assert {path.name: how.kind for path, how in found.sources.items()} == {
        "metrics.csv": "lightning",
        "hparams.yaml": "lightning",
    }
    assert not found.warnings


STATE = {
    "global_step": 4,
    "num_train_epochs": 2,
    "log_history": [
        {"epoch": 1.0, "loss": 0.7, "step": 2},
        {"epoch": 2.0, "loss": 0.5, "step": 4},
        {"epoch": 2.0, "eval_loss": 0.6, "step": 4},
    ],
}


def test_gather_reads_the_last_trainer_state_only(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        early = {"global_step": 2, "log_history": STATE["log_history"][:1]}  # type: ignore[index]
        write(top / "out/checkpoint-2/trainer_state.json", json.dumps(early))
        write(top / "out/checkpoint-4/trainer_state.json", json.dumps(STATE))

    found = harvest(tmp_path, program)
    assert metrics(found) == {"loss": 0.5, "eval_loss": 0.6}
    assert [row["step"] for row in found.series] == [2, 4]
    assert [path.parent.name for path in found.sources] == ["checkpoint-4"]
    assert found.params == {"num_train_epochs": 2}


def test_gather_reads_dvclive_with_plots_and_params(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        write(top / "dvclive/metrics.json", '{"train": {"loss": 0.2}, "acc": 0.9, "step": 1}')
        write(top / "dvclive/plots/metrics/train/loss.tsv", "step\tloss\n0\t0.5\n1\t0.2\n")
        write(top / "dvclive/params.yaml", "lr: 1e-3\n")

    found = harvest(tmp_path, program)
    assert metrics(found) == {"train.loss": 0.2, "acc": 0.9}
    assert [row["train.loss"] for row in found.series] == [0.5, 0.2]
    assert found.params == {"lr": 0.001}


def test_gather_reads_tensorboard_and_leaves_older_events(tmp_path: Path) -> None:
    old = event_file([(1_600_000_000.0, 0, "loss", 9.0)])
    write(tmp_path / "top/runs/old/events.out.tfevents.1", old)

    def program(top: Path) -> None:
        points = [(1_795_440_001.0 + n, n, "loss", 1.0 / (n + 1)) for n in range(3)]
        write(top / "runs/new/events.out.tfevents.2", event_file(points))

    found = harvest(tmp_path, program)
    assert metrics(found) == {"loss": pytest.approx(1 / 3)}
    assert [row["step"] for row in found.series] == [0, 1, 2]
    assert len(found.sources) == 1


def test_gather_reads_new_runs_of_an_mlflow_folder_only(tmp_path: Path) -> None:
    write_mlruns(tmp_path / "top/mlruns", "a" * 32, metrics={"loss": f"{START_MS} 9.0 0\n"})

    def program(top: Path) -> None:
        logged = f"{START_MS} 0.5 0\n{START_MS} 0.25 1\n"
        write_mlruns(top / "mlruns" / "1", "b" * 32, params={"lr": "0.1"}, metrics={"loss": logged})

    found = harvest(tmp_path, program)
    assert metrics(found) == {"loss": 0.25}
    assert found.params == {"lr": 0.1}
    assert len(found.series) == 2


def test_gather_reads_runs_of_an_mlflow_database_that_started_since(tmp_path: Path) -> None:
    base = tmp_path / "top/mlflow.db"
    base.parent.mkdir()
    write_mlflow_base(base)

    def program(top: Path) -> None:
        connection = sqlite3.connect(base)
        now_ms = (tmp_path / "since").stat().st_mtime_ns // 1_000_000 + 5
        connection.execute(
            "INSERT INTO runs VALUES ('new', 'n', 'FINISHED', ?, ?, 'ada', 'active', 1)",
            (now_ms, now_ms),
        )
        connection.execute("INSERT INTO metrics VALUES ('f1', 0.75, ?, 'new', 0, 0)", (now_ms,))
        connection.execute("INSERT INTO params VALUES ('depth', '3', 'new')")
        connection.commit()
        connection.close()

    found = harvest(tmp_path, program)
    assert metrics(found) == {"f1": 0.75}
    assert found.params == {"depth": 3}


def test_gather_reads_wandb(tmp_path: Path) -> None:
    log = wandb_log(
        config={"lr": 0.1},
        history=[{"_step": n, "_runtime": n * 0.5, "loss": 1.0 - n / 10} for n in range(3)],
        summary={"loss": 0.8},
    )
    found = harvest(tmp_path, lambda top: write(top / "wandb/offline-run-1-x/run-x.wandb", log))
    assert metrics(found) == {"loss": 0.8}
    assert len(found.series) == 3
    assert found.params == {"lr": 0.1}


def test_gather_reads_ultralytics(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        folder = top / "runs/detect/train"
        rows = "epoch,time,train/box_loss,metrics/mAP50(B)\n1,3.5,1.2,0.1\n2,7.0,0.9,0.3\n"
        write(folder / "results.csv", rows)
        write(folder / "args.yaml", "model: yolo11n.pt\nlr0: 0.01\n")

    found = harvest(tmp_path, program)
    assert metrics(found) == {"train/box_loss": 0.9, "metrics/mAP50(B)": 0.3}
    assert [row["time"] for row in found.series] == [3.5, 7.0]
    assert found.params == {"model": "yolo11n.pt", "lr0": 0.01}


HYPERFINE = {  # hyperfine 1.15 --export-json, shortened
    "results": [
        {
            "command": "sleep 0.01",
            "mean": 0.0118,
            "stddev": 0.0006,
            "median": 0.0115,
            "user": 0.0012,
            "system": 0.0,
            "min": 0.0113,
            "max": 0.0126,
            "times": [0.0126, 0.0115, 0.0113],
            "exit_codes": [0, 0, 0],
        }
    ]
}
GOOGLE = {  # libbenchmark 1.7 --benchmark_out, shortened
    "context": {"date": "2026-11-30T18:35:50+00:00", "host_name": "vm", "num_cpus": 2},
    "benchmarks": [
        {
            "name": "BM_copy/64",
            "run_name": "BM_copy/64",
            "run_type": "iteration",
            "iterations": 368870,
            "real_time": 119.7,
            "cpu_time": 37.8,
            "time_unit": "ns",
            "bytes_per_second": 1.6e9,
            "odd": 3.0,
        },
        {
            "name": "BM_copy/4096/repeats:3",
            "run_name": "BM_copy/4096/repeats:3",
            "run_type": "iteration",
            "real_time": 6965.6,
            "cpu_time": 2735.0,
            "time_unit": "ns",
        },
        {
            "name": "BM_copy/4096/repeats:3_mean",
            "run_name": "BM_copy/4096/repeats:3",
            "run_type": "aggregate",
            "aggregate_name": "mean",
            "aggregate_unit": "time",
            "real_time": 10570.7,
            "cpu_time": 2698.8,
            "time_unit": "ns",
        },
        {
            "name": "BM_copy/4096/repeats:3_cv",
            "run_name": "BM_copy/4096/repeats:3",
            "run_type": "aggregate",
            "aggregate_name": "cv",
            "aggregate_unit": "percentage",
            "real_time": 0.29,
            "cpu_time": 0.01,
            "time_unit": "ns",
        },
    ],
}
PYTEST_BENCHMARK = {  # pytest-benchmark 5.2 --benchmark-json, shortened
    "machine_info": {"node": "vm"},
    "commit_info": {},
    "benchmarks": [
        {
            "group": None,
            "name": "test_sort[10]",
            "fullname": "test_sort.py::test_sort[10]",
            "stats": {"min": 1e-6, "max": 3e-6, "mean": 2e-6, "stddev": 1e-7, "median": 2e-6,
                      "ops": 500000.0, "rounds": 9},
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "kind", "some", "direction"),
    [
        (HYPERFINE, "hyperfine", {"sleep 0.01.mean": 0.0118}, Direction.MINIMIZE),
        (PYTEST_BENCHMARK, "pytest-benchmark", {"test_sort[10].ops": 5e5}, Direction.MAXIMIZE),
        (
            GOOGLE,
            "google-benchmark",
            {"BM_copy/64.bytes_per_second": 1.6e9, "BM_copy/64.odd": 3.0}
            | {"BM_copy/4096/repeats:3.mean": 10570.7},
            Direction.MAXIMIZE,
        ),
    ],
    ids=["hyperfine", "pytest-benchmark", "google-benchmark"],
)
def test_gather_reads_benchmark_results(
    tmp_path: Path,
    document: object,
    kind: str,
    some: dict[str, float],
    direction: Direction,
) -> None:
    found = harvest(
        tmp_path, lambda top: write(top / "any-name.json", json.dumps(document, indent=1))
    )
    assert {how.kind for how in found.sources.values()} == {kind}
    assert metrics(found).items() >= some.items()
    assert found.directions[next(iter(some))] is direction
    assert not any("cv" in name or "repeats:3.real_time" in name for name in metrics(found))


def test_gather_reads_criterion_and_nothing_else_of_target(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        estimate = {"point_estimate": 93193.3, "standard_error": 444.9}
        estimates = json.dumps({"mean": estimate, "median": estimate, "slope": None})
        folder = top / "target/criterion/sort/by key/100/new"
        write(folder / "estimates.json", estimates)
        write(folder / "benchmark.json", '{"group_id": "sort", "full_id": "sort/by key/100"}')
        write(folder.parent / "base/estimates.json", estimates)
        write(top / "target/debug/progress.csv", "step,loss\n1,2\n")

    found = harvest(tmp_path, program)
    assert metrics(found) == {"sort/by key/100.mean": 93193.3, "sort/by key/100.median": 93193.3}
    assert found.directions["sort/by key/100.mean"] is Direction.MINIMIZE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("training.log", "epoch,loss,acc\n0,0.9,0.1\n1,0.5,0.7\n"),
        ("logs/progress.csv", "time/total_timesteps,loss,acc\n1,0.9,0.1\n2,0.5,0.7\n"),
        ("catboost_info/learn_error.tsv", "iter\tloss\tacc\n0\t0.9\t0.1\n1\t0.5\t0.7\n"),
        ("log.jsonl", '{"step": 1, "loss": 0.9}\n{"step": 2, "loss": 0.5, "acc": 0.7}\n'),
        (
            "metrics.json",
            '{"iteration": 1, "loss": 0.9}\n{"iteration": 2, "loss": 0.5, "acc": 0.7}',
        ),
    ],
)
def test_gather_reads_logs_of_rows(tmp_path: Path, name: str, content: str) -> None:
    found = harvest(tmp_path, lambda top: write(top / name, content))
    assert metrics(found) == {"loss": 0.5, "acc": 0.7}
    assert len(found.series) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("predictions.csv", "epoch,id,predicted\n" + "".join(f"1,{n},0.5\n" for n in range(20))),
        ("data.csv", "x,y\n1,2\n3,4\n"),
        ("walk.csv", "step,x\n3,0.1\n1,0.2\n"),
        ("chat.jsonl", '{"step": 1, "text": "hello"}\n'),
        ("package.json", '{"name": "x", "version": 1}'),
        ("some.json", '{"context": "words", "benchmarks": []}'),
    ],
)
def test_gather_ignores_data_files(tmp_path: Path, name: str, content: str) -> None:
    found = harvest(tmp_path, lambda top: write(top / name, content))
    assert not found.metrics
    assert not found.warnings


# --- whose file it is -----------------------------------------------------------------------------


def test_gather_ignores_unchanged_files(tmp_path: Path) -> None:
    write(tmp_path / "top/old.csv", "step,loss\n1,9\n")
    found = harvest(tmp_path, lambda top: write(top / "new.csv", "step,acc\n1,0.5\n"))
    assert metrics(found) == {"acc": 0.5}


def test_gather_takes_only_the_rows_that_the_run_appended(tmp_path: Path) -> None:
    old = "step,loss,old\n" + "".join(f"{n},9.5,1\n" for n in range(20))
    file = write(tmp_path / "top/log.csv", old)

    def program(top: Path) -> None:
        with file.open("a") as log:
            log.write("20,0.5,\n21,0.25,\n")

    found = harvest(tmp_path, program)
    assert metrics(found) == {"loss": 0.25}
    assert [row["step"] for row in found.series] == [20, 21]


def test_gather_takes_only_the_appended_rows_of_a_tiny_log(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n1,8\n")
    before = watch(tmp_path, tmp_path, (HARVEST_ALL,))
    assert before is not None
    log.write_text("step,loss\n1,8\n2,4\n3,2\n")
    found = gather(before, since_ns=0, is_ended=True)
    assert [row["step"] for row in found.series] == [2, 3]


def test_gather_ignores_changes_after_the_last_sign_of_life(tmp_path: Path) -> None:
    before = watch(tmp_path, tmp_path, (HARVEST_ALL,))
    assert before is not None
    for name, seconds in (("mine.csv", 5), ("later.csv", 11)):
        (tmp_path / name).write_text(f"step,{name[:-4]}\n1,8\n")
        os.utime(tmp_path / name, (seconds, seconds))
    found = gather(before, since_ns=0, until_ns=10**10, is_ended=False)
    assert found.metrics == {"mine": 8}
    assert "later.csv was not picked up: it changed after" in found.warnings[0]


def test_gather_takes_all_rows_of_a_rewritten_file(tmp_path: Path) -> None:
    file = write(tmp_path / "top/log.csv", "step,loss\n1,9.5\n")
    found = harvest(tmp_path, lambda top: write(file, "step,loss\n1,0.5\n2,0.25\n3,0.1\n"))
    assert [row["loss"] for row in found.series] == [0.5, 0.25, 0.1]


def test_gather_scans_default_directories_at_the_top(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        write(top / "runs/log.csv", "step,loss\n1,0.5\n")
        write(top / "elsewhere/log.csv", "step,acc\n1,0.5\n")

    assert metrics(harvest(tmp_path, program, below="src")) == {"loss": 0.5}


@pytest.mark.parametrize(
    "place", [".git/x", "node_modules", ".venv", "my env", "nested", "link", "loop/loop"]
)
def test_gather_skips_caches_and_environments(tmp_path: Path, place: str) -> None:
    write(tmp_path / "top/my env/pyvenv.cfg", "")
    write(tmp_path / "top/nested/.git", "gitdir: elsewhere")
    (tmp_path / "outside").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path / "outside")
    (tmp_path / "top/loop").symlink_to(tmp_path / "top")

    def program(top: Path) -> None:
        folder = top / place
        folder.mkdir(parents=True, exist_ok=True)
        if not place.startswith("loop"):
            (folder / "log.csv").write_text("step,loss\n1,0.5\n")

    found = harvest(tmp_path, program)
    assert not found.metrics
    assert not found.warnings


def test_gather_does_not_follow_a_link_to_a_file(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.csv", "step,salary\n1,9\n")
    found = harvest(tmp_path, lambda top: (top / "log.csv").symlink_to(secret))
    assert not found.metrics


def test_gather_reads_only_the_kinds_asked_for(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        write(top / "log.csv", "step,loss\n1,0.5\n")
        write(top / "bench.json", json.dumps(HYPERFINE))

    assert metrics(harvest(tmp_path, program, kinds=("csv",))) == {"loss": 0.5}


def test_watch_is_off_without_kinds(tmp_path: Path) -> None:
    assert watch(tmp_path, tmp_path, ()) is None


def test_gather_ignores_files_that_other_runs_may_have_written(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        write(top / "log.csv", "step,loss\n1,0.5\n")
        write(top / "mine/log.csv", "step,acc\n1,0.5\n")

    found = harvest(tmp_path, program, is_ours=lambda path: "mine" in path.parts)
    assert metrics(found) == {"acc": 0.5}
    (warning,) = found.warnings
    assert "log.csv was not picked up: other runs were going on here" in warning


# --- one name from several ------------------------------------------------------------------------


def test_gather_keeps_two_logs_of_one_kind_apart(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        for part, value in (("train", 0.1), ("validation", 0.2)):
            points = [(1_795_440_001.0 + n, n, "epoch_loss", value) for n in range(2)]
            write(top / f"logs/{part}/events.out.tfevents.1", event_file(points))

    assert set(metrics(harvest(tmp_path, program))) == {
        "train.epoch_loss",
        "validation.epoch_loss",
    }


def test_gather_numbers_logs_whose_names_change_from_run_to_run(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        for version in (9, 10):
            rows = f"epoch,step,loss\n0,1,{version}\n"
            write(top / f"lightning_logs/version_{version}/metrics.csv", rows)

    assert metrics(harvest(tmp_path, program)) == {"1.loss": 9, "2.loss": 10}


def test_gather_takes_a_metric_from_the_more_exact_kind(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        folder = top / "lightning_logs/version_0"
        write(folder / "metrics.csv", "epoch,step,loss\n0,1,0.5\n")
        points = [(1_795_440_001.0, 1, "loss", 0.75), (1_795_440_001.0, 1, "other", 1.0)]
        write(folder / "events.out.tfevents.1", event_file(points))

    assert metrics(harvest(tmp_path, program)) == {"loss": 0.5, "other": 1.0}


# --- bad content ----------------------------------------------------------------------------------

DEEP = "[" * 100_000
GOOD = "step,good\n1,0.5\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("trainer_state.json", '{"log_history": [', "not JSON"),
        ("trainer_state.json", '{"log_history": ' + DEEP, "nested too deep"),
        ("trainer_state.json", "{}", "no log_history"),
        ("trainer_state.json", b"\xff\xfe\x00", "not JSON"),
        ("log.csv", "step,loss\n1,2,3\n2,3\n", "line 2 has 3 cells"),
        ("log.csv", b"step,loss\n1,\xff\n", "not UTF-8"),
        ("log.jsonl", '{"step": 1, "a": 1}\n' + DEEP + "\n{}\n", "line 2 is not JSON"),
        ("lightning_logs/v/hparams.yaml", "lr: !!python/object:os.system x\n", "hparams.yaml"),
        ("mlflow.db", b"SQLite format 3\0" + b"x" * 5000, "not an MLflow store"),
        ("wandb/run-1-x/run-x.wandb", b"not one", "does not begin as one"),
    ],
)
def test_gather_warns_once_of_a_bad_file_and_reads_the_others(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    def program(top: Path) -> None:
        write(top / name, content)
        write(top / "good.csv", GOOD)

    found = harvest(tmp_path, program)
    assert metrics(found) == {"good": 0.5}
    (warning,) = found.warnings
    assert said in warning


def test_gather_survives_unexpected_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("gitexp.features.harvest.tables.read_json_lines", broken)

    def program(top: Path) -> None:
        write(top / "log.jsonl", '{"step": 1, "a": 1}\n')
        write(top / "good.csv", GOOD)

    found = harvest(tmp_path, program)
    assert metrics(found) == {"good": 0.5}
    assert "ZeroDivisionError: a bug of ours" in found.warnings[0]
    monkeypatch.setattr("gitexp.features.harvest.gather.look", broken)
    (warning,) = harvest(tmp_path, program).warnings
    assert "nothing was picked up" in warning


def test_gather_reports_files_that_are_too_large(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        with write(top / "huge.csv", "step,loss\n").open("r+b") as file:
            file.truncate(1 << 40)
        write(top / "many.csv", "step,a,b\n" + "".join(f"{n},1,2\n" for n in range(2000)))
        write(top / "good.csv", GOOD)

    found = harvest(tmp_path, program, budget=Budget(60.0, values=3000))
    assert metrics(found) == {"good": 0.5}
    assert len(found.warnings) == 2
    assert "huge.csv was not read: too large: 1,099,511,627,776 bytes" in found.warnings[0]
    assert "many.csv was not read: too large: it has more than 3,000 values" in found.warnings[1]


def test_gather_stops_when_the_time_is_up(tmp_path: Path) -> None:
    found = harvest(tmp_path, lambda top: write(top / "good.csv", GOOD), budget=Budget(-1.0))
    assert not found.metrics
    assert "takes longer" in found.warnings[0]


def test_gather_limits_names_and_parameters(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        row = {"step": 1, **{f"a{n}": n for n in range(3000)}, "bad\nname": 1}
        write(top / "log.jsonl", json.dumps(row) + "\n")
        write(top / "v/hparams.yaml", f"text: {'x' * 70_000}\nlr: 0.1\n")

    found = harvest(tmp_path, program)
    assert len(metrics(found)) == 2000
    assert found.params == {"lr": 0.1}
    assert any("1,001 metrics" in warning for warning in found.warnings)


def test_gather_records_values_that_are_not_finite_and_redacts_secrets(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        write(top / "log.csv", "step,loss,big\n1,nan,inf\n2,nan,1e999\n")
        write(top / "v/hparams.yaml", "api_key: hunter2hunter2\nlr: 0.1\n")

    found = harvest(tmp_path, program)
    assert str(metrics(found)) == "{'loss': nan, 'big': inf}"
    assert "hunter2" not in str(found.params)
    assert found.params["lr"] == 0.1


def test_gather_ignores_the_cut_last_line_of_a_killed_program(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    watched = watch(top, top, (HARVEST_ALL,))
    assert watched is not None
    write(top / "log.csv", "step,loss\n1,0.5\n2,1.25")  # maybe 1.25e-05
    for is_ended, last in ((False, 0.5), (True, 1.25)):
        found = gather(watched, since_ns=0, is_ended=is_ended)
        assert metrics(found) == {"loss": last}


def test_gather_does_not_open_a_pipe(tmp_path: Path) -> None:
    def program(top: Path) -> None:
        os.mkfifo(top / "log.csv")
        write(top / "good.csv", GOOD)

    assert metrics(harvest(tmp_path, program)) == {"good": 0.5}


def test_scan_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_ENTRIES", 10)
    for n in range(30):
        write(tmp_path / f"{n}/log.csv", "")
    assert not changes.look(tmp_path, tmp_path).is_whole


def test_incomplete_scan_decides_by_time_and_ignores_logs(tmp_path: Path) -> None:
    before = changes.Look(is_whole=False)
    old, log, new = (write(tmp_path / name, "x") for name in ("old.json", "a.csv", "b.json"))
    os.utime(old, (1, 1))
    after = changes.look(tmp_path, tmp_path)
    written, unknown = changes.written_between(before, after, 10**9 * 2)
    assert [file.path for file in written] == [new]
    assert unknown == [log]
