"""Sweeps through the command: what runs, what is reused, what is said, and what stays untouched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Exp

GRID = ("-S", "lr=0.1,0.01", "-S", "depth=2..3")
COMMAND = ("--", "python", "trial.py", "--lr", "{lr}", "--depth", "{depth}")
TRIAL = """\
import os
import sys
from pathlib import Path

named = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate, depth = float(named.get("--lr", 1)), int(named.get("--depth", 1))
Path("written.txt").write_text("by the trial")
seen = Path("data.txt").read_text() if Path("data.txt").exists() else "none"
print(f"in {os.getcwd()} data {seen} code {Path('code.txt').read_text()}")
print(f"METRIC loss={(rate - 0.05) ** 2 + depth / 100:.5f}")
"""


@pytest.fixture
def sweep(exp: Exp) -> Exp:
    exp.repo.commit({"trial.py": TRIAL, "code.txt": "old", ".gitignore": "data.txt\n"})
    return exp


def documents(exp: Exp) -> list[dict[str, Any]]:
    """All runs, oldest first."""
    found = json.loads(exp("list", "--json").out)["runs"]
    return list(reversed(found))


def events(exp: Exp, *args: str, check: int = 0) -> list[dict[str, Any]]:
    """The JSON events of a sweep; ids are as they are."""
    return [json.loads(line) for line in exp("sweep", "--json", *args, check=check).out.split("\n")]


class TestTrials:
    def test_every_point_is_a_run_of_its_own(self, sweep: Exp) -> None:
        done = sweep("sweep", "-j", "2", *GRID, *COMMAND)
        runs = documents(sweep)
        points = {(run["params"]["lr"], run["params"]["depth"]) for run in runs}
        assert points == {(0.1, 2), (0.1, 3), (0.01, 2), (0.01, 3)}
        assert {run["outcome"] for run in runs} == {"succeeded"}
        assert {run["sweep"]["number"] for run in runs} == {1, 2, 3, 4}
        assert len({run["sweep"]["id"] for run in runs}) == 1
        assert all(run["metrics"]["loss"] > 0 for run in runs)
        assert "4 trials, 4 to run" in done.err
        assert "4 results" in done.out
        assert "depth: rank correlation" in done.out

    def test_trials_have_the_uncommitted_code_and_the_user_notices_nothing(
        self, sweep: Exp
    ) -> None:
        top = sweep.repo.path
        (top / "code.txt").write_text("new")
        (top / "data.txt").write_text("mine")
        before = {p: p.stat().st_mtime_ns for p in top.iterdir() if p.name != ".git"}
        status = sweep.repo.git("status", "--porcelain")
        index = (top / ".git" / "index").read_bytes()
        head = sweep.repo.git("rev-parse", "HEAD")
        sweep("sweep", "-j", "2", "--link", "data.txt", *GRID, *COMMAND)
        assert {p: p.stat().st_mtime_ns for p in top.iterdir() if p.name != ".git"} == before
        assert sweep.repo.git("status", "--porcelain") == status
        assert (top / ".git" / "index").read_bytes() == index
        assert sweep.repo.git("rev-parse", "HEAD") == head
        tails = [run["output_tail"] for run in documents(sweep)]
        assert all("code new" in tail and "data mine" in tail for tail in tails)
        assert all(f"in {top}\n" not in tail for tail in tails)
        assert len(sweep.repo.git("worktree", "list").splitlines()) == 1
        assert {run["produced"][0] for run in documents(sweep)} == {"written.txt"}
        assert all(run["code"]["dirty"] for run in documents(sweep))

    def test_a_trial_finds_nothing_of_the_trial_before(self, sweep: Exp) -> None:
        script = "test ! -e left && echo x > left && mkdir -p a/b && echo {n} > trial.py"
        sweep("sweep", "-j", "1", "-S", "n=1..3", "--", "sh", "-c", script)
        assert {run["outcome"] for run in documents(sweep)} == {"succeeded"}
        assert (sweep.repo.path / "trial.py").read_text() == TRIAL

    def test_seeds_are_groups_and_one_look(self, sweep: Exp) -> None:
        done = sweep(
            *("sweep", "-S", "lr=0.1,0.01", "--seeds", "2"),
            *("--", "python", "trial.py", "--lr", "{lr}", "--seed", "{seed}"),
        )
        runs = documents(sweep)
        assert len(runs) == 4
        assert {len([r for r in runs if r["batch"] == run["batch"]]) for run in runs} == {2}
        groups = {
            run["group"]: {r["batch"] for r in runs if r["group"] == run["group"]} for run in runs
        }
        assert len(groups) == 2
        assert all(len(batches) == 1 for batches in groups.values())
        assert "runs" in done.out

    def test_a_trial_that_takes_too_long_is_ended_with_its_children(self, sweep: Exp) -> None:
        script = "sleep 300 & sleep 300; echo {n}"
        sweep("sweep", "--timeout", "0.3", "-S", "n=1", "--", "sh", "-c", script, check=1)
        (run,) = documents(sweep)
        assert run["outcome"] == "timed out"
        assert not marked(f"GITEXP_RUN={run['id']}")

    def test_in_place_runs_in_the_users_own_work_tree(self, sweep: Exp) -> None:
        sweep("sweep", "--in-place", "-S", "lr=0.1,0.2", "--", *COMMAND[1:5])
        assert (sweep.repo.path / "written.txt").exists()
        runs = documents(sweep)
        assert [run["params"]["lr"] for run in runs] == [0.1, 0.2]
        assert [run["sweep"]["number"] for run in runs] == [1, 2]
        assert "2 have a result" in sweep("sweep", "-S", "lr=0.1,0.2", "--", *COMMAND[1:5]).err

    def test_the_first_failures_stop_a_sweep_and_the_last_line_is_shown(self, sweep: Exp) -> None:
        fails = ("--", "sh", "-c", "echo went wrong >&2; exit 3; {n}")
        done = sweep(
            *("sweep", "-j", "1", "--stop-after-failures", "2", "-S", "n=1..5", *fails), check=1
        )
        assert done.err.count("failed (3)") == 2
        assert "went wrong" in done.err
        assert "3 trials did not start" in done.err
        assert "sweep resume" in done.err
        assert len(documents(sweep)) == 2

    def test_a_missing_untracked_file_is_named_with_the_option(self, sweep: Exp) -> None:
        sweep.repo.commit({"reads.py": "print(open('data.txt').read())"})
        (sweep.repo.path / "data.txt").write_text("mine")
        command = ("-S", "n=1", "--", "python", "reads.py", "{n}")
        done = sweep("sweep", *command, check=1)
        assert "--link data.txt --retry-failed" in done.err
        sweep("sweep", "--link", "data.txt", "--retry-failed", *command)
        assert "mine" in documents(sweep)[-1]["output_tail"]

    def test_files_that_the_arguments_name_are_there(self, sweep: Exp) -> None:
        (sweep.repo.path / "data.txt").write_text("mine")
        sweep("sweep", "-S", "n=1,2", "--", "python", "trial.py", "--in", "data.txt", "--n", "{n}")
        assert all("data mine" in run["output_tail"] for run in documents(sweep))
        (sweep.repo.path / "data.txt").write_text("other")
        command = ("-S", "n=1,2", "--", "python", "trial.py", "--in", "data.txt", "--n", "{n}")
        assert "2 trials, 2 to run" in sweep("sweep", *command).err


class TestReuse:
    def test_a_larger_grid_runs_only_what_is_new(self, sweep: Exp) -> None:
        sweep("sweep", "-j", "2", "-S", "lr=0.1,0.01", "-S", "depth=2..3", *COMMAND)
        larger = ("-S", "lr=0.1,0.01,0.2", "-S", "depth=2..4", *COMMAND)
        assert "9 trials, 5 to run, 4 have a result" in sweep("sweep", "-j", "2", *larger).err
        assert len(documents(sweep)) == 9
        again = events(sweep, *larger)
        assert [event["event"] for event in again] == ["plan", "done"]
        assert again[-1]["results"] == 9
        sweep.repo.commit({"README.md": "words"}, "amended")
        assert "0 to run" in sweep("sweep", *larger).err
        sweep.repo.commit({"code.txt": "edited"}, "another code")
        assert "9 to run" not in sweep("sweep", "--dry-run", *larger).err
        assert "9 new" in sweep("sweep", "--dry-run", *larger).out

    def test_a_run_by_hand_is_reused_and_a_discarded_one_is_left_out(self, sweep: Exp) -> None:
        sweep("run", "-q", "-S", "lr=0.1", "-S", "depth=2", *COMMAND)
        sweep("run", "-q", "-S", "lr=0.1", "-S", "depth=3", *COMMAND)
        sweep("decide", "last", "discard", "-m", "too deep")
        dry = sweep("sweep", "--dry-run", *GRID, *COMMAND).out
        assert "2 new, 1 has a result, 1 discarded" in dry
        sweep("sweep", *GRID, *COMMAND)
        assert len(documents(sweep)) == 4

    def test_failed_trials_run_again_only_when_asked(self, sweep: Exp) -> None:
        command = ("-S", "n=1,2", "--", "sh", "-c", "exit {n}")
        sweep("sweep", *command, check=1)
        done = sweep("sweep", *command, check=1)
        assert "2 results failed; `--retry-failed`" in done.err
        assert len(documents(sweep)) == 2
        sweep("sweep", "--retry-failed", *command, check=1)
        assert [run["sweep"]["attempts"] for run in documents(sweep)] == [1, 1, 2, 2]

    def test_resume_has_the_code_that_the_sweep_began_with(self, sweep: Exp) -> None:
        (sweep.repo.path / "code.txt").write_text("of the sweep")
        command = ("-S", "lr=0.1,0.2,0.3", "--", *COMMAND[1:5])
        sweep("sweep", "-j", "1", "--max-time", "0.01s", *command, check=1)
        count = len(documents(sweep))
        assert count < 3
        sweep.repo.commit({"code.txt": "later"}, "another code")
        sweep("sweep", "resume")
        runs = documents(sweep)
        assert len(runs) == 3
        assert all("code of the sweep" in run["output_tail"] for run in runs)
        assert len({run["sweep"]["id"] for run in runs}) == 1

    def test_resume_has_the_parameter_files_that_the_sweep_began_with(self, sweep: Exp) -> None:
        sweep.repo.write("params.toml", "batch = 8\n")
        command = ("-S", "n=1,2,3", "--", "cat", "params.toml")
        sweep("sweep", "-j", "1", "--max-time", "0.01s", *command, check=1)
        assert len(documents(sweep)) < 3
        sweep.repo.write("params.toml", "batch = 16\n")
        sweep("sweep", "resume")
        runs = documents(sweep)
        assert [run["params"]["batch"] for run in runs] == [8, 8, 8]
        assert ["batch = 8" in run["output_tail"] for run in runs] == [True] * 3
        sweep("sweep", *command)
        assert len({run["sweep"]["id"] for run in documents(sweep)}) == 2


class TestSaid:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ((), "nothing to vary"),
            (("-S", "lr=0.0..0.5"), "no end"),
            (("-S", "lr="), "there is no value"),
            (("-S", "lr=1..9:0"), "a step is a number above zero"),
            (("-S", "lr=1,2", "-w", "lr > 5"), "empty"),
            (("-S", "lr=1", "-w", "width > 5"), "does not vary"),
            (("-S", "lr=1", "-S", "lr=2"), "given twice"),
            (("-S", "lr=1", "--zip", "lr,depth"), "-S gives it no values"),
            (("-S", "lr=1", "--minimize", "a", "--maximize", "b"), "contradict"),
            (("-S", "lr=1", "--in-place", "-j", "2"), "contradict"),
            (("-S", "lr=1..1000000000"), "1,000,000,000"),
            (("-S", "lr=1", "--random", "0"), "at least 1"),
        ],
    )
    def test_a_space_that_makes_no_sweep_ends_with_129(
        self, sweep: Exp, options: tuple[str, ...], words: str
    ) -> None:
        done = sweep("sweep", *options, "--", "python", "trial.py", "--lr", "{lr}", check=129)
        assert words in done.err
        assert not sweep.repo.git("for-each-ref", "refs/heads/gitexp")

    def test_a_command_that_cannot_start_is_told_before_anything_runs(self, sweep: Exp) -> None:
        done = sweep("sweep", "-S", "lr=1,2", "--", "no-such-program", "{lr}", check=128)
        assert "no folder of PATH has it" in done.err
        assert "there is no sweep yet" in sweep("sweep", "list").err

    def test_a_secret_is_neither_varied_nor_recorded(self, sweep: Exp) -> None:
        for options in (("-S", "api_key=abc,def"), ("-S", "n=ghp_" + "a1B2" * 9)):
            done = sweep("sweep", *options, "--", "true", "{n}", check=128)
            assert "looks like a secret" in done.err
        done = sweep("sweep", "-S", "n=1", "--", "true", "--token", "abc", "{n}", check=128)
        assert "held a secret" in done.err
        assert not sweep.repo.git("for-each-ref", "refs/heads/gitexp")

    def test_no_metric_where_one_was_asked_for_ends_with_125(self, sweep: Exp) -> None:
        options = ("-S", "n=1", "--minimize", "wer")
        done = sweep("sweep", *options, "--", "sh", "-c", "echo {n}", check=125)
        assert "no trial has the metric 'wer'" in done.err

    def test_fewer_points_than_asked_for_are_told_with_the_kind_of_the_range(
        self, sweep: Exp
    ) -> None:
        command = ("sh", "-c", "echo METRIC loss={n}")
        seeded = ("sh", "-c", "echo METRIC loss={n} {seed}")
        done = sweep("sweep", "-S", "n=0..1", "--random", "5", "--seeds", "2", "--", *seeded)
        assert "the space has 2 points, fewer than the 5 asked for" in done.err
        assert "n takes whole numbers; `-S n=0.0..1.0` takes any number" in done.err
        done = sweep("sweep", "-S", "n=0..9", "--random", "2", "--", *command)
        assert "the space has" not in done.err

    def test_a_metric_that_no_trial_has_is_told_beside_those_that_they_have(
        self, sweep: Exp
    ) -> None:
        command = ("sh", "-c", "echo METRIC loss={n}")
        done = sweep("sweep", "-S", "n=1", "--minimize", "los", "--", *command, check=125)
        assert "no trial has the metric los; they have loss" in done.out
        assert "printed or logged" not in done.out
        done = sweep("sweep", "-S", "n=nan", "--minimize", "loss", "--", *command, check=125)
        assert "no trial has a finite number for loss" in done.out

    def test_a_matrix_for_ci_has_the_new_points_as_commands(self, sweep: Exp) -> None:
        sweep("run", "-q", "-S", "lr=0.1", "-S", "depth=2", *COMMAND)
        done = sweep("sweep", "--print-matrix", *GRID, *COMMAND)
        jobs = json.loads(done.out)["include"]
        assert [job["params"] for job in jobs] == [
            {"lr": 0.1, "depth": 3},
            {"lr": 0.01, "depth": 2},
            {"lr": 0.01, "depth": 3},
        ]
        assert jobs[0]["command"].startswith("git exp run -S lr=0.1 -S depth=3 -- python trial.py")

    def test_events_tell_the_plan_each_trial_and_the_end(self, sweep: Exp) -> None:
        found = events(sweep, "-j", "1", "--prefix-output", "-S", "lr=0.1,0.01", *COMMAND[:5])
        kinds = [event["event"] for event in found]
        assert kinds == ["plan", *(["start", "output", "output", "end"] * 2), "done"]
        assert found[-1]["metric"] == "loss"
        assert found[-1]["best"][0]["params"] == {"lr": 0.01}

    def test_list_show_status_and_rm(self, sweep: Exp) -> None:
        sweep("sweep", "-m", "a look around", *GRID, *COMMAND)
        assert "a look around" in sweep("sweep", "list").out
        shown = sweep("sweep", "show").out
        assert "4 succeeded" in shown
        assert "depth: rank correlation" in shown
        assert "4 succeeded; not running here" in sweep("sweep", "status").out
        (listed,) = json.loads(sweep("sweep", "list", "--json").out)["sweeps"]
        assert len(listed["runs"]) == 4
        where = f'sweep == "{listed["id"]}"'
        assert len(json.loads(sweep("list", "--json", "-w", where).out)["runs"]) == 4
        sweep("run", "-q", "-S", "lr=9", "-S", "depth=1", *COMMAND)
        brief = json.loads(sweep("brief", "--json", "--sweep", "last").out)
        assert brief["total"] == 4
        short = str(listed["id"])[:7]
        assert json.loads(sweep("brief", "--json", "--sweep", short).out)["total"] == 4
        assert "there is no sweep" in sweep("plot", "loss", "--sweep", "f" * 7, check=128).err
        sweep("sweep", "rm", "--yes")
        assert [run["params"]["lr"] for run in documents(sweep)] == [9]
        assert "there is no sweep yet" in sweep("sweep", "list").err


# --- signals and deaths -----------------------------------------------------------------------


def marked(marker: str) -> list[int]:
    """The processes with a marker in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def start(exp: Exp, *args: str) -> "subprocess.Popen[str]":
    """A sweep in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitexp", "sweep", *args],
        cwd=exp.repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(condition: Any, seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


WAITING = (
    *("-j", "2", "-S", "n=1..4", "--", "sh", "-c"),
    'echo {n} >> "$COUNT"; while ! test -e "$GO"; do sleep 0.05; done; echo METRIC loss={n}',
)


@pytest.fixture
def held(sweep: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exp:
    """Trials that wait for a file, and write down that they started."""
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    monkeypatch.setenv("GO", str(tmp_path / "go"))
    sweep.repo.commit({"unique.txt": str(tmp_path)})  # or another test has the same sweep
    return sweep


def started(tmp_path: Path) -> int:
    path = tmp_path / "count"
    return len(path.read_text().split()) if path.exists() else 0


class TestSignals:
    def test_the_first_ctrl_c_lets_the_running_trials_end(self, held: Exp, tmp_path: Path) -> None:
        process = start(held, *WAITING)
        until(lambda: started(tmp_path) == 2)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.3)
        (tmp_path / "go").touch()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert "nothing new starts" in output
        assert [run["outcome"] for run in documents(held)] == ["succeeded"] * 2
        held("sweep", "resume")
        assert started(tmp_path) == 4
        assert [run["outcome"] for run in documents(held)] == ["succeeded"] * 4

    def test_the_second_ctrl_c_stops_them(self, held: Exp, tmp_path: Path) -> None:
        process = start(held, *WAITING)
        until(lambda: started(tmp_path) == 2)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert [run["outcome"] for run in documents(held)] == ["interrupted"] * 2, output
        sweep_id = documents(held)[0]["sweep"]["id"]
        assert not marked(f"GITEXP_SWEEP={sweep_id}")

    def test_no_second_process_runs_a_sweep_and_stop_now_ends_it(
        self, held: Exp, tmp_path: Path
    ) -> None:
        process = start(held, *WAITING)
        until(lambda: started(tmp_path) == 2)
        assert "is running already" in held("sweep", *WAITING, check=128).err
        assert "runs it" in held("sweep", "status").out
        held("sweep", "stop", "--now")
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert "does not run on this machine" in held("sweep", "stop", check=128).err


class TestDeaths:
    def test_a_killed_sweep_leaves_no_process_and_resume_loses_nothing(
        self, held: Exp, tmp_path: Path
    ) -> None:
        process = start(held, *WAITING)
        until(lambda: started(tmp_path) == 2)
        sweep_id = held.repo.path / ".git" / "gitexp" / "sweeps"
        (name,) = (path.stem for path in sweep_id.glob("*.toml"))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        until(lambda: not marked(f"GITEXP_SWEEP={name}"))
        (tmp_path / "go").touch()
        held("sweep", "resume")
        ended = [run for run in documents(held) if run["outcome"] == "succeeded"]
        assert sorted(run["params"]["n"] for run in ended) == [1, 2, 3, 4]
        assert len(held.repo.git("worktree", "list").splitlines()) == 1
        assert "0 to run" in held("sweep", *WAITING).err

    def test_a_trial_that_was_asked_to_end_runs_again(
        self, sweep: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = 'test -e "$MARK" && exit 0; touch "$MARK"; kill -TERM $$; : {n}'
        monkeypatch.setenv("MARK", str(sweep.repo.path.parent / "mark"))
        sweep("sweep", "-S", "n=1", "--", "sh", "-c", script, check=1)
        sweep("sweep", "resume")
        assert [run["outcome"] for run in documents(sweep)] == ["interrupted", "succeeded"]
        assert [run["sweep"]["attempts"] for run in documents(sweep)] == [1, 2]

    def test_a_killed_trial_is_recorded_and_the_others_go_on(
        self, held: Exp, tmp_path: Path
    ) -> None:
        process = start(held, *WAITING)
        until(lambda: started(tmp_path) == 2)
        runs = [path.stem for path in (held.repo.path / ".git/gitexp/journal").glob("*.journal")]
        leader = min(marked(f"GITEXP_RUN={runs[0]}"))
        os.kill(leader, signal.SIGKILL)
        (tmp_path / "go").touch()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1, output
        outcomes = sorted(run["outcome"] for run in documents(held))
        assert outcomes == ["failed", "succeeded", "succeeded", "succeeded"]

    def test_the_same_sweep_in_another_clone_is_left_alone(
        self, held: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held.repo.git("clone", "--quiet", str(held.repo.path), str(tmp_path / "clone"))
        process = start(held, *WAITING)
        until(lambda: started(tmp_path) == 2)
        monkeypatch.setenv("GO", str(tmp_path))
        monkeypatch.chdir(tmp_path / "clone")
        held("sweep", "-q", *WAITING)  # its own trials do not wait
        (tmp_path / "go").touch()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert [run["outcome"] for run in documents(held)] == ["succeeded"] * 4


def test_two_clones_that_continue_one_sweep_merge(
    sweep: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, other = tmp_path / "remote.git", tmp_path / "other"
    sweep.repo.git("init", "--quiet", "--bare", str(remote))
    sweep.repo.git("remote", "add", "origin", str(remote))
    sweep.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    command = ("-S", "n=1..3", "--", "sh", "-c", "echo METRIC loss={n}; exit $FAILS")
    monkeypatch.setenv("FAILS", "1")
    sweep("sweep", "-j", "1", "--stop-after-failures", "1", *command, check=1)
    sweep("push", "origin")
    sweep.repo.git("clone", "--quiet", "-b", "main", str(remote), str(other))
    monkeypatch.setenv("FAILS", "0")
    sweep("sweep", "resume", "--retry-failed")
    monkeypatch.chdir(other)
    for name, value in (("user.name", "B"), ("user.email", "b@example.org")):
        subprocess.run(["git", "config", name, value], cwd=other, check=True)
    sweep("fetch", "origin")
    sweep("sweep", "resume", "--retry-failed")
    sweep("sync", "origin")
    monkeypatch.chdir(sweep.repo.path)
    sweep("sync", "origin")
    monkeypatch.chdir(other)
    sweep("sync", "origin")
    tips = {
        subprocess.run(
            ["git", "rev-parse", "gitexp^{tree}"], cwd=place, capture_output=True, check=True
        ).stdout
        for place in (sweep.repo.path, other)
    }
    assert len(tips) == 1
    runs = documents(sweep)
    assert len(runs) == 7
    assert len({run["sweep"]["id"] for run in runs}) == 1
    assert "0 to run, 3 have a result" in sweep("sweep", *command).err
    assert len(json.loads(sweep("sweep", "list", "--json").out)["sweeps"]) == 1
