"""What `import gitexp` offers, on real repositories."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import gitexp
from gitexp.adapters.git.process import GitRunner
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed, GitexpError, InvalidInput, NotARepository, Refused
from gitexp.core.model.run import Outcome, Run
from gitexp.storage.cache.cache import Cache
from tests.conftest import RepoBuilder
from tests.storage.branches import answers


@pytest.fixture(autouse=True)
def _here(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    monkeypatch.setattr(sys, "argv", ["-c"])  # what pytest was called with would count


@pytest.fixture
def python(repo: RepoBuilder) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a script in the repository with the same Python."""

    def run(script: str, *before: str) -> "subprocess.CompletedProcess[str]":
        repo.write("script.py", script)
        return subprocess.run(
            [*before, sys.executable, "script.py"],
            cwd=repo.path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
        )

    return run


def only_run() -> Run:
    (entry,) = gitexp.runs()
    return entry.run


def test_tracker_records_the_sample_program(capsys: pytest.CaptureFixture[str]) -> None:
    gitexp.Tracker().log({"params": {"lr": 0.1, "batch_size": 32}, "metrics": {"accuracy": 0.80}})
    tracker = gitexp.Tracker()
    assert tracker.history == []
    tracker.log({"params": {"lr": 0.01, "batch_size": 32}, "metrics": {"accuracy": 0.85}})
    report = tracker.compare()
    assert capsys.readouterr().out == f"{report}\n"
    assert str(report).startswith("accuracy 0.85: better than the last, 0.80 (+6.25%); best so far")
    assert "continue improving" in str(report)
    assert (report.answer, report.value, report.last) == ("better", 0.85, 0.8)
    (logged,) = tracker.history
    assert logged.metrics == {"accuracy": 0.85}
    assert logged.params == {"lr": 0.01, "batch_size": 32}


def test_a_trial_logged_twice_is_a_repeat_and_no_improvement() -> None:
    tracker = gitexp.Tracker()
    for accuracy in (0.80, 0.85):
        tracker.log({"params": {"lr": 0.01}, "metrics": {"accuracy": accuracy}})
    told = str(tracker.compare()).splitlines()[0]
    assert told == (
        "accuracy 0.85, mean of 2 0.825: repeats of one trial; no other trial to compare with yet"
    )


def test_compare_finds_another_trial_after_many_repeats() -> None:
    gitexp.Tracker().log({"params": {"lr": 0.1}, "metrics": {"widgets": 3}})
    tracker = gitexp.Tracker()
    for _ in range(52):
        tracker.log({"params": {"lr": 0.01}, "metrics": {"widgets": 4}})
    told = str(tracker.compare()).splitlines()[0]
    assert told.startswith("widgets 4, mean of 52 4: cannot tell from the last, 3 (+33.3%;")


def test_subject_has_the_verdict_while_others_record(repo: RepoBuilder) -> None:
    gitexp.Tracker().log({"metrics": {"accuracy": 0.80}})
    with gitexp.start() as run:
        run.log(accuracy=0.85)
        gitexp.Tracker().log({"metrics": {"accuracy": 0.70}})
    subjects = [
        line.partition(": ")[2] for line in repo.git("log", "--format=%s", "gitexp").split("\n")
    ]
    assert [subject for subject in subjects if subject] == [
        "accuracy 0.85 (better than 0.8)",
        "accuracy 0.7 (worse than 0.8)",
        "accuracy 0.8",
    ]


def test_tracker_without_metrics_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    gitexp.Tracker().compare()
    assert capsys.readouterr().out == "nothing was logged yet\n"
    with pytest.raises(InvalidInput, match="cannot log this"):
        gitexp.Tracker().log({"metric": 1})


def test_run_works_as_a_context_manager(repo: RepoBuilder) -> None:
    with gitexp.start(params={"lr": 0.1}, tags=["t"], reason="to see") as run:
        record = repo.git(
            "show", f"gitexp:{repo.git('ls-tree', '-r', '--name-only', 'gitexp', 'runs')}"
        )
        assert "lr = 0.1" in record, "parameters are on the branch before the work starts"
        assert 'outcome = "running"' in record
        for step in range(3):
            run.log(loss=1 / (step + 1), step=step)
        run.log({"val/acc": 0.9})
        run.note("fine")
    recorded = only_run()
    assert recorded.outcome is Outcome.SUCCEEDED
    assert recorded.metrics == {"loss": pytest.approx(1 / 3), "val/acc": 0.9}
    assert (recorded.tags, recorded.reason) == (("t",), "to see")
    series = repo.git("show", f"gitexp:series/{recorded.started:%Y-%m}/{run.id[:2]}/{run.id}.csv")
    assert series.splitlines()[0] == "step,time,loss,val/acc"
    assert len(series.splitlines()) == 4
    assert [a.text for a in gitexp.runs()[0].annotations] == ["fine"]


def test_index_is_not_updated_while_others_record(repo: RepoBuilder, tmp_path: Path) -> None:
    gitexp.Tracker().log({"metrics": {"accuracy": 0.80}})
    with gitexp.start() as run:
        run.log(accuracy=0.85)
        gitexp.Tracker().log({"metrics": {"accuracy": 0.70}})
    assert_index_is_true(tmp_path)


def test_a_run_ends_while_another_process_has_the_index(repo: RepoBuilder, tmp_path: Path) -> None:
    for _ in range(2):
        one_run()
    with gitexp.start() as run:
        run.log(accuracy=0.85)
        other = sqlite3.connect(index_file(repo), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    other.close()
    assert tip_of_the_index(repo) != repo.git("rev-parse", "gitexp").strip()
    assert_index_is_true(tmp_path)


def test_what_git_refuses_is_not_in_the_index(repo: RepoBuilder, tmp_path: Path) -> None:
    """The index has it already when git says no."""
    one_run()
    run = gitexp.start()
    hook = repo.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntest $1 != prepared\n")
    hook.chmod(0o755)
    with pytest.raises(GitexpError):
        run.finish()
    hook.unlink()
    assert tip_of_the_index(repo) in repo.git("rev-list", "gitexp").split()
    assert_index_is_true(tmp_path)
    one_run()  # the next run completes it
    assert {entry.run.outcome for entry in gitexp.runs()} == {Outcome.SUCCEEDED}
    assert_index_is_true(tmp_path)


@pytest.mark.parametrize("fault", [ValueError("a bug"), KeyboardInterrupt()])
def test_broken_index_loses_no_run(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: BaseException
) -> None:
    one_run()
    run = gitexp.start()
    run.log(accuracy=0.9)

    def fail(*_args: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(Cache, "_follow", fail)
        if isinstance(fault, Exception):
            run.finish()
        else:
            with pytest.raises(KeyboardInterrupt):
                run.finish()
    assert_index_is_true(tmp_path)
    one_run()
    assert [entry.run.outcome for entry in gitexp.runs()] == [Outcome.SUCCEEDED] * 3
    assert_index_is_true(tmp_path)


def test_run_starts_few_git_processes(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        one_run()
    asked: list[str] = []
    start = GitRunner.open

    def noting(git: GitRunner, *args: str, **options: Any) -> "subprocess.Popen[bytes]":
        asked.append(next(word for word in args if word != "-c" and "=" not in word))
        return start(git, *args, **options)

    monkeypatch.setattr(GitRunner, "open", noting)
    one_run()
    assert asked == [
        *("rev-parse", "config", "cat-file", "status", "update-ref"),  # start
        *("cat-file", "update-ref"),  # seal
    ]


def test_end_of_a_run_is_kept_when_git_cannot_start(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = gitexp.start(maximize=["accuracy"])
    run.log(accuracy=0.9)

    def fail(*_args: object, **_options: object) -> None:
        raise CommandFailed(("git",), -1, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(GitRunner, "open", fail)
        with pytest.raises(GitexpError):
            run.finish()
    with gitexp.start():
        pass  # the next run completes it
    ended = {entry.run.id: entry.run for entry in gitexp.runs()}[run.id]
    assert (ended.outcome, ended.metrics) == (Outcome.SUCCEEDED, {"accuracy": 0.9})


def one_run() -> None:
    with gitexp.start(params={"lr": 0.1}) as run:
        run.log(accuracy=0.9)


def index_file(repo: RepoBuilder) -> Path:
    return repo.path / ".git" / "gitexp" / "index.sqlite"


def tip_of_the_index(repo: RepoBuilder) -> str:
    with closing(sqlite3.connect(index_file(repo))) as conn:
        ((tip,),) = conn.execute("SELECT value FROM meta WHERE name = 'tip'")
    return str(tip)


def assert_index_is_true(tmp_path: Path) -> None:
    repo = Repo.discover()
    (tmp_path / "fresh.sqlite").unlink(missing_ok=True)
    fresh = Cache(repo, "refs/heads/gitexp", path=tmp_path / "fresh.sqlite").newest()
    assert answers(Cache(repo, "refs/heads/gitexp").newest()) == answers(fresh)


def test_another_thread_can_end_a_run(repo: RepoBuilder) -> None:
    gitexp.Tracker().log({"metrics": {"accuracy": 0.80}})
    run = gitexp.start()
    run.log(accuracy=0.85)
    run.note("fine")
    with ThreadPoolExecutor() as others:
        others.submit(run.finish).result()
    assert repo.git("log", "-2", "--format=%s", "gitexp").split(": ")[-1] == (
        "accuracy 0.85 (better than 0.8)"
    )
    assert [len(entry.annotations) for entry in gitexp.runs()] == [1, 0]


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("no"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_exception_makes_a_run_fail(error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)), gitexp.start() as run:
        run.log(loss=1)
        raise error
    recorded = only_run()
    assert recorded.outcome == outcome
    assert recorded.metrics == {"loss": 1}
    assert type(error).__name__ in recorded.output_tail


def test_values_of_other_libraries_are_converted() -> None:
    numpy = pytest.importorskip("numpy")
    with gitexp.start(params={"lr": numpy.float64(0.1), "sizes": (1, 2), "opt": None}) as run:
        run.log(loss=numpy.float32(0.5), n=numpy.int64(3))
        with pytest.raises(InvalidInput, match="cannot record 'x'"):
            run.log(x=object())  # type: ignore[arg-type]
    recorded = only_run()
    assert recorded.params == {"lr": 0.1, "sizes": [1, 2], "opt": "none"}
    assert recorded.metrics == {"loss": 0.5, "n": 3}


def test_numbers_of_fewer_bits_and_arrays_are_recorded_as_they_were_written() -> None:
    numpy = pytest.importorskip("numpy")
    tracker = gitexp.Tracker()
    params = {"lr": numpy.float32(0.1), "layers": numpy.array([64, 32])}
    measured = {"loss": numpy.float32(0.85), "half": numpy.float16(0.3), "one": numpy.array([0.5])}
    tracker.log({"params": params, "metrics": measured})
    (run,) = tracker.history
    assert run.params == {"lr": 0.1, "layers": [64, 32]}
    assert run.metrics == {"loss": 0.85, "half": 0.3, "one": 0.5}


def test_a_table_of_pandas_is_refused_not_taken_for_the_names_of_its_columns() -> None:
    class Frame:
        """What counts of a data frame of pandas."""

        ndim = 2

        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[str]:
            return iter(["lr", "loss"])

    with pytest.raises(InvalidInput, match="cannot record 'grid'"):
        gitexp.Tracker().log({"params": {"grid": Frame()}, "metrics": {"loss": 1.0}})


def test_an_error_in_a_program_shows_its_cause_and_the_way_out() -> None:
    with pytest.raises(GitexpError) as caught:
        gitexp.Tracker().log({"param": {}})
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.endswith(
        "\nbecause: unknown: param\nhint: log({'params': {...}, 'metrics': {...}})\n"
    )


def test_names_are_completed_before_they_are_imported() -> None:
    code = "import gitexp; print(set(gitexp.__all__) <= set(dir(gitexp)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_tracker_under_git_exp_run_uses_its_run(
    python: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    script = (
        "import gitexp\n"
        "with gitexp.start(params={'depth': 3}) as run:\n"
        "    for n in range(3): run.log(acc=n / 2, step=n)\n"
        "print(gitexp.active().id)\n"
    )
    done = python(script, sys.executable, "-m", "gitexp", "run", "-S", "lr=0.1", "--")
    assert done.returncode == 0, done.stderr
    recorded = only_run()
    assert done.stdout.strip() == recorded.id
    assert recorded.params == {"lr": 0.1, "depth": 3}
    assert recorded.metrics == {"acc": 1.0}


def test_open_run_ends_with_its_process(
    python: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    assert python("import gitexp\ngitexp.start().log(a=1)\n").returncode == 0
    assert (only_run().outcome, only_run().metrics) == ("succeeded", {"a": 1})


def test_an_uncaught_exception_is_a_failure(
    python: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    assert python("import gitexp\ngitexp.start().log(a=1)\n1 / 0\n").returncode == 1
    assert (only_run().outcome, only_run().metrics) == ("failed", {"a": 1})


def test_a_forked_child_does_not_end_the_run(
    python: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    script = (
        "import gitexp, os, sys\n"
        "with gitexp.start() as run:\n"
        "    pid = os.fork()\n"
        "    if pid == 0: sys.exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "    run.log(a=1)\n"
    )
    done = python(script)
    assert done.returncode == 0, done.stderr
    assert (only_run().outcome, only_run().metrics) == ("succeeded", {"a": 1})


def test_a_killed_process_leaves_an_interrupted_run(
    python: Callable[..., "subprocess.CompletedProcess[str]"], repo: RepoBuilder
) -> None:
    script = (
        "import gitexp, os, signal\n"
        "run = gitexp.start(params={'lr': 1})\n"
        "for n in range(50): run.log(loss=n, step=n)\n"
        "run.note('the loss rises')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python(script).returncode == -signal.SIGKILL
    listed = subprocess.run(
        [sys.executable, "-m", "gitexp", "list", "--json"],
        cwd=repo.path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
    )
    (shown,) = json.loads(listed.stdout)["runs"]
    assert (shown["outcome"], shown["metrics"]) == ("interrupted", {"loss": 49})
    assert "completed the record" in listed.stderr
    (entry,) = gitexp.runs()
    assert [note.text for note in entry.annotations] == ["the loss rises"]


def test_active_run_has_its_earlier_name_too() -> None:
    assert gitexp.LiveRun is gitexp.ActiveRun


def test_runs_are_queried(tmp_path: Path) -> None:
    for accuracy in (0.7, 0.9, 0.8):
        gitexp.Tracker().log({"metrics": {"accuracy": accuracy}})
    found = gitexp.runs(where="accuracy > 0.75", sort_by="accuracy", limit=5)
    assert [entry.run.metrics["accuracy"] for entry in found] == [0.8, 0.9]
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(NotARepository):
        gitexp.runs(directory=outside)


def test_too_large_record_keeps_the_metrics_that_fit() -> None:
    with gitexp.start() as run:
        run.log({f"metric-{n:06}-{'x' * 180}": n for n in range(8000)})
    (entry,) = gitexp.runs()
    recorded = entry.run
    assert recorded.outcome is Outcome.SUCCEEDED
    assert len(recorded.metrics) == 4000
    assert recorded.warnings == ("the record is full: 4,000 of 8,000 metrics are kept",)


@pytest.mark.parametrize("branch", ["gitexp", "gitexp-code"])
def test_nothing_is_recorded_while_the_branch_of_the_runs_is_checked_out(
    repo: RepoBuilder, branch: str
) -> None:
    with gitexp.start():
        pass
    repo.write("a.txt", "uncommitted code, so that the code is kept")
    with gitexp.start():
        pass
    (repo.path / "a.txt").unlink()
    before = repo.git("for-each-ref")
    repo.git("switch", "--quiet", branch)
    with pytest.raises(Refused, match="cannot record here"):
        gitexp.start()
    assert repo.git("for-each-ref") == before
    assert repo.git("status", "--porcelain") == ""


def test_a_single_text_is_one_tag(repo: RepoBuilder) -> None:
    gitexp.Tracker().log({"metrics": {"accuracy": 0.8}, "tags": "sweep"})
    with gitexp.start(tags="long"):
        pass
    assert {entry.run.tags for entry in gitexp.runs()} == {("sweep",), ("long",)}


def test_an_unknown_outcome_is_refused(repo: RepoBuilder) -> None:
    with pytest.raises(InvalidInput, match="there is no outcome 'fine'"):
        gitexp.Tracker().log({"metrics": {"accuracy": 0.8}, "outcome": "fine"})
