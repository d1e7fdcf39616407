"""doctor, recover, remove, gc, config and init as a user types them."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest

from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.system import clock
from gitexp.cli.app import run as run_command
from gitexp.core.model.run import Outcome, Run
from gitexp.core.schema.layout import run_path
from gitexp.core.schema.toml_codec import encode_run
from gitexp.storage.settings.options import OPTIONS
from gitexp.storage.workspace import Workspace
from tests.conftest import MakeRepo, RepoBuilder


@dataclass(frozen=True)
class Told:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str


class Exp(Protocol):
    def __call__(self, *args: str) -> Told: ...


@pytest.fixture
def exp(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Exp:
    """Runs a command in the repository."""
    monkeypatch.chdir(repo.path)

    def call(*args: str) -> Told:
        capsys.readouterr()
        code = run_command(args)
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return call


@pytest.fixture
def record(exp: Exp, repo: RepoBuilder) -> Callable[[], Run]:
    """Record a run with a metric. Return the run."""

    def make(name: str = "first") -> Run:
        done = exp("record", "-n", name, "-M", "accuracy=0.5")
        assert done.code == 0, done.err
        workspace = Workspace.open(repo.path)
        return workspace.index.entry(workspace.index.newest(1)[0]).run

    return make


def begin(repo: RepoBuilder, run: Run, *, by_hand: bool = True) -> Run:
    """Return an open copy of a run that the branch does not have."""
    opened = replace(run, id=clock.new_run_id(), name="open-run", outcome=Outcome.RUNNING)
    folder = Workspace.open(repo.path).journals
    Journal.create(folder, opened.id, encode_run(opened), durable=False, by_hand=by_hand).close()
    return opened


def die(repo: RepoBuilder, run: Run) -> Run:
    """Return a run whose process has ended."""
    opened = replace(run, id=clock.new_run_id(), name="dead-run", outcome=Outcome.RUNNING)
    source = repo.path.parent / "record"
    source.write_bytes(encode_run(opened))
    program = (
        "from pathlib import Path; import sys; from gitexp.adapters.journal.journal import Journal;"
        "Journal.create(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_bytes(),"
        " durable=False)"
    )
    folder = Workspace.open(repo.path).journals
    argv = [sys.executable, "-c", program, str(folder), opened.id, str(source)]
    subprocess.run(argv, check=True)
    return opened


def outcome(repo: RepoBuilder, run: Run) -> Outcome:
    return Workspace.open(repo.path).index.entry(run.id).run.outcome


def break_record(repo: RepoBuilder, run: Run) -> None:
    oid = repo.git("rev-parse", f"gitexp:{run_path(run.id, run.started)}")
    path = repo.path / ".git/objects" / oid[:2] / oid[2:]
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(b"")


Record = Callable[..., Run]


class TestDoctor:
    def test_doctor_without_fault_exits_with_0(self, exp: Exp, record: Record) -> None:
        record()
        told = exp("doctor")
        assert (told.code, told.err) == (0, "all is well\n")
        lines = told.out.splitlines()
        assert all(line.startswith("ok ") for line in lines)
        assert "ok       records         1 run, each where it belongs" in lines

    def test_doctor_exits_with_1_for_a_damaged_record(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        run = record()
        break_record(repo, run)
        told = exp("doctor")
        assert told.code == 1
        assert run.id[:7] in told.out
        assert "hint: `git exp doctor --fix`" in told.out
        assert "1 fault" in told.err

    def test_doctor_exits_with_125_for_an_impossible_check(
        self, exp: Exp, repo: RepoBuilder
    ) -> None:
        repo.git("checkout", "--quiet", "--orphan", "gitexp")
        repo.commit({"format.toml": 'format = 99\ntool = "gitexp"\n'})
        repo.git("checkout", "--quiet", "main")
        told = exp("doctor")
        assert told.code == 125
        assert "1 thing that could not be checked" in told.err

    def test_doctor_exits_with_0_for_a_warning(self, exp: Exp, repo: RepoBuilder) -> None:
        repo.git("config", "exp.brnach", "x")
        told = exp("doctor")
        assert told.code == 0
        assert told.err.splitlines()[-1] == "1 warning"

    def test_json_holds_every_finding(self, exp: Exp, record: Record, repo: RepoBuilder) -> None:
        run = record()
        break_record(repo, run)
        told = exp("doctor", "--json")
        document = json.loads(told.out)
        assert told.code == 1
        assert (document["schema"], document["well"]) == (1, False)
        found = {f["check"]: f for f in document["findings"]}
        assert found["objects"]["runs"] == [run.id]
        assert found["objects"]["fixable"] is True
        assert found["git"]["level"] == "ok"

    def test_fix_reports_its_changes_and_checks_again(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        record()
        repo.git("branch", "-D", "gitexp-code")
        assert exp("doctor").code == 1
        told = exp("doctor", "--fix")
        assert told.code == 0
        assert told.err == "kept 1 code state on branch 'gitexp-code'\nall is well\n"
        assert exp("doctor").code == 0

    def test_fix_exits_with_1_for_a_fault_it_cannot_fix(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        break_record(repo, record())
        told = exp("doctor", "--fix")
        assert told.code == 1
        assert "there is no remote to fetch from" in told.err
        assert "warning: some faults could not be fixed" in told.err

    def test_doctor_does_not_complete_runs(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        run = die(repo, record())
        assert exp("doctor").code == 1
        assert exp("doctor").code == 1
        told = exp("doctor", "--fix")
        assert told.code == 0
        assert outcome(repo, run) is Outcome.INTERRUPTED

    def test_doctor_escapes_text_of_records(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        run = record("evil\x1b]0;x\x07")
        break_record(repo, run)
        told = exp("doctor")
        assert "\x1b" not in told.out + told.err

    def test_doctor_works_without_a_commit(
        self, exp: Exp, make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(make_repo("empty", empty=True).path)
        assert exp("doctor").code == 0


class TestRecover:
    def test_recover_without_open_runs(self, exp: Exp) -> None:
        told = exp("recover")
        assert (told.code, told.out, told.err) == (0, "", "there is nothing to recover\n")

    def test_recover_completes_a_dead_run(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        run = die(repo, record())
        told = exp("recover", "--dry-run")
        assert told.out == f"would complete run {run.id[:7]} dead-run: its process is gone\n"
        told = exp("recover")
        assert told.out == f"completed the record of run {run.id[:7]} dead-run: interrupted\n"
        assert outcome(repo, run) is Outcome.INTERRUPTED

    def test_recover_lists_a_manual_run_and_seals_it_only_by_force(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        run = begin(repo, record())
        told = exp("recover")
        assert told.code == 0
        assert f"run {run.id[:7]} open-run goes on: begun by hand" in told.err
        told = exp("recover", run.id[:7])
        assert told.code == 128
        assert "--force` seals it as interrupted" in told.err
        told = exp("recover", "open-run", "--force")
        assert told.code == 128, "there is no terminal to ask on"
        assert "`--yes` goes on without asking" in told.err
        told = exp("recover", "open-run", "--force", "--yes")
        assert told.code == 0
        assert outcome(repo, run) is Outcome.INTERRUPTED

    def test_recover_of_a_complete_run_changes_nothing(self, exp: Exp, record: Record) -> None:
        run = record()
        told = exp("recover", run.id[:7])
        assert (told.code, told.err) == (0, f"run {run.id[:7]} first is complete: succeeded\n")

    def test_all_runs_cannot_be_forced_at_once(self, exp: Exp) -> None:
        assert exp("recover", "--force").code == 128

    def test_a_damaged_journal_is_moved_aside(self, exp: Exp, repo: RepoBuilder) -> None:
        folder = repo.path / ".git/gitexp/journal"
        folder.mkdir(parents=True)
        (folder / f"{'ab' * 8}.journal").write_text("rubbish\n")
        assert "would move aside" in exp("recover", "--dry-run").out
        assert "moved aside" in exp("recover").err
        assert (folder / "damaged" / f"{'ab' * 8}.journal").exists()


class TestRemove:
    def test_dry_run_changes_nothing(self, exp: Exp, record: Record, repo: RepoBuilder) -> None:
        run = record()
        before = repo.git("rev-parse", "gitexp")
        told = exp("remove", "last", "--dry-run")
        assert told.out == f"would remove {run.id[:7]} first (succeeded): 1 file\n"
        assert repo.git("rev-parse", "gitexp") == before

    def test_it_asks_first(self, exp: Exp, record: Record, repo: RepoBuilder) -> None:
        record()
        told = exp("remove", "last")
        assert told.code == 128
        assert "`--yes` goes on without asking" in told.err
        assert told.out == ""

    def test_remove_removes_several_runs_and_names_the_history(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        record("one"), record("two"), record("three")
        told = exp("remove", "one", "three", "-y")
        assert told.code == 0
        assert len(told.out.splitlines()) == 2
        assert "the history still holds the records (`git log -p gitexp`)" in told.err
        assert re.findall(r"\btwo\b", exp("list").out) == ["two"]
        assert exp("doctor").code == 0

    def test_rm_is_an_alias_of_remove(self, exp: Exp, record: Record) -> None:
        record()
        assert exp("rm", "last", "-y").code == 0

    def test_remove_refuses_an_open_run(self, exp: Exp) -> None:
        started = exp("start")
        assert started.code == 0, started.err
        told = exp("remove", started.out.strip(), "-y")
        assert told.code == 128
        assert "is going on" in told.err
        assert exp("remove", started.out.strip(), "-y", "--force").code == 0
        assert exp("doctor").code == 0

    def test_remove_works_for_a_run_with_lost_code(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        repo.commit({"train.py": "print(3)\n"})
        run = record()
        repo.git("checkout", "--quiet", "--detach", "HEAD~1")
        repo.git("branch", "-D", "main", "gitexp-code")
        repo.git("reflog", "expire", "--expire=now", "--all")
        repo.git("gc", "--quiet", "--prune=now")
        assert exp("doctor").code == 1
        told = exp("remove", run.id[:7], "-y")
        assert told.code == 0, told.err


class TestGc:
    def test_gc_without_leftovers(self, exp: Exp, record: Record) -> None:
        record()
        told = exp("gc")
        assert (told.code, told.out, told.err) == (0, "", "there is nothing to clean up\n")

    def test_gc_deletes_old_files(self, exp: Exp, record: Record, repo: RepoBuilder) -> None:
        record()
        left = repo.path / ".git/gitexp/tmp/index-old"
        left.mkdir(parents=True)
        os.utime(left, (0, 0))
        assert exp("gc", "--dry-run").out == f"would remove '{left}'\n"
        assert left.exists()
        assert exp("gc").out == f"removed '{left}'\n"
        assert not left.exists()

    def test_old_damaged_journals_are_listed_and_kept(self, exp: Exp, repo: RepoBuilder) -> None:
        damaged = repo.path / ".git/gitexp/journal/damaged" / f"{'ab' * 8}.journal"
        damaged.parent.mkdir(parents=True)
        damaged.write_text("x")
        os.utime(damaged, (0, 0))
        assert f"the damaged journal '{damaged}' is older than 30 days" in exp("gc").err
        assert damaged.exists()

    def test_gc_rebuilds_the_index_on_request(
        self, exp: Exp, record: Record, repo: RepoBuilder
    ) -> None:
        record()
        path = repo.path / ".git/gitexp/index.sqlite"
        before = path.stat().st_mtime_ns
        assert exp("gc", "--rebuild-index").out == "rebuilt the run index: 1 run\n"
        assert path.stat().st_mtime_ns > before


class TestConfig:
    def test_every_setting_is_listed(self, exp: Exp) -> None:
        told = exp("config")
        assert told.code == 0
        assert [line.split()[0] for line in told.out.splitlines()[1:]] == [o.name for o in OPTIONS]

    def test_config_shows_origins(
        self, exp: Exp, repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repo.write("gitexp.toml", 'metric = "loss"\nrepeat = "warn"\n[metrics.loss]\ngate = 0.5\n')
        repo.git("config", "exp.repeat", "skip")
        monkeypatch.setenv("GITEXP_PUSH_TIMEOUT", "5")
        found = json.loads(exp("config", "--json").out)
        settings = found["settings"]
        assert (settings["metric"]["value"], settings["metric"]["origin"]) == (
            "loss",
            "gitexp.toml",
        )
        assert settings["repeat"]["value"] == "skip"
        assert settings["repeat"]["origin"] == "git config (local)"
        assert settings["push-timeout"]["origin"] == "environment GITEXP_PUSH_TIMEOUT"
        assert settings["branch"]["origin"] == "default"
        assert found["metrics"] == {"loss": {"gate": 0.5}}
        assert re.search(r"^loss +0\.5$", exp("config").out, re.MULTILINE)

    def test_an_unknown_key_is_warned_about(self, exp: Exp, repo: RepoBuilder) -> None:
        repo.git("config", "exp.metricFiles", "m.json")
        assert "did you mean 'exp.metricsFiles'" in exp("config").err

    @pytest.mark.parametrize("name", ["push-timeout", "exp.pushTimeout", "pushtimeout"])
    def test_config_shows_one_setting_in_full(self, exp: Exp, name: str) -> None:
        told = exp("config", name)
        assert told.code == 0
        assert told.out.startswith("push-timeout = 60\nfrom: default\n")
        assert "git config exp.pushTimeout VALUE" in told.out

    @pytest.mark.parametrize("value", ["nan", "inf", "0", "-5", "true", "soon"])
    def test_a_time_limit_is_a_number_above_0(
        self, exp: Exp, repo: RepoBuilder, value: str
    ) -> None:
        repo.git("config", "exp.pushTimeout", value)
        assert "exp.pushTimeout" in exp("list").err

    def test_config_of_an_unknown_setting_is_an_error(self, exp: Exp) -> None:
        told = exp("config", "push-timeot")
        assert told.code == 128
        assert "did you mean `push-timeout`" in told.err


class TestInit:
    def test_init_says_what_it_did_and_what_comes_next(self, exp: Exp, repo: RepoBuilder) -> None:
        told = exp("init")
        assert (told.code, told.out) == (0, "")
        assert told.err.splitlines() == [
            "made branch 'gitexp' for the runs",
            "next: `git exp run -- CMD` records the first run",
        ]
        assert repo.git("status", "--porcelain") == ""
        assert repo.git("symbolic-ref", "HEAD") == "refs/heads/main"

    def test_second_init_changes_nothing(self, exp: Exp, repo: RepoBuilder) -> None:
        exp("init")
        before = repo.git("for-each-ref")
        assert "branch 'gitexp' is there, with 0 runs" in exp("init").err
        assert repo.git("for-each-ref") == before

    def test_init_in_a_repository_without_a_commit(
        self, exp: Exp, make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        empty = make_repo("empty", empty=True)
        monkeypatch.chdir(empty.path)
        told = exp("init")
        assert told.code == 0
        assert "next: commit your code" in told.err
        assert empty.git("for-each-ref", "--format=%(refname)") == "refs/heads/gitexp"

    def test_init_writes_settings_and_installs_hooks(self, exp: Exp, repo: RepoBuilder) -> None:
        told = exp("init", "--settings", "--hooks")
        assert told.code == 0, told.err
        assert "wrote gitexp.toml" in told.err
        assert (repo.path / "gitexp.toml").read_text().startswith("#")
        assert (repo.path / ".git/hooks/pre-push").exists()
        assert "left unchanged: gitexp.toml" in exp("init", "--settings").err

    def test_a_foreign_branch_is_refused(self, exp: Exp, repo: RepoBuilder) -> None:
        repo.git("branch", "gitexp")
        told = exp("init")
        assert told.code == 128
        assert "git config exp.branch NAME" in told.err

    def test_a_clone_gets_the_runs_of_its_remote(
        self,
        exp: Exp,
        record: Record,
        repo: RepoBuilder,
        make_repo: MakeRepo,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        record()
        hub = make_repo("hub", bare=True)
        repo.git("push", "--quiet", str(hub.path), "main", "gitexp", "gitexp-code")
        repo.git("clone", "--quiet", str(hub.path), str(tmp_path / "second"))
        monkeypatch.chdir(tmp_path / "second")
        told = exp("init")
        assert "fetched branch 'gitexp' with 1 run from 'origin'" in told.err
        assert exp("doctor").code == 0
