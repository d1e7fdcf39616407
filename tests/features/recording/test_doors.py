"""All ways to record metrics give the same record for the same names."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import gitexp
from gitexp.cli.app import run as exp
from gitexp.core.model.run import RecordedRun, Table, nest, numbers
from tests.conftest import RepoBuilder, some_daily

PRINT = "import json, sys\nfor n, v in json.loads(sys.argv[1]).items(): print(f'METRIC {n}={v}')\n"
LOG = "import json, sys, gitexp\ngitexp.start().log(json.loads(sys.argv[1]))\n"
WRITE = "import sys; open(sys.argv[2], 'w').write(sys.argv[1])\n"

TABLES: dict[str, Table] = {
    "flat": {"loss": 0.25, "accuracy": 1},
    "dotted": {"val.loss": 0.3, "val.acc": 0.9, "train.loss": 0.1},
    "a value in the way": {"val": 1.5, "val.loss": 2.5, "val.loss.best": 3.5},
    "decimal points": {"val.mAP@0.5": 0.5, "val.mAP@0.5:0.95": 0.25},
}


def by_arguments(table: Table, _repo: RepoBuilder) -> None:
    assert exp(["record", *(f"-M{n}={v}" for n, v in table.items())]) == 0


def by_file_of(ending: str, text: Callable[[Table], str]) -> Callable[[Table, RepoBuilder], None]:
    def door(table: Table, repo: RepoBuilder) -> None:
        write = ["python", "write.py", text(table), f"metrics{ending}"]
        repo.write("write.py", WRITE)
        assert exp(["run", "--metrics", f"metrics{ending}", "--", *write]) == 0

    return door


def by_printed_lines(table: Table, repo: RepoBuilder) -> None:
    repo.write("print.py", PRINT)
    assert exp(["run", "--", "python", "print.py", json.dumps(table)]) == 0


def by_the_api_in_a_run(table: Table, repo: RepoBuilder) -> None:
    repo.write("log.py", LOG)
    assert exp(["run", "--", "python", "log.py", json.dumps(table)]) == 0


def by_the_api(table: Table, _repo: RepoBuilder) -> None:
    with gitexp.start() as run:
        run.log(table)  # type: ignore[arg-type]


def by_the_api_nested(table: Table, _repo: RepoBuilder) -> None:
    with gitexp.start() as run:
        run.log(nest(table))  # type: ignore[arg-type]


def by_the_tracker(table: Table, _repo: RepoBuilder) -> None:
    gitexp.Tracker().log({"metrics": table})


def by_hand(table: Table, _repo: RepoBuilder) -> None:
    (first, *rest) = [f"-M{n}={v}" for n, v in table.items()]
    assert exp(["start"]) == 0
    assert exp(["note", "last", first]) == 0
    assert exp(["finish", "last", *rest]) == 0


def by_import_of_rows(table: Table, repo: RepoBuilder) -> None:
    repo.write("runs.jsonl", json.dumps({"id": "1", "metrics": table}) + "\n")
    assert exp(["import", "runs.jsonl"]) == 0


def by_import_of_csv(table: Table, repo: RepoBuilder) -> None:
    repo.write("runs.csv", rows_of({f"metrics.{name}": value for name, value in table.items()}))
    assert exp(["import", "runs.csv"]) == 0


def rows_of(table: Table) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([list(table), list(table.values())])
    return out.getvalue()


def toml_of(table: Table) -> str:
    return "".join(f"{json.dumps(name)} = {value}\n" for name, value in table.items())


DOORS = {
    "arguments": by_arguments,
    "json": by_file_of(".json", json.dumps),
    "nested json": by_file_of(".json", lambda table: json.dumps(nest(table))),
    "toml": by_file_of(".toml", toml_of),
    "csv": by_file_of(".csv", rows_of),
    "jsonl": by_file_of(".jsonl", json.dumps),
    "printed": by_printed_lines,
    "api in a run": by_the_api_in_a_run,
    "api": by_the_api,
    "api, nested": by_the_api_nested,
    "tracker": by_the_tracker,
    "by hand": by_hand,
    "import of rows": by_import_of_rows,
    "import of csv": by_import_of_csv,
}


def only_entry() -> RecordedRun:
    (entry,) = gitexp.runs()
    return entry


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("table", some_daily(TABLES, 3))
def test_all_ways_of_recording_give_the_same_record(
    door: str, table: str, repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("PYTHONPATH", str(Path(gitexp.__file__).parents[1]))
    DOORS[door](TABLES[table], repo)
    run = only_entry().run
    assert run.metrics == nest(TABLES[table])
    assert numbers(run.metrics) == TABLES[table]
    assert run.warnings == () or door.startswith("import")
