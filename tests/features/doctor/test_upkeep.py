"""Doctor, fixes, cleanup, removal and init on real, damaged repositories."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from gitexp.adapters.git.steps import Identity, NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.git.worktree import SnapshotRules, add_worktree, take_snapshot
from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.journal.liveness import Liveness
from gitexp.adapters.system import clock
from gitexp.core.errors import NotFound, Refused
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import AnnotationKind, Code, Origin, Outcome, Run, Series, Table
from gitexp.core.schema.layout import annotation_path, pending_ref, run_path, series_path
from gitexp.core.schema.root_files import CODE_IDENTITY, FORMAT_FILE
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.doctor.checks import CHECKS, run_checks
from gitexp.features.doctor.cleanup import (
    delete_leftovers,
    drop_pins,
    find_done_pins,
    find_leftovers,
    pack,
)
from gitexp.features.doctor.findings import Diagnosis, Finding, Fix, Level
from gitexp.features.doctor.fixes import _FIXES, apply_fixes
from gitexp.features.doctor.init import init_branch, write_settings
from gitexp.features.execution.recover import recover
from gitexp.features.recording.made_here import mark_recorded_here
from gitexp.features.recording.open_runs import list_open_runs
from gitexp.features.recording.record import annotate
from gitexp.features.recording.remove import give_up, plan_removal, remove
from gitexp.features.sync import hook_install
from gitexp.features.sync.sync import fetch_runs, push_runs
from gitexp.storage.branch.events import sealed, started
from gitexp.storage.workspace import Workspace
from tests.conftest import MakeRepo, RepoBuilder, some_daily

PACKAGES: Table = {"numpy": "2.1.0"}
DIGEST = "d" * 64
RULES = SnapshotRules(1 << 20, 1 << 20)
ADA = Identity("Ada", "ada@example.org")


class Lab:
    """A repository with runs, and the doctor for it."""

    def __init__(self, repo: RepoBuilder) -> None:
        self.repo = repo

    @property
    def workspace(self) -> Workspace:
        """Open the repository again, as the next command does."""
        return Workspace.open(self.repo.path)

    @property
    def git_dir(self) -> Path:
        return self.repo.path / ".git"

    def build(self, *, dirty: bool = False, outcome: Outcome = Outcome.SUCCEEDED) -> Run:
        """Return an unrecorded run of the current files."""
        workspace = self.workspace
        run_id = clock.new_run_id()
        if dirty:
            self.repo.write("train.py", f"print('{run_id}')\n")
        found = take_snapshot(workspace.repo, RULES, identity=CODE_IDENTITY, durable=False)
        if found.snapshot:
            workspace.repo.update_ref(pending_ref(run_id), found.snapshot, workspace.repo.null, "x")
        self.repo.git("checkout", "--quiet", "--", "train.py", check=False)
        return Run(
            id=run_id,
            name=f"run-{run_id[:4]}",
            outcome=outcome,
            clock=workspace.index.max_clock() + 1,
            started=clock.now(),
            author="Ada <ada@example.org>",
            origin=Origin.RUN,
            code=Code(
                commit=found.commit,
                tree=found.tree,
                dirty=found.snapshot is not None,
                snapshot=found.snapshot,
            ),
            metrics={"accuracy": 0.5},
            environment={"packages": DIGEST},
        )

    def write(self, *runs: Run) -> None:
        workspace = self.workspace
        series: Series = [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}]
        events = [
            sealed(run, series, "x", PACKAGES) if run.is_sealed else started(run, PACKAGES)
            for run in runs
        ]
        with workspace.branch.transaction(ADA, clock.now()) as transaction:
            transaction.add(*events)

    def record(self, *, dirty: bool = False) -> Run:
        run = self.build(dirty=dirty)
        self.write(run)
        return run

    def put(self, files: dict[str, bytes | None]) -> None:
        """Change the branch without gitexp."""
        store = self.workspace.branch
        tip = store.tip()
        assert tip is not None
        changes = list(files.items())
        step = NewCommit(store.run_ref, "by hand", ADA, clock.now(), [tip], changes, tip=tip)
        apply(store.repo, [step], durable=False)

    def object_path(self, oid: str) -> Path:
        return self.git_dir / "objects" / oid[:2] / oid[2:]

    def oid(self, name: str) -> str:
        return self.repo.git("rev-parse", name)

    def blob(self, run: Run) -> str:
        return self.oid(f"gitexp:{run_path(run.id, run.started)}")

    def doctor(self) -> Diagnosis:
        return run_checks(self.workspace)

    def fix(self) -> tuple[list[str], Diagnosis]:
        workspace = self.workspace
        messages = list(apply_fixes(workspace, run_checks(workspace)))
        return messages, self.doctor()


@pytest.fixture
def lab(repo: RepoBuilder) -> Lab:
    return Lab(repo)


class Damage(Protocol):
    def __call__(self, path: Path) -> None: ...


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def delete(path: Path) -> None:
    path.unlink()


DAMAGES = [empty, truncate, flip, delete]


def damage(path: Path, how: Damage) -> None:
    path.chmod(0o644)
    how(path)


def faults(diagnosis: Diagnosis) -> dict[str, Finding]:
    """Return faults and doubts by check."""
    found = (*diagnosis.of(Level.FAULT), *diagnosis.of(Level.UNKNOWN))
    return {finding.check: finding for finding in found}


def troubles(diagnosis: Diagnosis) -> list[str]:
    return [f"{f.check}: {f.text}" for f in diagnosis.findings if f.level is not Level.OK]


def only(diagnosis: Diagnosis, check: str) -> Finding:
    found = [f for f in diagnosis.findings if f.check == check and f.level is not Level.OK]
    assert len(found) == 1, troubles(diagnosis)
    return found[0]


@pytest.fixture
def old_files() -> Callable[[Path], None]:
    """Make files older than any living process could leave them."""

    def age(path: Path) -> None:
        past = clock.now().timestamp() - 7 * 3600
        os.utime(path, (past, past), follow_symlinks=False)

    return age


# --- well -----------------------------------------------------------------------------------------


class TestWell:
    def test_every_fix_has_a_function_and_every_finding_the_name_of_its_check(
        self, lab: Lab
    ) -> None:
        assert set(_FIXES) == set(Fix)
        lab.record()
        found = {finding.check for finding in lab.doctor().findings}
        assert found == {check.name for check in CHECKS}

    def test_doctor_finds_no_fault_without_runs(self, lab: Lab) -> None:
        assert troubles(lab.doctor()) == []

    def test_doctor_finds_no_fault_without_a_commit(self, make_repo: MakeRepo) -> None:
        assert troubles(Lab(make_repo(empty=True)).doctor()) == []

    def test_doctor_finds_no_fault_in_a_bare_repository(self, make_repo: MakeRepo) -> None:
        assert troubles(Lab(make_repo(bare=True)).doctor()) == []

    @pytest.mark.parametrize("sha256", [False, True])
    def test_doctor_finds_no_fault_with_runs_of_every_kind(
        self, make_repo: MakeRepo, sha256: bool
    ) -> None:
        lab = Lab(make_repo(sha256=sha256))
        first = lab.record()
        lab.record(dirty=True)
        workspace = lab.workspace
        annotate(workspace, workspace.index.entry(first.id), AnnotationKind.NOTE, text="good")
        diagnosis = lab.doctor()
        assert troubles(diagnosis) == []
        assert {f.check for f in diagnosis.findings} >= {"objects", "code", "keep", "index"}

    def test_doctor_finds_no_fault_in_a_packed_repository(self, lab: Lab) -> None:
        lab.record(dirty=True)
        lab.repo.git("gc", "--quiet", "--prune=now")
        assert troubles(lab.doctor()) == []

    def test_doctor_changes_nothing(self, lab: Lab) -> None:
        lab.record(dirty=True)
        lab.doctor()
        before = lab.repo.git("for-each-ref"), sorted(lab.git_dir.rglob("*"))
        lab.doctor()
        assert before == (lab.repo.git("for-each-ref"), sorted(lab.git_dir.rglob("*")))

    def test_ten_times_the_runs_need_no_more_git_processes(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def processes() -> int:
            log = lab.repo.path.parent / "trace"
            log.unlink(missing_ok=True)
            monkeypatch.setenv("GIT_TRACE2_EVENT", str(log))
            assert troubles(lab.doctor()) == []
            monkeypatch.delenv("GIT_TRACE2_EVENT")
            return log.read_text().count('"event":"start"')

        lab.record(dirty=True)
        few = processes()
        lab.write(*(lab.build() for _ in range(30)))
        assert processes() <= few
        assert few < 60


# --- damaged objects ------------------------------------------------------------------------------


@pytest.fixture
def shared(make_repo: MakeRepo, tmp_path: Path) -> Lab:
    """A repository with three runs, pushed to a remote that has all objects."""
    hub = make_repo("hub", bare=True)
    lab = Lab(make_repo("clone"))
    lab.repo.git("remote", "add", "origin", str(hub.path))
    lab.repo.git("push", "--quiet", "origin", "main")
    for _ in range(2):
        lab.record()
    lab.record(dirty=True)
    workspace = lab.workspace
    push_runs(workspace.branch, "origin", workspace.settings)
    return lab


class TestDamage:
    @pytest.mark.parametrize("how", DAMAGES)
    def test_damaged_record_is_reported_alone(self, lab: Lab, how: Damage) -> None:
        lab.record()
        run = lab.record()
        lab.record()
        lab.doctor()
        damage(lab.object_path(lab.blob(run)), how)
        diagnosis = lab.doctor()
        found = faults(diagnosis)
        assert set(found) == {"objects", "index"}, troubles(diagnosis)
        assert found["objects"].runs == (run.id,)
        assert found["index"].level is Level.UNKNOWN
        lab.fix()
        assert lab.workspace.index.count() == 3, "the run index still knows it"

    @pytest.mark.parametrize("how", DAMAGES)
    def test_damaged_directory_is_reported_with_its_runs(self, lab: Lab, how: Damage) -> None:
        other = lab.record()
        run = lab.record()
        assert other.id[:2] != run.id[:2] or pytest.skip("the ids happen to share a folder")
        lab.doctor()  # the run index has the runs from before
        folder = run_path(run.id, run.started).rpartition("/")[0]
        damage(lab.object_path(lab.oid(f"gitexp:{folder}")), how)
        found = faults(lab.doctor())
        assert found["objects"].runs == (run.id,)
        assert found["index"].level is Level.UNKNOWN
        assert set(found) == {"objects", "index"}

    @pytest.mark.parametrize("how", DAMAGES)
    def test_damaged_tip_is_not_reported_as_a_missing_branch(self, lab: Lab, how: Damage) -> None:
        run = lab.record()
        lab.repo.git("update-ref", pending_ref(run.id), "main")
        damage(lab.object_path(lab.oid("gitexp")), how)
        diagnosis = lab.doctor()
        finding = faults(diagnosis)["branch"]
        assert "damaged or missing" in finding.text
        assert "objects" not in {f.check for f in diagnosis.findings}
        assert not diagnosis.of(Level.WARNING), "nothing is said about runs that cannot be read"

    def test_object_with_the_content_of_another_is_reported(self, lab: Lab) -> None:
        run, other = lab.record(), lab.record()
        path = lab.object_path(lab.blob(run))
        path.chmod(0o644)
        shutil.copyfile(lab.object_path(lab.blob(other)), path)
        assert run.id in faults(lab.doctor())["objects"].runs

    def test_damaged_file_of_a_snapshot_is_reported_with_its_run(self, lab: Lab) -> None:
        lab.record()
        run = lab.record(dirty=True)
        damage(lab.object_path(lab.oid(f"{run.code.snapshot}:train.py")), empty)
        found = faults(lab.doctor())
        assert list(found) == ["code"]
        assert found["code"].runs == (run.id,)

    def test_missing_tree_of_code_is_reported_with_its_runs(self, lab: Lab) -> None:
        lab.record()
        lab.repo.commit({"train.py": "print(2)\n"})
        run = lab.record()
        damage(lab.object_path(run.code.tree), delete)
        assert faults(lab.doctor())["code"].runs == (run.id,)

    def test_fix_without_a_remote_says_so_and_loses_nothing(self, lab: Lab) -> None:
        run = lab.record()
        path = lab.object_path(lab.blob(run))
        damage(path, flip)
        content = path.read_bytes()
        messages, after = lab.fix()
        assert messages == ["could not fetch 1 object: there is no remote to fetch from"]
        assert "objects" in faults(after)
        assert path.read_bytes() == content

    def test_damaged_object_that_the_remote_lacks_is_put_back(self, shared: Lab) -> None:
        run = shared.record()
        path = shared.object_path(shared.blob(run))
        damage(path, truncate)
        content = path.read_bytes()
        messages, after = shared.fix()
        assert "'origin' does not have 1 object" in messages
        assert path.read_bytes() == content
        assert faults(after)["objects"].runs == (run.id,)

    @pytest.mark.parametrize("how", some_daily(DAMAGES, 1))
    @pytest.mark.parametrize(
        "what",
        [
            *("gitexp", "gitexp^{tree}", "gitexp:runs", "gitexp:format.toml", "gitexp:README.md"),
            *(
                "gitexp~1",
                "gitexp~1^{tree}",
                "gitexp-code",
                "gitexp-code^2",
                "gitexp-code^2^{tree}",
            ),
            *("gitexp-code^2:train.py", "gitexp:environments", "gitexp:series"),
        ],
    )
    def test_damaged_object_is_fetched_from_the_remote(
        self, shared: Lab, how: Damage, what: str
    ) -> None:
        oid = shared.oid(what)
        shared.repo.git("checkout", "--quiet", "--detach")
        damage(shared.object_path(oid), how)
        assert faults(shared.doctor()), f"{what} is damaged"
        messages, after = shared.fix()
        assert troubles(after) == [], messages
        shared.repo.git("fsck", "--no-dangling")

    def test_truncated_pack_is_fixed(self, shared: Lab) -> None:
        shared.repo.git("gc", "--quiet", "--prune=now")
        for pack_file in (shared.git_dir / "objects/pack").glob("*.pack"):
            damage(pack_file, truncate)
        assert faults(shared.doctor())
        messages, after = shared.fix()
        assert troubles(after) == [], messages

    def test_every_emptied_object_of_the_branch_is_reported(self, lab: Lab) -> None:
        """Damage anywhere in the branch's history is noticed."""
        runs = [lab.record() for _ in range(2)]
        listed = lab.repo.git("rev-list", "--objects", "gitexp").splitlines()
        for line in listed:
            path = lab.object_path(line.split(" ")[0])
            kept = path.read_bytes()
            damage(path, empty)
            assert faults(lab.doctor()), line
            path.write_bytes(kept)
        assert troubles(lab.doctor()) == []
        assert lab.workspace.index.count() == len(runs)


# --- the branch and its records -------------------------------------------------------------------


class TestPartialClone:
    def test_objects_left_at_a_promisor_remote_are_no_damage(
        self, shared: Lab, tmp_path: Path
    ) -> None:
        hub = tmp_path / "hub"
        shared.repo.git("--git-dir", str(hub), "config", "uploadpack.allowFilter", "true")
        url = hub.as_uri()
        shared.repo.git("clone", "-q", "--filter=blob:none", "--no-checkout", url, "../part")
        part = Lab(RepoBuilder(tmp_path / "part"))
        for name in ("gitexp", "gitexp-code"):
            part.repo.git("branch", name, f"origin/{name}")
        part.workspace.index.count()  # git fetches the records that are read, and the format
        part.workspace.branch.check()
        before = part.repo.git("count-objects", "-v")
        found = faults(part.doctor())
        assert "objects" not in found
        assert "code" not in found
        part.fix()
        assert part.repo.git("count-objects", "-v") == before

    def test_missing_objects_without_a_promise_are_damage(
        self, shared: Lab, tmp_path: Path
    ) -> None:
        shared.repo.git("config", "remote.origin.promisor", "true")
        run = shared.record()
        shared.object_path(shared.blob(run)).unlink()
        assert "objects" in faults(shared.doctor())


class TestBranch:
    def test_foreign_file_on_the_branch_is_reported(self, lab: Lab) -> None:
        lab.record()
        assert troubles(lab.doctor()) == []
        lab.put({"notes/todo.md": b"mine"})
        finding = only(lab.doctor(), "foreign files")
        assert (finding.level, finding.items) == (Level.WARNING, ("notes/todo.md",))

    def test_mirror_refspec_is_a_warning(self, lab: Lab) -> None:
        lab.record()
        lab.repo.git("remote", "add", "--mirror=fetch", "hub", "/hub")
        finding = only(lab.doctor(), "mirror")
        assert finding.level is Level.WARNING
        for hint in finding.hints:
            key, value = hint.split("`")[1].split()[-2:]
            lab.repo.git("config", "--add", key, value.strip("'"))
        assert troubles(lab.doctor()) == []

    def test_ordinary_remote_is_no_warning(self, lab: Lab) -> None:
        lab.record()
        lab.repo.git("remote", "add", "hub", "/hub")
        assert troubles(lab.doctor()) == []

    def test_stale_lock_of_a_reftable_is_moved_aside(
        self, lab: Lab, old_files: Callable[[Path], None]
    ) -> None:
        """Simulates a repository with reftables, which git 2.39 lacks."""
        lab.record()
        lock = lab.git_dir / "reftable" / "tables.list.lock"
        lock.parent.mkdir(exist_ok=True)
        lock.touch()
        old_files(lock)
        assert only(lab.doctor(), "locks").items == (str(lock),)
        lab.fix()
        assert not lock.exists()

    def test_foreign_branch_is_reported_and_not_changed(self, lab: Lab) -> None:
        lab.repo.git("branch", "gitexp")
        before = lab.oid("gitexp")
        messages, after = lab.fix()
        assert messages == []
        assert "not gitexp's" in only(after, "branch").text
        assert lab.oid("gitexp") == before

    def test_branch_of_a_newer_format_is_not_checked(self, lab: Lab) -> None:
        lab.record()
        lab.put({"format.toml": b'format = 99\ntool = "gitexp"\n'})
        finding = only(lab.doctor(), "branch")
        assert finding.level is Level.UNKNOWN
        assert "pip install" in finding.hints[0]

    def test_emptied_ref_is_not_reported_as_a_missing_branch(self, lab: Lab) -> None:
        lab.record()
        (lab.git_dir / "refs/heads/gitexp").write_bytes(b"")
        assert "the ref of branch 'gitexp' is damaged" in only(lab.doctor(), "branch").text

    def test_checked_out_branch_is_a_warning(self, lab: Lab, tmp_path: Path) -> None:
        lab.record()
        lab.repo.git("worktree", "add", "--quiet", str(tmp_path / "w"), "gitexp")
        finding = only(lab.doctor(), "checkout")
        assert finding.level is Level.WARNING
        assert str(tmp_path / "w") in finding.text

    def test_record_that_does_not_parse_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        path = run_path(run.id, run.started)
        lab.put({path: b"not = [toml"})
        finding = faults(lab.doctor())["records"]
        assert finding.runs == (run.id,)
        assert finding.items == (path,)

    def test_record_in_the_wrong_month_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        moved = run_path(run.id, run.started - timedelta(days=90))
        lab.put({run_path(run.id, run.started): None, moved: encode_run(run)})
        assert "does not lie at" in faults(lab.doctor())["records"].text

    def test_record_under_another_id_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        other = run_path(RunId("ab" * 8), run.started)
        lab.put({other: encode_run(run)})
        assert faults(lab.doctor())["records"].items == (other,)

    def test_run_with_two_records_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        lab.put({run_path(run.id, run.started - timedelta(days=90)): encode_run(run)})
        assert faults(lab.doctor())["identities"].runs == (run.id,)

    def test_annotation_without_a_run_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        stray = annotation_path(RunId("ab" * 8), run.started, "12" * 8)
        workspace = lab.workspace
        annotate(workspace, workspace.index.entry(run.id), AnnotationKind.NOTE, text="x")
        listed = lab.repo.git("ls-tree", "-r", "--name-only", "gitexp", "annotations").splitlines()
        content = lab.repo.git("show", f"gitexp:{listed[0]}").encode()
        lab.put({stray: content})
        assert faults(lab.doctor())["annotations"].items == (stray,)

    def test_series_that_does_not_parse_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        lab.put({series_path(run.id, run.started): b'step,time\n"'})
        assert list(faults(lab.doctor())) == ["series"]

    def test_missing_package_list_is_reported(self, lab: Lab) -> None:
        run = lab.record()
        lab.put({f"environments/{DIGEST}.toml": None})
        assert faults(lab.doctor())["environments"].runs == (run.id,)

    def test_file_of_a_deleted_run_is_reported_and_removed(self, lab: Lab) -> None:
        run = lab.record()
        workspace = lab.workspace
        remove(workspace, plan_removal(workspace, [run.id], force=False))
        lab.put({run_path(run.id, run.started): encode_run(run)})
        assert faults(lab.doctor())["tombstones"].runs == (run.id,)
        workspace = lab.workspace
        remove(workspace, plan_removal(workspace, [run.id], force=False))
        assert troubles(lab.doctor()) == []

    def test_run_from_the_future_is_a_warning(self, lab: Lab) -> None:
        run = replace(lab.build(), started=datetime(2099, 1, 1, tzinfo=UTC))
        lab.write(run)
        finding = only(lab.doctor(), "clock")
        assert (finding.level, finding.runs) == (Level.WARNING, (run.id,))

    def test_run_sealed_twice_is_a_warning(self, lab: Lab) -> None:
        run = lab.record()
        other = replace(run, metrics={"accuracy": 0.9})
        path = run_path(run.id, run.started).removesuffix(".toml")
        lab.put({f"{path}~{'a' * 12}.toml": encode_run(other)})
        finding = only(lab.doctor(), "conflicts")
        assert (finding.level, finding.runs) == (Level.WARNING, (run.id,))

    def test_unknown_setting_is_a_warning(self, lab: Lab) -> None:
        lab.repo.git("config", "exp.brnach", "x")
        assert "did you mean 'exp.branch'" in only(lab.doctor(), "settings").text

    def test_hook_that_cannot_run_is_a_warning(self, lab: Lab) -> None:
        status = hook_install.install(lab.workspace.repo)
        status.path.chmod(0o644)
        assert only(lab.doctor(), "hooks").hints

    def test_gate_without_a_hook_is_a_warning(self, lab: Lab) -> None:
        lab.repo.write("gitexp.toml", "[metrics.accuracy]\ngate = 0.1\n")
        assert "nothing checks it" in only(lab.doctor(), "hooks").text

    def test_old_git_is_reported(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = shutil.which("git")
        shim = tmp_path / "bin/git"
        shim.parent.mkdir()
        shim.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && exec echo "git version $FAKE"\nexec {real} "$@"\n'
        )
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("FAKE", "2.30.1")
        assert only(lab.doctor(), "git").level is Level.FAULT
        monkeypatch.setenv("FAKE", "2.34.0")
        assert only(lab.doctor(), "git").level is Level.WARNING
        monkeypatch.setenv("FAKE", "2.36.0")
        assert troubles(lab.doctor()) == []


# --- code -----------------------------------------------------------------------------------------


class TestKeep:
    def test_missing_keep_branch_is_created_again(self, lab: Lab) -> None:
        runs = [lab.record(), lab.record(dirty=True)]
        lab.repo.commit({"train.py": "print(2)\n"})
        runs.append(lab.record())
        lab.repo.git("branch", "-D", "gitexp-code")
        finding = faults(lab.doctor())["keep"]
        assert set(finding.runs) == {run.id for run in runs}
        _, after = lab.fix()
        assert troubles(after) == []
        lab.repo.git("checkout", "--quiet", "--orphan", "elsewhere")
        lab.repo.git("branch", "-D", "main")
        lab.repo.git("reflog", "expire", "--expire=now", "--all")
        lab.repo.git("gc", "--quiet", "--prune=now")
        assert troubles(lab.doctor()) == []

    def test_missing_keep_branch_is_fetched_from_the_remote(self, shared: Lab) -> None:
        before = shared.oid("gitexp-code")
        shared.repo.git("branch", "-D", "gitexp-code")
        messages, after = shared.fix()
        assert troubles(after) == []
        assert "took branch 'gitexp-code' over from remote 'origin'" in messages
        shared.repo.git("merge-base", "--is-ancestor", before, "gitexp-code")

    def test_keep_branch_that_was_reset_is_completed(self, lab: Lab) -> None:
        lab.record()
        old = lab.oid("gitexp-code")
        run = lab.record(dirty=True)
        lab.repo.git("update-ref", "refs/heads/gitexp-code", old)
        assert faults(lab.doctor())["keep"].runs == (run.id,)
        _, after = lab.fix()
        assert troubles(after) == []
        lab.repo.git("merge-base", "--is-ancestor", old, "gitexp-code")
        assert lab.repo.git("ls-tree", "gitexp-code") == ""

    @pytest.mark.long
    def test_many_code_states_are_kept_in_few_parents_each(self, lab: Lab) -> None:
        for n in range(120):
            lab.repo.commit({"train.py": f"print({n})\n"})
        heads = lab.repo.git("rev-list", "main").splitlines()
        trees = lab.repo.git("log", "--format=%T", "main").splitlines()
        runs = [lab.build() for _ in heads]
        lab.write(
            *(
                replace(run, code=replace(run.code, commit=ObjectId(head), tree=ObjectId(tree)))
                for run, head, tree in zip(runs, heads, trees, strict=True)
            )
        )
        lab.repo.git("branch", "-D", "gitexp-code")
        _, after = lab.fix()
        assert troubles(after) == []
        parents = lab.repo.git("log", "--first-parent", "-3", "--format=%P", "gitexp-code")
        assert max(len(line.split()) for line in parents.splitlines()) <= 51


# --- local state ----------------------------------------------------------------------------------


DEAD = (
    "from pathlib import Path; import sys; from gitexp.adapters.journal.journal import Journal; "
    "Journal.create(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_bytes(), durable=False)"
)


class TestLocal:
    def _die(self, lab: Lab, run: Run) -> None:
        """Begin a run in a process that dies without a trace."""
        record = lab.repo.path.parent / "record"
        record.write_bytes(encode_run(run))
        folder = lab.git_dir / "gitexp/journal"
        subprocess.run([sys.executable, "-c", DEAD, str(folder), run.id, str(record)], check=True)

    def test_dead_run_is_reported_and_completed(self, lab: Lab) -> None:
        run = lab.build(outcome=Outcome.RUNNING)
        lab.write(run)
        self._die(lab, run)
        assert faults(lab.doctor())["journals"].runs == (run.id,)
        _, after = lab.fix()
        assert troubles(after) == []
        assert lab.workspace.index.entry(run.id).run.outcome is Outcome.INTERRUPTED

    def test_running_run_is_no_fault(self, lab: Lab) -> None:
        run = lab.build(outcome=Outcome.RUNNING, dirty=True)
        lab.write(run)
        journal = Journal.create(lab.workspace.journals, run.id, encode_run(run), durable=False)
        messages, after = lab.fix()
        journal.close()
        assert (messages, troubles(after)) == ([], [])

    def test_running_run_without_a_journal_is_reported_and_sealed(self, lab: Lab) -> None:
        run = lab.build(outcome=Outcome.RUNNING)
        workspace = lab.workspace
        mark_recorded_here(workspace, run.id)
        lab.write(run)
        assert faults(lab.doctor())["journals"].runs == (run.id,)
        assert give_up(lab.workspace, run.id).outcome is Outcome.INTERRUPTED
        assert troubles(lab.doctor()) == []
        with pytest.raises(Refused):
            give_up(lab.workspace, run.id)

    def test_running_run_of_another_clone_is_no_fault(self, lab: Lab) -> None:
        lab.write(lab.build(outcome=Outcome.RUNNING))
        assert troubles(lab.doctor()) == []

    def test_run_open_for_a_month_is_a_warning(self, lab: Lab) -> None:
        run = replace(lab.build(outcome=Outcome.RUNNING), started=clock.now() - timedelta(days=40))
        lab.write(run)
        Journal.create(
            lab.workspace.journals, run.id, encode_run(run), durable=False, by_hand=True
        ).close()
        assert only(lab.doctor(), "journals").runs == (run.id,)
        assert list_open_runs(lab.workspace).runs[0].state is Liveness.MANUAL

    def test_damaged_journal_is_reported_and_moved_aside(self, lab: Lab) -> None:
        lab.record()
        journals = lab.workspace.journals
        journals.mkdir(parents=True, exist_ok=True)
        (journals / f"{'ab' * 8}.journal").write_bytes(b"rubbish\n")
        assert faults(lab.doctor())["journals"].items
        _, after = lab.fix()
        assert only(after, "journals").level is Level.WARNING
        assert (journals / "damaged" / f"{'ab' * 8}.journal").read_bytes() == b"rubbish\n"

    def test_stale_git_lock_is_reported_and_moved_aside(
        self, lab: Lab, old_files: Callable[[Path], None]
    ) -> None:
        lab.record()
        lock = lab.git_dir / "refs/heads/gitexp.lock"
        lock.touch()
        assert troubles(lab.doctor()) == []  # git may hold it now
        old_files(lock)
        assert faults(lab.doctor())["locks"].items == (str(lock),)
        _, after = lab.fix()
        assert not lock.exists()
        assert troubles(after) == []

    def test_lock_of_a_living_git_stays(self, lab: Lab, old_files: Callable[[Path], None]) -> None:
        lab.record()
        lock = lab.git_dir / "packed-refs.lock"
        lock.touch()
        old_files(lock)
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; f = open(sys.argv[1]); print(flush=True); input()",
                str(lock),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            messages, after = lab.fix()
        finally:
            holder.communicate(b"\n")
        assert lock.exists()
        assert "may be held by" in messages[0]
        assert "locks" in faults(after)

    def test_pin_of_a_sealed_run_is_removed(self, lab: Lab) -> None:
        run = lab.record(dirty=True)
        assert run.code.snapshot
        lab.repo.git("update-ref", pending_ref(run.id), run.code.snapshot)
        assert only(lab.doctor(), "pending").level is Level.WARNING
        _, after = lab.fix()
        assert troubles(after) == []
        assert lab.repo.git("for-each-ref", "refs/gitexp/pending") == ""

    def test_a_pin_of_an_unknown_run_is_kept(self, lab: Lab) -> None:
        lab.record()
        lab.repo.git("update-ref", pending_ref(RunId("ab" * 8)), "main")
        _, after = lab.fix()
        assert "unknown runs" in only(after, "pending").text
        assert lab.oid(pending_ref(RunId("ab" * 8)))

    def test_a_pin_is_kept_while_the_keep_branch_does_not_hold_the_snapshot(self, lab: Lab) -> None:
        lab.record()
        old = lab.oid("gitexp-code")
        run = lab.record(dirty=True)
        assert run.code.snapshot
        lab.repo.git("update-ref", pending_ref(run.id), run.code.snapshot)
        lab.repo.git("update-ref", "refs/heads/gitexp-code", old)
        workspace = lab.workspace
        assert list(find_done_pins(workspace)) == [pending_ref(run.id)]
        assert list(drop_pins(workspace, find_done_pins(workspace))) == []

    def test_wrong_run_index_is_reported_and_rebuilt(self, lab: Lab) -> None:
        run = lab.record()
        lab.doctor()
        self._lie(lab, run)
        assert "1 of 1 runs differ" in faults(lab.doctor())["index"].text
        _, after = lab.fix()
        assert troubles(after) == []

    def _lie(self, lab: Lab, run: Run) -> None:
        """Write a wrong document in the form that gitexp writes."""
        import sqlite3

        from gitexp.storage.cache.sql import checksum

        path = lab.git_dir / "gitexp/index.sqlite"
        connection = sqlite3.connect(path, isolation_level=None)
        (doc,) = connection.execute("SELECT document FROM documents").fetchone()
        wrong = json.dumps({**json.loads(doc), "name": "another"})
        connection.execute(
            "UPDATE documents SET document = ?, checksum = ?", (wrong, checksum(wrong))
        )
        connection.close()

    @pytest.mark.parametrize(
        "lie",
        [
            "UPDATE runs SET outcome = 'failed'",
            "UPDATE vals SET num = num + 1",
            "INSERT INTO tags VALUES ('a', 1)",
            "DELETE FROM files",
        ],
    )
    def test_wrong_content_beside_the_documents_is_found(self, lab: Lab, lie: str) -> None:
        import sqlite3

        lab.record()
        lab.workspace.index.ids(sort_by="metrics.accuracy")
        with sqlite3.connect(lab.git_dir / "gitexp/index.sqlite") as connection:
            connection.executescript(lie)
        assert "its content is not that of the branch" in faults(lab.doctor())["index"].text
        _, after = lab.fix()
        assert troubles(after) == []

    def test_leftovers_are_deleted_when_old(
        self, lab: Lab, old_files: Callable[[Path], None]
    ) -> None:
        lab.record()
        state = lab.git_dir / "gitexp"
        made = [
            state / "tmp/index-abc/index",
            state / "index.sqlite-xyz.new",
            state / f"journal/{'ab' * 8}.output",
            state / f"journal/{'ab' * 8}.params.toml",
            state / f"journal/{'ab' * 8}.new",
        ]
        for path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        assert troubles(lab.doctor()) == []
        for path in (*made, state / "tmp/index-abc"):
            old_files(path)
        assert only(lab.doctor(), "left-over files").level is Level.WARNING
        _, after = lab.fix()
        assert troubles(after) == []
        assert not any(path.exists() for path in made)

    def test_files_of_an_open_run_are_no_leftovers(
        self, lab: Lab, old_files: Callable[[Path], None]
    ) -> None:
        run = lab.build(outcome=Outcome.RUNNING)
        journal = Journal.create(lab.workspace.journals, run.id, encode_run(run), durable=False)
        output = lab.workspace.journals / f"{run.id}.output"
        output.write_text("x")
        old_files(output)
        folder = add_worktree(lab.workspace.repo, run.id, lab.repo.head)
        old_files(folder)
        left = find_leftovers(lab.workspace)
        journal.close()
        assert (left.paths, left.worktrees) == ((), ())

    def test_only_work_trees_of_gitexp_are_removed(
        self, lab: Lab, tmp_path: Path, old_files: Callable[[Path], None]
    ) -> None:
        """The user's work tree may be on a disk that is not mounted; git must not forget it."""
        away = tmp_path / "away"
        lab.repo.git("worktree", "add", "--quiet", "--detach", str(away))
        away.rename(tmp_path / "unmounted")
        ours = add_worktree(lab.workspace.repo, "ab" * 8, lab.repo.head)
        gone = add_worktree(lab.workspace.repo, "cd" * 8, lab.repo.head)
        shutil.rmtree(gone)
        old_files(ours)
        left = find_leftovers(lab.workspace)
        assert set(left.worktrees) == {ours, gone}
        list(delete_leftovers(lab.workspace, left))
        listed = lab.repo.git("worktree", "list", "--porcelain")
        assert str(away) in listed
        assert "gitexp/worktrees" not in listed
        assert not ours.exists()

    def test_many_loose_objects_are_packed(self, lab: Lab) -> None:
        for _ in range(3):
            lab.record(dirty=True)
        assert pack(lab.workspace) is None
        lab.repo.git("config", "gc.auto", "1")
        lab.repo.git("config", "gc.autoDetach", "false")
        files = [str(lab.repo.write(f".git/blobs/{n}", str(n))) for n in range(1500)]
        lab.repo.git("hash-object", "-w", "--stdin-paths", stdin="\n".join(files))
        assert "packed" in (pack(lab.workspace) or "")
        assert troubles(lab.doctor()) == []


# --- removing -------------------------------------------------------------------------------------


class TestRemoval:
    def test_a_removed_run_leaves_only_its_tombstone(self, lab: Lab) -> None:
        run, other = lab.record(), lab.record()
        workspace = lab.workspace
        annotate(workspace, workspace.index.entry(run.id), AnnotationKind.NOTE, text="x")
        workspace = lab.workspace
        planned = plan_removal(workspace, [run.id, run.id], force=False)
        assert len(planned) == 1
        assert len(planned[0].paths) == 3
        remove(workspace, planned)
        listed = lab.repo.git("ls-tree", "-r", "--name-only", "gitexp").splitlines()
        assert [path for path in listed if run.id in path] == [
            annotation_path(run.id, run.started, "delete")
        ]
        assert lab.workspace.index.ids() == [other.id]
        assert troubles(lab.doctor()) == []

    def test_children_of_a_removed_run_are_named_and_stay(self, lab: Lab) -> None:
        run = lab.record()
        child = replace(lab.build(), parent=run.id)
        lab.write(child)
        planned = plan_removal(lab.workspace, [run.id], force=False)
        assert planned[0].children == (child.id,)

    def test_removing_a_running_run_needs_force(self, lab: Lab) -> None:
        run = lab.build(outcome=Outcome.RUNNING, dirty=True)
        lab.write(run)
        Journal.create(
            lab.workspace.journals, run.id, encode_run(run), durable=False, by_hand=True
        ).close()
        with pytest.raises(Refused):
            plan_removal(lab.workspace, [run.id], force=False)
        workspace = lab.workspace
        remove(workspace, plan_removal(workspace, [run.id], force=True))
        assert recover(lab.workspace).waiting == ()
        assert lab.workspace.index.ids() == []
        assert troubles(lab.doctor()) == []

    def test_removed_run_is_not_restored_by_another_clone(
        self, shared: Lab, make_repo: MakeRepo
    ) -> None:
        other = Lab(make_repo("other"))
        other.repo.git("remote", "add", "origin", shared.repo.git("remote", "get-url", "origin"))
        workspace = other.workspace
        fetch_runs(workspace.branch, "origin", workspace.settings)
        run = shared.workspace.index.ids()[0]
        workspace = shared.workspace
        remove(workspace, plan_removal(workspace, [run], force=False))
        push_runs(workspace.branch, "origin", workspace.settings)
        other.record()
        workspace = other.workspace
        push_runs(workspace.branch, "origin", workspace.settings)
        assert run not in other.workspace.index.ids()
        workspace = shared.workspace
        fetch_runs(workspace.branch, "origin", workspace.settings)
        assert run not in shared.workspace.index.ids()
        assert troubles(other.doctor()) == troubles(shared.doctor()) == []

    def test_removing_a_run_without_a_record_is_an_error(self, lab: Lab) -> None:
        lab.record()
        with pytest.raises(NotFound):
            plan_removal(lab.workspace, [RunId("ab" * 8)], force=False)


# --- beginning ------------------------------------------------------------------------------------


class TestFounding:
    @pytest.mark.parametrize("sha256", [False, True])
    def test_init_creates_the_branch_without_a_user_commit(
        self, make_repo: MakeRepo, sha256: bool
    ) -> None:
        lab = Lab(make_repo(empty=True, sha256=sha256))
        assert init_branch(lab.workspace).how == "made"
        assert lab.repo.git("ls-tree", "-r", "--name-only", "gitexp").splitlines() == [
            "README.md",
            "format.toml",
        ]
        assert lab.repo.git("show", "gitexp:format.toml").encode() + b"\n" == FORMAT_FILE
        assert lab.repo.git("status", "--porcelain") == ""
        assert troubles(lab.doctor()) == []

    def test_init_twice_changes_nothing(self, lab: Lab) -> None:
        init_branch(lab.workspace)
        before = lab.oid("gitexp")
        assert init_branch(lab.workspace).how == "there"
        assert lab.oid("gitexp") == before

    def test_first_run_continues_the_branch_of_init(self, lab: Lab) -> None:
        init_branch(lab.workspace)
        before = lab.oid("gitexp")
        lab.record(dirty=True)
        assert lab.oid("gitexp~1") == before
        assert troubles(lab.doctor()) == []

    def test_init_fetches_the_runs_of_a_remote(self, shared: Lab, tmp_path: Path) -> None:
        url = shared.repo.git("remote", "get-url", "origin")
        shared.repo.git("push", "--quiet", "origin", "main")
        shared.repo.git("clone", "--quiet", url, str(tmp_path / "second"))
        second = Lab(RepoBuilder(tmp_path / "second"))
        result = init_branch(second.workspace)
        assert (result.how, result.remote) == ("fetched", "origin")
        assert second.oid("gitexp") == shared.oid("gitexp")
        assert troubles(second.doctor()) == []

    def test_init_works_without_reaching_the_remote(self, lab: Lab) -> None:
        lab.repo.git("remote", "add", "origin", str(lab.repo.path / "nowhere"))
        result = init_branch(lab.workspace)
        assert result.how == "made"
        assert result.problem is not None

    def test_init_refuses_a_foreign_branch(self, lab: Lab) -> None:
        lab.repo.git("branch", "gitexp")
        before = lab.oid("gitexp")
        with pytest.raises(Refused):
            init_branch(lab.workspace)
        assert lab.oid("gitexp") == before

    def test_the_settings_file_sets_nothing_and_is_never_written_over(self, lab: Lab) -> None:
        before = lab.workspace.settings
        assert write_settings(lab.workspace)
        assert lab.workspace.settings == before
        (lab.repo.path / "gitexp.toml").write_text('metric = "mine"\n')
        assert not write_settings(lab.workspace)
        assert lab.workspace.settings.metric == "mine"

    def test_every_line_of_the_settings_file_works_when_used(self, lab: Lab) -> None:
        write_settings(lab.workspace)
        path = lab.repo.path / "gitexp.toml"
        lines = [line.removeprefix("# ") for line in path.read_text().splitlines()]
        path.write_text("\n".join(line for line in lines if "=" in line or line.startswith("[")))
        settings = lab.workspace.settings
        assert settings.metric == "accuracy"
        assert settings.gates == {"accuracy": 0.01}
        assert settings.warnings == ()

    def test_settings_file_in_a_bare_repository_is_refused(self, make_repo: MakeRepo) -> None:
        with pytest.raises(Refused):
            write_settings(Lab(make_repo(bare=True)).workspace)
