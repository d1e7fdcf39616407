"""Import from and export to other trackers: whole commands on small stores."""

import builtins
import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.trackers.tracker_files import (
    event_file,
    wandb_log,
    write_mlflow_base,
    write_mlruns,
)
from tests.cli.conftest import Done, Exp

Train = Callable[..., Done]


def runs_of(exp: Exp, *options: str) -> list[dict[str, Any]]:
    """Return all runs as documents with their real ids, newest first."""
    texts = io.StringIO()
    from contextlib import redirect_stdout

    from gitexp.cli.app import run

    with redirect_stdout(texts):
        run(["list", "--json", *options])
    found: list[dict[str, Any]] = json.loads(texts.getvalue())["runs"]
    return found


def mlruns(exp: Exp) -> Path:
    top = exp.repo.path / "mlruns"
    write_mlruns(
        top,
        "abc",
        params={"lr": "0.1", "api_key": "sk-1234567890abcdefghijkl"},
        metrics={"accuracy": "1795440536432 0.8 0\n1795440536999 0.9 1\n"},
        tags={"mlflow.source.git.commit": exp.repo.head, "mlflow.note.content": "a note"},
    )
    write_mlruns(top, "def", name="old", status=4, tags={"mlflow.source.git.commit": "b" * 40})
    write_mlruns(top, "ghi", status=1)
    return top


def test_import_of_an_mlflow_directory(exp: Exp) -> None:
    mlruns(exp)
    done = exp("import", "mlruns")
    assert done.out.split() == ["<run", "1>", "<run", "2>"]
    assert done.err.splitlines() == [
        "imported 2 runs (1 not ended there; `--unfinished` takes them too) from mlflow",
        "the code of 1 of them is unknown here; their records say so",
    ]
    old, good = runs_of(exp)
    assert good["source"] == "mlflow:abc" and good["origin"] == "import"
    assert good["params"] == {"lr": 0.1, "api_key": "[redacted]"}
    assert good["metrics"] == {"accuracy": 0.9}
    assert good["code"]["commit"] == exp.repo.head and "fingerprint" not in good
    assert good["warnings"] == ["the source does not say whether there were uncommitted changes"]
    assert [a["text"] for a in good["annotations"]] == ["a note"]
    assert (old["outcome"], old["code"]["commit"]) == ("failed", exp.repo.head)
    assert old["warnings"] == [
        "commit bbbbbbbbbbbb, which the source names, is not in this repository; the code shown is "
        "HEAD's at the import, not what ran"
    ]
    assert exp("show", "brave one", "--series").out == (
        "step,time,accuracy\n0,0.06,0.8\n1,0.627,0.9"
    )
    assert exp("doctor").code == 0


def test_a_second_import_adds_only_what_is_new(exp: Exp) -> None:
    top = mlruns(exp)
    exp("import", "mlruns")
    tip = exp.repo.git("rev-parse", "gitexp")
    again = exp("import", "mlruns")
    assert (again.out, exp.repo.git("rev-parse", "gitexp")) == ("", tip)
    assert again.err.startswith("imported 0 runs (2 here already)")
    write_mlruns(top, "new")
    assert exp("import", "mlruns").err.startswith("imported 1 run (2 here already)")
    assert exp("import", "mlruns", "--unfinished").err.startswith("imported 1 run (3 here")
    assert runs_of(exp)[0]["outcome"] == "unknown"


def test_a_dry_run_changes_nothing(exp: Exp) -> None:
    mlruns(exp)
    done = exp("import", "mlruns", "--dry-run")
    assert done.err.startswith("would import 2 runs")
    assert [line.split()[0] for line in done.out.splitlines()] == [
        "source",
        "mlflow:abc",
        "mlflow:def",
    ]
    assert "accuracy 0.9" in done.out and not exp.repo.git("for-each-ref", "refs/heads/gitexp*")


def test_import_of_an_mlflow_database(exp: Exp) -> None:
    write_mlflow_base(exp.repo.path / "mlflow.db")
    exp("import", "sqlite:///mlflow.db")
    (run,) = runs_of(exp)
    assert (run["name"], run["metrics"]["big"], run["metrics"]["odd"]) == (
        "brave",
        "Infinity",
        "NaN",
    )


def test_import_of_wandb_offline_runs(exp: Exp) -> None:
    folder = exp.repo.path / "wandb" / "offline-run-20261123_132914-p54gy7qm"
    folder.mkdir(parents=True)
    history = [{"loss": 1 / (n + 1), "_step": n, "_runtime": n} for n in range(3)]
    (folder / "run-p54gy7qm.wandb").write_bytes(wandb_log(config={"lr": 0.1}, history=history))
    exp("import", "wandb")
    (run,) = runs_of(exp)
    assert (run["name"], run["tags"], run["params"]) == ("brave", ["a"], {"lr": 0.1})
    assert run["code"]["remote"] == "https://[redacted]@example.org/x.git"


def test_import_of_tensorboard_logs(exp: Exp) -> None:
    folder = exp.repo.path / "logs" / "a"
    folder.mkdir(parents=True)
    points = [(1_795_440_000.0 + n, n, "loss", 0.5**n) for n in range(3)]
    (folder / "events.out.tfevents.1.h").write_bytes(event_file(points))
    exp("import", "logs")
    (run,) = runs_of(exp)
    assert (run["name"], run["metrics"], run["outcome"]) == ("a", {"loss": 0.25}, "unknown")
    assert "the source does not say how the run ended" in run["warnings"]


def test_import_takes_an_outcome_for_runs_without_one(exp: Exp) -> None:
    exp.repo.write(
        "r.jsonl", '{"id": "a", "loss": 1}\n{"id": "b", "loss": 2, "status": "failed"}\n'
    )
    exp("import", "r.jsonl", "--outcome", "interrupted")
    failed, said = runs_of(exp)
    assert (said["outcome"], failed["outcome"]) == ("interrupted", "failed")
    assert "'interrupted' was said at the import" in " ".join(said["warnings"])
    assert "was said" not in " ".join(failed["warnings"])


@pytest.mark.long
def test_import_reports_a_run_beyond_the_limits_and_imports_the_others(exp: Exp) -> None:
    many = {f"params.{n:040}": "x" * 20 for n in range(20_000)}
    rows: list[dict[str, object]] = [
        {"id": "first", "metrics.loss": 1},
        {"id": "huge", **many},
        {"id": "long", "metrics.loss": 2, "params.text": "x" * 1_000_000},
        {"id": "wide", "metrics.loss": 3, **dict(list(many.items())[:5_000])},
    ]
    exp.repo.write("r.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    done = exp("import", "r.jsonl", check=128)
    assert "imported 3 runs" in done.err
    assert "warning: jsonl:huge is left out: its record has" in done.err
    assert "error: cannot import 1 run" in done.err
    found = {run["source"]: run for run in runs_of(exp)}
    assert sorted(found) == ["jsonl:first", "jsonl:long", "jsonl:wide"]
    assert "parameter 'text' is too long" in " ".join(found["jsonl:long"]["warnings"])
    assert "imported 0 runs (3 here already)" in exp("import", "r.jsonl", check=128).err


def test_dvc_experiments_become_runs_with_their_code(exp: Exp) -> None:
    pytest.importorskip("yaml")
    repo = exp.repo
    base = repo.commit(
        {
            "params.yaml": "lr: 0.1\nmodel:\n  depth: 3\n",
            "dvc.yaml": "stages:\n  train:\n    cmd: x\n    params: [lr]\n    metrics:\n"
            "      - out/scores.json:\n          cache: false\n      - gone.json\n",
        }
    )
    tip = repo.commit(
        {"params.yaml": "lr: 0.2\n", "out/scores.json": '{"val": {"acc": 0.8}}'}, "higher rate"
    )
    repo.git("reset", "--quiet", "--hard", base)
    repo.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/curly-kern", tip)
    repo.git("update-ref", "refs/exps/exec/EXEC_HEAD", base)
    exp("import", ".")
    (run,) = runs_of(exp)
    assert (run["name"], run["reason"], run["source"]) == (
        "curly-kern",
        "higher rate",
        f"dvc:{tip}",
    )
    assert (run["params"], run["metrics"]) == ({"lr": 0.2}, {"val": {"acc": 0.8}})
    code = run["code"]
    assert (code["commit"], code["tree"]) == (base, repo.git("rev-parse", f"{tip}^{{tree}}"))
    assert repo.git("log", "-1", "--format=%T %P", code["snapshot"]).strip() == code["tree"]
    assert run["warnings"][0] == "metrics file 'gone.json' is not in the experiment's commit"
    repo.git("update-ref", "-d", f"refs/exps/{base[:2]}/{base[2:]}/curly-kern")
    assert exp("doctor").code == 0
    assert exp("diff", "--code", "last", "last").out == ""


RESULTS = (
    "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    "{head}\t0.9979\t44.0\tkeep\tbaseline\n"
    "deadbee\t1.005\t44.0\tdiscard\tGeLU\n"
    "deadbef\t0.000000\t0.0\tcrash\ttwice as wide\n"
)


def test_import_of_an_agent_loop_log(exp: Exp) -> None:
    head = exp.repo.head[:7]
    exp.repo.write("results.tsv", RESULTS.format(head=head))
    done = exp("import", "results.tsv")
    assert done.err.splitlines()[0] == "imported 3 runs from autoresearch"
    crashed, discarded, kept = runs_of(exp)
    assert kept["code"]["commit"] == exp.repo.head
    assert kept["warnings"] == [
        "the source does not say when the run started; the time is the import's"
    ]
    assert (kept["decision"], discarded["decision"]) == ("keep", "discard")
    assert (crashed["outcome"], "metrics" in crashed) == ("failed", False)
    brief = exp("brief").out
    assert "best: val_bpb 0.9979" in brief and "GeLU" in brief


def test_import_of_a_table(exp: Exp) -> None:
    exp.repo.write("results.csv", "run,lr,test_accuracy\none,0.1,0.8\ntwo,0.2,0.9\n")
    done = exp("import", "results.csv", "--map", "metrics.acc=test_accuracy", "--map", "name=run")
    assert done.err.splitlines()[:3] == [
        "taken as params: lr",
        "how 2 of them ended is not said there; `--outcome` says it",
        "imported 2 runs from csv",
    ]
    two, one = runs_of(exp)
    assert (one["name"], one["params"], one["metrics"]) == ("one", {"lr": 0.1}, {"acc": 0.8})
    assert any("time is the import's" in text for text in two["warnings"])


def test_import_of_many_runs(exp: Exp) -> None:
    rows = "".join(f"n{n},{n / 1000},{1 - n / 1000}\n" for n in range(1, 701))
    exp.repo.write("many.csv", "name,lr,loss\n" + rows)
    assert "imported 700 runs" in exp("import", "many.csv").err
    assert len(runs_of(exp)) == 700
    clocks = [run["clock"] for run in runs_of(exp)]
    assert len(set(clocks)) == 700


CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "no such file": (("none.csv",), "error: there is no 'none.csv'"),
    "a server": (("http://mlflow.example.org",), "error: cannot read 'http://mlflow.example.org'"),
    "an empty folder": (("empty",), "error: cannot tell what 'empty' holds"),
    "no store": (("empty", "--from", "mlflow"), "error: 'empty' is not an MLflow store"),
    "no experiments": (
        (".", "--from", "dvc"),
        "error: there are no DVC experiments in this repository",
    ),
    "no runs": (("empty", "--from", "wandb"), "error: there are no W&B runs in 'empty'"),
    "no events": (
        ("empty", "--from", "tensorboard"),
        "error: there are no TensorBoard event files in 'empty'",
    ),
    "another suffix": (("notes.txt",), "error: cannot tell what 'notes.txt' holds"),
    "not a table": (("empty", "--from", "csv"), "error: cannot read 'empty'"),
    "a mapping for a store": (
        ("empty", "--from", "mlflow", "--map", "name=x"),
        "error: `--map` is for tables",
    ),
    "a bad mapping": (("t.csv", "--map", "speed=x"), "error: cannot use the mapping 'speed=x'"),
    "an unknown column": (("t.csv", "--map", "name=x"), "error: there is no column 'x'"),
    "an unknown status": (("s.csv",), "error: cannot read row 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_import_of_unusable_sources_is_an_error(exp: Exp, case: str) -> None:
    (exp.repo.path / "empty").mkdir()
    for name, text in (("notes.txt", "x"), ("t.csv", "a\n1\n"), ("s.csv", "status\nmeh\n")):
        exp.repo.write(name, text)
    words, error = CASES[case]
    done = exp("import", *words, check=128)
    assert done.err.splitlines()[0].startswith(error)
    assert done.out == ""


def test_a_repository_without_a_commit(
    make_repo: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo("fresh", empty=True)
    repo.write("t.csv", "name,loss\na,1\n")
    monkeypatch.chdir(repo.path)
    done = Exp(repo, capfd)("import", "t.csv", check=128)
    assert "error: the repository has no commit yet" in done.err


# --- export ---------------------------------------------------------------------------------------


def test_export_to_csv_and_json(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    train("0.1", "second")
    rows = list(csv.DictReader(io.StringIO(exp("export").out)))
    assert [(row["name"], row["metrics.accuracy"]) for row in rows] == [
        ("second", "0.9"),
        ("first", "0.7"),
    ]
    document = json.loads(exp("export", "--format", "json", "--where", "accuracy > 0.8").out)
    assert [run["name"] for run in document["runs"]] == ["second"] and document["schema"] == 1
    (line,) = exp("export", "first", "--format", "jsonl").out.splitlines()
    assert json.loads(line)["params"] == {"lr": 0.3}


def test_export_chooses_the_format_by_suffix(exp: Exp, train: Train) -> None:
    train("0.3", "first_try")
    for name in ("r.csv", "r.json", "r.jsonl", "r.md", "r.tex"):
        assert exp("export", "-o", name).err == f"wrote 1 run to {name}"
    read = {path.name: path.read_text() for path in exp.repo.path.glob("r.*")}
    assert json.loads(read["r.json"])["runs"][0]["name"] == "first_try"
    assert "| first_try |" in read["r.md"]
    assert r"first\_try" in read["r.tex"] and r"\toprule" in read["r.tex"]


def test_export_is_imported_elsewhere_and_skipped_here(
    exp: Exp, train: Train, make_repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("0.3", "first", "-m", "why not", "-t", "tagged")
    exp("decide", "last", "discard", "-m", "worse")
    exp("export", "-o", "runs.jsonl")
    assert exp("import", "runs.jsonl").err.endswith("imported 0 runs (1 here already) from jsonl")
    other = make_repo("other")
    monkeypatch.chdir(other.path)
    there = Exp(other, exp._capfd)
    there("import", str(exp.repo.path / "runs.jsonl"))
    (run,) = runs_of(there)
    assert (run["name"], run["params"], run["decision"]) == ("first", {"lr": 0.3}, "discard")
    assert (run["reason"], run["tags"], run["outcome"]) == ("why not", ["tagged"], "succeeded")
    assert run["command"]["argv"] == ["python", "train.py", "--lr", "0.3"]


def test_export_to_parquet(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    done = exp("export", "--format", "parquet", check=128)
    assert done.err.startswith("error: Parquet is not for a terminal")
    parquet = pytest.importorskip("pyarrow.parquet")
    exp("export", "-o", "runs.parquet")
    (row,) = parquet.read_table(exp.repo.path / "runs.parquet").to_pylist()
    assert (row["metrics.accuracy"], row["params.lr"], row["name"]) == (0.7, 0.3, "first")


@pytest.mark.parametrize(
    ("module", "words", "error"),
    [
        ("pyarrow", ("-o", "x.parquet"), "cannot write Parquet"),
        ("mlflow", ("--to", "mlflow", "file:x"), "cannot send runs to MLflow"),
    ],
)
def test_missing_extras_are_named(
    exp: Exp,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    words: Sequence[str],
    error: str,
) -> None:
    train("0.3", "first")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    done = exp("export", *words, check=128)
    assert done.err.startswith(f"error: {error}\nbecause: ") and "hint: `pip install" in done.err


def test_another_tracker_is_refused(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    done = exp("export", "--to", "comet", "x", check=128)
    assert done.err == "error: cannot send runs to 'comet'\nhint: write `--to mlflow URI`"


def test_a_secret_in_an_imported_decision_is_not_recorded(exp: Exp) -> None:
    secret = "sk-abcdefghijklmnopqrstuvwxyz0123456789abcdefgh"
    text = f"name,lr,metrics.acc,decision,why\na,0.1,0.5,discard,api_key={secret}\n"
    (exp.repo.path / "runs.csv").write_text(text)
    exp("import", "runs.csv")
    [run] = json.loads(exp("list", "--json").out)["runs"]
    [decision] = [a for a in run["annotations"] if a["kind"] == "decision"]
    assert secret not in decision["text"]
