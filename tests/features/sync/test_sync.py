"""Clones sync runs through a bare repository: no run is lost, and all end at the same commit."""

import random
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitexp.adapters.git import remotes
from gitexp.adapters.git.remotes import push_remote
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, GitexpError, NotFound, Refused, UnreadableRecord
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Annotation, AnnotationKind, Code, Origin, Outcome, Run, Series
from gitexp.core.schema.layout import (
    TOMBSTONE,
    annotation_path,
    remote_ref,
    rival_path,
    run_path,
    series_path,
)
from gitexp.core.schema.root_files import FORMAT_FILE
from gitexp.features.sync.sync import (
    FetchReport,
    SyncReport,
    fetch_runs,
    push_runs,
    sync_runs,
)
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import RunEvent, annotated, deleted, sealed, started
from gitexp.storage.merge.branches import merge_run_branch
from gitexp.storage.merge.tally import BranchChanges
from gitexp.storage.settings.options import Settings
from tests.conftest import MakeRepo, RepoBuilder

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
RUNS, CODE = "refs/heads/gitexp", "refs/heads/gitexp-code"
SETTINGS = Settings(push_timeout=60.0)
NOTHING = BranchChanges()


@dataclass
class Clone:
    """A clone that records runs."""

    builder: RepoBuilder
    store: RunBranch
    years_off: int = 0

    @classmethod
    def at(cls, builder: RepoBuilder, years_off: int = 0) -> "Clone":
        return cls(
            builder, RunBranch(Repo.discover(builder.path), "gitexp", durable=False), years_off
        )

    def run(self, number: int, outcome: Outcome = Outcome.SUCCEEDED, name: str = "otter") -> Run:
        head = self.builder.head
        tree = self.builder.git("rev-parse", "HEAD^{tree}")
        return Run(
            id=RunId(f"{number * 2654435761 % 2**32:08x}{number:08x}"),
            name=name,
            outcome=outcome,
            clock=number,
            started=START + timedelta(days=number),
            author="Ada <ada@example.org>",
            origin=Origin.RUN,
            code=Code(commit=ObjectId(head), tree=ObjectId(tree)),
        )

    def record(self, *numbers: int, name: str = "otter", series: float | None = None) -> list[Run]:
        runs = [self.run(number, name=name) for number in numbers]
        rows: Series = [] if series is None else [{"step": 1, "loss": series}]
        self._write([sealed(run, rows, "done") for run in runs])
        return runs

    def start(self, number: int) -> Run:
        run = self.run(number, Outcome.RUNNING)
        self._write([started(run)])
        return run

    def note(self, run: Run, number: int, text: str = "good") -> None:
        self._write([annotated(run, self._annotation(run, f"{number:016x}", text), text)])

    def delete(self, run: Run) -> None:
        grave = replace(self._annotation(run, "delete", "gone"), kind=AnnotationKind.DELETE)
        paths = [path for path in self.files() if run.id in path]
        self._write([deleted(run, grave, paths)])

    def _annotation(self, run: Run, name: str, text: str) -> Annotation:
        return Annotation(
            id=name,
            run=run.id,
            kind=AnnotationKind.NOTE,
            clock=run.clock + 1,
            time=START,
            author="Ada <ada@example.org>",
            text=text,
        )

    def _write(self, events: list[RunEvent]) -> None:
        moment = START.replace(year=START.year + self.years_off)
        with self.store.transaction(Identity("Ada", "ada@example.org"), moment) as transaction:
            transaction.add(*events)

    def sync(self) -> SyncReport:
        return sync_runs(self.store, None, SETTINGS)

    def fetch(self) -> FetchReport:
        return fetch_runs(self.store, None, SETTINGS)

    def tips(self) -> tuple[str, str]:
        return self.builder.git("rev-parse", RUNS), self.builder.git("rev-parse", CODE)

    def files(self) -> dict[str, str]:
        return {entry.path: entry.oid for entry in self.store.repo.list_tree(RUNS)}

    def records(self) -> set[str]:
        return {Path(path).stem for path in self.files() if path.startswith("runs/")}


class Network:
    """A bare hub with code on `main`, and clones of it."""

    def __init__(self, make_repo: MakeRepo, *, sha256: bool = False) -> None:
        self.make_repo = make_repo
        self.sha256 = sha256
        self.hub = make_repo("hub.git", bare=True, sha256=sha256)
        self.seed = make_repo("seed", sha256=sha256)
        self.seed.git("push", "--quiet", str(self.hub.path), "main")

    def clone(self, name: str, *options: str, years_off: int = 0) -> Clone:
        path = self.hub.path.parent / name
        self.hub.git("clone", "--quiet", *options, self.hub.path.as_uri(), str(path))
        return Clone.at(RepoBuilder(path), years_off)

    def tip(self, ref: str = RUNS) -> str:
        return self.hub.git("rev-parse", ref)

    def put(self, ref: str, files: dict[str, bytes | None], base: str | None = None) -> str:
        """Set a ref of the hub to a commit written without gitexp."""
        env = {"GIT_INDEX_FILE": str(self.hub.path / "index.tmp")}
        self.hub.git("read-tree", *([base] if base else ["--empty"]), env=env)
        for path, content in files.items():
            blob = self.hub.git("hash-object", "-w", "--stdin", stdin=content or b"")
            line = f"{'0' if content is None else '100644'} {blob}\t{path}\0"
            self.hub.git("update-index", "--add", "-z", "--index-info", stdin=line, env=env)
        tree = self.hub.git("write-tree", env=env)
        parents = ["-p", base] if base else []
        commit = self.hub.git("commit-tree", tree, *parents, "-m", "by hand")
        self.hub.git("update-ref", ref, commit)
        return commit


@pytest.fixture
def network(make_repo: MakeRepo) -> Network:
    return Network(make_repo)


def _moves(clones: list[Clone]) -> list[bool]:
    return [clone.sync().pushed.moved for clone in clones]


def settle(clones: list[Clone], rounds: int = 5) -> None:
    """Sync the clones in random order until no branch moves."""
    order = random.Random(7)
    for _ in range(rounds):
        order.shuffle(clones)
        if not any(_moves(clones)):
            break
    for clone in clones:
        report = clone.sync()
        assert (report.fetched.moved, report.pushed.moved) == (False, False)


class TestTwoClones:
    @pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.long)])
    @pytest.mark.parametrize("first", [0, 1])
    def test_clones_end_at_the_same_commit_in_either_order(
        self, network: Network, first: int, count: int
    ) -> None:
        clones = [network.clone("a"), network.clone("b", years_off=-3)]
        clones[0].record(*range(1, count + 1))
        clones[1].record(*range(1001, count + 1001))
        settle(clones[::-1] if first else clones)
        a, b = clones
        assert a.tips() == b.tips() == (network.tip(RUNS), network.tip(CODE))
        assert len(a.records()) == 2 * count
        assert a.builder.git("fsck", "--strict", "--no-dangling") == ""

    def test_reports_count_the_moved_runs(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.record(1, 2)
        first = a.sync()
        assert first.pushed.there == BranchChanges(runs=2)
        assert (first.pushed.tries, first.pushed.moved, first.fetched.moved) == (1, True, False)
        shared, _ = b.record(3), b.start(4)
        b.note(shared[0], 1)
        second = b.sync()
        assert second.fetched.here == BranchChanges(runs=2)
        assert second.fetched.merged
        assert second.pushed.there == BranchChanges(runs=2, annotations=1)
        third = a.sync()
        assert third.fetched.here == BranchChanges(runs=2, annotations=1)
        assert (third.fetched.merged, third.pushed.moved) == (False, False)

    def test_independent_merges_create_the_same_commit(self, network: Network) -> None:
        """Two clones that merge the same tips independently create the same commit."""
        a, b = network.clone("a"), network.clone("b", years_off=-2)
        a.record(1)
        b.record(2)
        for clone, other in ((a, b), (b, a)):
            clone.builder.git("remote", "set-url", "origin", other.builder.path.as_uri())
        tips = a.tips(), b.tips()
        assert a.fetch().merged
        b.builder.git("config", "--local", "uploadpack.allowAnySHA1InWant", "true")
        a_after = a.tips()
        for ref, old in zip((RUNS, CODE), tips[0], strict=True):
            a.builder.git("update-ref", ref, old)
        assert b.fetch().merged
        assert b.tips() == a_after
        message = b.builder.git("log", "-1", "--format=%an <%ae>|%cn <%ce>|%B", RUNS)
        me = "Ada <ada@example.org>"
        assert message.startswith(f"{me}|{me}|merge the runs of two clones")
        newest = max(int(b.builder.git("log", "-1", "--format=%ct", tip)) for tip, _ in tips)
        assert int(b.builder.git("log", "-1", "--format=%ct", RUNS)) == newest

    def test_the_second_sync_asks_the_remote_only_once(
        self, network: Network, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        log = a.builder.path.parent / "trace"
        monkeypatch.setenv("GIT_TRACE2_EVENT", str(log))
        a.sync()
        starts = [line for line in log.read_text().splitlines() if '"event":"start"' in line]
        assert (
            len([line for line in starts if '"upload-pack"' in line or "upload-pack" in line]) >= 1
        )
        assert not [line for line in starts if '"fetch"' in line or '"push"' in line]

    def test_push_sends_the_code_of_every_run(self, network: Network) -> None:
        """Code of a commit that the hub lacks is pushed as well, without its history."""
        a, b = network.clone("a"), network.clone("b")
        a.builder.branch("private")
        a.builder.commit({"secret.py": "x = 1\n"})
        (run,) = a.record(1)
        b.builder.commit({"other.py": "y = 1\n"})
        b.record(2)
        settle([a, b])
        assert b.builder.git("show", f"{run.code.tree}:secret.py") == "x = 1"
        assert run.code.commit not in b.builder.git("rev-list", "--all").split()
        assert b.builder.git("rev-parse", f"{CODE}^{{tree}}") == b.builder.git(
            "hash-object", "-t", "tree", "--stdin"
        )

    def test_kept_code_gets_no_second_keep_commit_after_a_merge(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.builder.commit({"a.py": "1\n"})
        b.builder.commit({"b.py": "1\n"})
        a.record(1)
        b.record(2)
        settle([a, b])
        _, kept = a.tips()
        a.record(3)
        b.record(4)
        settle([a, b])
        assert a.tips()[1] == kept

    def test_five_clones_converge(self, network: Network) -> None:
        clones = [network.clone(f"c{n}", years_off=n - 2) for n in range(5)]
        for n, clone in enumerate(clones):
            clone.record(*range(100 * n + 1, 100 * n + 6))
        settle(clones)
        assert len({clone.tips() for clone in clones}) == 1
        assert len(clones[0].records()) == 25


class TestPeers:
    """Clones without a hub that fetch from each other."""

    @staticmethod
    def peers(network: Network) -> list[Clone]:
        clones = [network.clone(f"p{n}", years_off=n - 2) for n in range(4)]
        for n, clone in enumerate(clones):
            for m, other in enumerate(clones):
                if n != m:
                    clone.builder.git("remote", "add", f"p{m}", other.builder.path.as_uri())
            clone.record(100 * n + 1)
        return clones

    @staticmethod
    def fetch_at_once(clones: list[Clone], pairs: list[tuple[int, int]]) -> None:
        """Merge in each pair the tip from before the first merge, as in concurrent fetches."""
        tips = [clone.tips() for clone in clones]
        for n, m in pairs:
            url = clones[m].builder.path.as_uri()
            frozen = "refs/frozen"
            clones[m].builder.git("update-ref", frozen, tips[m][0])
            clones[n].builder.git("fetch", "-q", url, frozen)
            with clones[n].store.lock():
                theirs = ObjectId(tips[m][0])
                merge_run_branch(clones[n].store, f"p{m}", theirs, max_files=1000, is_hub=False)

    @pytest.mark.parametrize(
        "seed", [0, 1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 6))]
    )
    def test_four_clones_that_fetch_at_the_same_time_end_at_one_commit(
        self, network: Network, seed: int
    ) -> None:
        clones, dice = self.peers(network), random.Random(seed)
        rounds = 0
        while len({clone.tips()[0] for clone in clones}) > 1:
            rounds += 1
            assert rounds < 12, [clone.tips()[0] for clone in clones]
            pairs = [(n, m) for n in range(4) for m in range(4) if n != m]
            dice.shuffle(pairs)
            self.fetch_at_once(clones, pairs)
        assert len(clones[0].records()) == 4
        merges = clones[0].builder.git("rev-list", "--merges", "--count", RUNS)
        assert int(merges) < 20

    @pytest.mark.parametrize("seed", [pytest.param(n, marks=pytest.mark.long) for n in range(3)])
    def test_four_clones_that_fetch_one_after_another_end_at_one_commit(
        self, network: Network, seed: int
    ) -> None:
        clones, dice = self.peers(network), random.Random(seed)
        for rounds in range(20):
            if rounds == 2:
                clones[0].record(9)
            pairs = [(n, m) for n in range(4) for m in range(4) if n != m]
            for n, m in dice.sample(pairs, len(pairs)):
                fetch_runs(clones[n].store, f"p{m}", SETTINGS)
            if rounds > 2 and len({clone.tips()[0] for clone in clones}) == 1:
                break
        assert len({clone.tips()[0] for clone in clones}) == 1
        assert len(clones[0].records()) == 5
        tips = [clone.tips() for clone in clones]
        for n in range(4):
            fetch_runs(clones[n].store, f"p{(n + 1) % 4}", SETTINGS)
        assert [clone.tips() for clone in clones] == tips

    def test_tip_of_the_remote_wins_between_equal_histories(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.record(1)
        b.record(2)
        a.sync()
        b.sync()
        # Merge the same two histories into a different commit.
        one, tree = a.tips()[0], b.builder.git("rev-parse", f"{RUNS}^{{tree}}")
        parents = b.builder.git("rev-parse", f"{RUNS}^1", f"{RUNS}^2").split()
        (other,) = set(parents) - {one}
        b.builder.git("push", "-q", a.builder.path.as_uri(), f"{RUNS}:refs/heads/other")
        mine = a.builder.git("commit-tree", tree, "-p", one, "-p", other, "-m", "another merge")
        a.builder.git("update-ref", RUNS, mine)
        report = a.sync()
        assert not report.pushed.moved
        assert a.tips()[0] == b.tips()[0] == network.tip()

    def test_tip_that_lacks_a_record_gets_a_merge(self, network: Network) -> None:
        """A manual merge may contain all commits and still have dropped files."""
        a, b = network.clone("a"), network.clone("b")
        a.record(1)
        b.record(2)
        tips = [a.tips()[0], b.tips()[0]]
        a.builder.git("push", "-q", b.builder.path.as_uri(), f"{tips[0]}:refs/heads/other")
        tree = b.builder.git("rev-parse", f"{RUNS}^{{tree}}")
        bad = b.builder.git("commit-tree", tree, "-p", tips[0], "-p", tips[1], "-m", "drops run 1")
        b.builder.git("update-ref", RUNS, bad)
        a.builder.git("remote", "add", "b", b.builder.path.as_uri())
        a.record(3)
        fetch_runs(a.store, "b", SETTINGS)
        assert len(a.records()) == 3


class TestConflicts:
    def test_annotations_of_both_clones_are_kept(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        (run,) = a.record(1)
        a.sync()
        b.sync()
        a.note(run, 1)
        b.note(run, 2)
        b.note(run, 3)
        settle([a, b])
        assert a.tips() == b.tips()
        assert len([path for path in a.files() if path.startswith("annotations/")]) == 3

    def test_two_different_seals_are_both_kept(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        (run,) = a.record(1, name="otter", series=0.5)
        b.record(1, name="badger", series=0.25)
        a.sync()
        report = b.sync()
        settle([a, b])
        assert report.fetched.here.conflicts == 2
        files, path = a.files(), run_path(run.id, run.started)
        rivals = [other for other in files if other.startswith(path.removesuffix(".toml") + "~")]
        assert rivals == [rival_path(path, files[rivals[0]])]
        assert files[path] < files[rivals[0]]
        assert a.tips() == b.tips()

    def test_end_of_a_run_is_no_conflict(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        run = a.start(1)
        a.sync()
        b.record(2)
        b.sync()
        b.record(1)
        a.record(3)
        settle([a, b])
        assert a.tips() == b.tips()
        assert a.store.load_run(run.id, run.started).outcome is Outcome.SUCCEEDED
        assert not [path for path in a.files() if "~" in path]

    def test_later_end_of_a_run_is_a_fast_forward(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.start(1)
        a.sync()
        b.sync()
        b.record(1)
        b.sync()
        report = a.sync().fetched
        assert (report.here, report.merged, report.warnings) == (
            BranchChanges(updated=1),
            False,
            (),
        )
        assert a.tips() == b.tips()


class TestDeletion:
    def test_deleted_run_is_deleted_in_every_clone(self, network: Network) -> None:
        a, b, c = (network.clone(name) for name in "abc")
        run, other = a.record(1, 2, series=1.0)
        for clone in (a, b, c):
            clone.sync()
        c.note(run, 1)
        a.delete(run)
        b.record(3)
        assert a.sync().pushed.there == BranchChanges(deleted=1)
        settle([b, c, a])
        assert len({clone.tips() for clone in (a, b, c)}) == 1
        assert [path for path in c.files() if run.id in path] == [
            f"annotations/{run.started:%Y-%m}/{run.id[:2]}/{run.id}/delete.toml"
        ]
        assert other.id in c.records()

    def test_a_run_that_ends_after_its_deletion_is_deleted_by_the_next_merge(
        self, network: Network
    ) -> None:
        a, b = network.clone("a"), network.clone("b")
        run = a.start(1)
        settle([a, b])
        b.delete(run)
        b.sync()
        a.record(1)
        settle([a, b])
        assert run.id not in a.records() | b.records()

    def test_record_of_a_run_that_all_clones_deleted_is_removed(self, network: Network) -> None:
        """Both sides have the tombstone then, so it is not among the differences."""
        a, b = network.clone("a"), network.clone("b")
        run = a.start(1)
        settle([a, b])
        b.delete(run)
        settle([a, b])
        a.record(1)
        b.record(2)
        settle([a, b])
        assert run.id not in a.records() | b.records()
        assert a.tips() == b.tips()


class TestUntrustedRemotes:
    def test_rewritten_remote_branch_is_reported_and_nothing_is_lost(
        self, network: Network
    ) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.record(1)
        a.sync()
        b.sync()
        b.record(2)
        network.hub.git("update-ref", "-d", RUNS)
        c = network.clone("c")
        c.record(3)
        c.sync()
        report = b.sync()
        assert report.fetched.warnings == (
            "the run branch of 'origin' was rewritten; your runs are kept",
        )
        assert len(b.records()) == 3
        assert a.sync().fetched.warnings == ()
        assert a.tips() == b.tips()

    def test_record_replaced_by_a_descendant_keeps_both_versions(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        (run,) = a.record(1)
        a.sync()
        b.sync()
        path = run_path(run.id, run.started)
        forged = network.hub.git("show", f"{RUNS}:{path}").replace("otter", "forged").encode()
        network.put(RUNS, {path: forged}, network.tip())
        reports = [a.sync(), b.sync()]
        warning = "'origin' had dropped or replaced records that you have; both versions are kept"
        assert reports[0].fetched.warnings == (warning,)
        assert reports[0].fetched.here.conflicts == 1
        settle([a, b])
        assert a.tips() == b.tips()
        assert len([path for path in a.files() if run.id in path]) == 2

    def test_record_dropped_by_a_descendant_is_restored(self, network: Network) -> None:
        a = network.clone("a")
        (run,) = a.record(1)
        a.sync()
        network.put(RUNS, {run_path(run.id, run.started): None}, network.tip())
        assert a.sync().fetched.warnings
        assert run.id in a.records()
        assert network.tip() == a.tips()[0]

    @pytest.mark.parametrize("ours", [True, False])
    def test_a_branch_of_that_name_without_our_format_is_refused(
        self, network: Network, ours: bool
    ) -> None:
        a = network.clone("a")
        if ours:
            a.record(1)
        network.put(RUNS, {"main.py": b"print()"})
        before = a.builder.git("for-each-ref", "refs/heads")
        for operation in (a.sync, a.fetch, a.sync):
            with pytest.raises(Refused) as caught:
                operation()
            assert caught.value.what == "branch 'gitexp' of 'origin' is not gitexp's"
        with pytest.raises(Refused):
            push_runs(a.store, None, SETTINGS) if ours else a.fetch()
        assert a.builder.git("for-each-ref", "refs/heads") == before

    def test_a_keep_branch_with_files_is_refused(self, network: Network) -> None:
        a = network.clone("a")
        network.put(CODE, {"main.py": b"print()"})
        with pytest.raises(Refused, match="gitexp-code"):
            a.fetch()

    @pytest.mark.parametrize("ref", [RUNS, CODE])
    def test_remote_branch_that_is_no_commit_is_refused(self, network: Network, ref: str) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        tips = a.tips()
        blob = network.hub.git("hash-object", "-w", "--stdin", stdin=b"no commit")
        (network.hub.path / ref).write_text(blob)
        for _ in range(2):
            with pytest.raises(Refused, match="is not gitexp's"):
                a.sync()
        assert a.tips() == tips
        (network.hub.path / ref).unlink()
        a.sync()
        assert network.tip(ref) in tips

    def test_a_branch_of_a_newer_format_asks_for_an_update(self, network: Network) -> None:
        a = network.clone("a")
        network.put(RUNS, {"format.toml": b"format = 99\ntool = 'gitexp'\n"})
        with pytest.raises(UnreadableRecord) as caught:
            a.fetch()
        assert caught.value.hints == ("update gitexp: `pip install -U gitexp`",)

    def test_hostile_paths_are_dropped_by_a_merge(self, network: Network) -> None:
        """A path with a line break must not become a command for `git fast-import`."""
        a = network.clone("a")
        a.record(1)
        a.sync()
        bad = {
            "x\nreset refs/heads/main\nfrom refs/heads/gitexp\n": b"1",
            'quote".toml': b"2",
            "runs/sp ace": b"3",
            "ümlaut": b"4",
        }
        b = network.clone("b")
        b.record(2)
        b.sync()
        network.put(RUNS, dict(bad), network.tip())
        a.record(3)
        main = a.builder.head
        report = a.sync()
        assert report.fetched.merged
        assert a.builder.head == main == network.tip("refs/heads/main")
        assert not set(a.files()) & set(bad)
        assert len(a.records()) == 3

    def test_file_in_place_of_a_directory_removes_no_runs(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        base = network.tip()
        form = network.hub.git("show", f"{base}:format.toml").encode()
        network.put(RUNS, {"format.toml": form, "runs": b"a file"})
        a.record(2)
        a.sync()
        assert len(a.records()) == 2
        assert "runs" not in a.files()

    def test_tree_that_git_would_not_check_out_is_not_fetched(self, network: Network) -> None:
        a = network.clone("a")
        blob = network.hub.git("hash-object", "-w", "--stdin", stdin="x")
        tree = network.hub.git("mktree", stdin=f"100644 blob {blob}\t.git\n")
        network.hub.git("update-ref", RUNS, network.hub.git("commit-tree", tree, "-m", "x"))
        with pytest.raises(GitexpError, match="cannot fetch from 'origin'"):
            a.fetch()
        assert "gitexp" not in a.builder.git("for-each-ref")

    def put_submodules(self, network: Network, *paths: str) -> None:
        """Add a commit to the hub's run branch with submodules at some paths."""
        env = {"GIT_INDEX_FILE": str(network.hub.path / "index.tmp")}
        network.hub.git("read-tree", network.tip(), env=env)
        for path in paths:
            line = f"160000 {'1' * 40}\t{path}\0"
            network.hub.git("update-index", "--add", "-z", "--index-info", stdin=line, env=env)
        tree = network.hub.git("write-tree", env=env)
        commit = network.hub.git("commit-tree", tree, "-p", network.tip(), "-m", "x")
        network.hub.git("update-ref", RUNS, commit)

    def test_a_submodule_in_place_of_a_file_is_dropped(self, network: Network) -> None:
        a = network.clone("a")
        (run,) = a.record(1)
        a.sync()
        grave = annotation_path(run.id, run.started, TOMBSTONE)
        other = run_path(RunId("ab" * 8), START)
        self.put_submodules(network, run_path(run.id, run.started), grave, other)
        a.record(2)
        a.sync()
        assert a.store.load_run(run.id, run.started) == run
        assert "160000" not in a.builder.git("ls-tree", "-r", RUNS)

    def test_submodule_in_both_clones_is_no_file_version(self, network: Network) -> None:
        """A fast-forward brought the submodule into the clone. Its commit does not exist here."""
        a = network.clone("a")
        a.record(1)
        a.sync()
        run = a.run(2)
        path = series_path(run.id, run.started)
        self.put_submodules(network, path)
        a.sync()
        assert a.files()[path] == "1" * 40
        network.put(RUNS, {rival_path(path, "2" * 40): b"loss\n1\n"}, network.tip())
        a.record(3)
        a.sync()
        assert a.builder.git("show", f"{RUNS}:{path}") == "loss\n1"
        assert not [other for other in a.files() if "~" in other]
        assert a.builder.git("fsck", "--strict", "--no-dangling") == ""


class TestTooMuch:
    """S17: the cost of a remote is limited, and runs recorded in the clone stay unchanged."""

    def refused(self, clone: Clone, **limits: int) -> Refused:
        clone.record(1)
        before = clone.tips()
        settings = Settings(push_timeout=60.0, **limits)  # type: ignore[arg-type]
        with pytest.raises(Refused, match="the runs of 'origin' are not fetched") as caught:
            fetch_runs(clone.store, None, settings)
        assert clone.tips() == before
        assert clone.records() == {clone.run(1).id}
        return caught.value

    @pytest.mark.parametrize("unpack_limit", [1, 100])
    def test_more_bytes_than_allowed_are_not_received(
        self, network: Network, unpack_limit: int
    ) -> None:
        a = network.clone("a")
        a.builder.git("config", "fetch.unpackLimit", str(unpack_limit))
        noise = random.Random(7).randbytes(300_000)
        network.put(RUNS, {"format.toml": FORMAT_FILE, "runs/noise": noise})
        refusal = self.refused(a, max_fetch_size=100_000)
        assert refusal.why == "it sends more than 100,000 bytes"
        assert refusal.exit_code == 128
        left = [p for p in (a.builder.path / ".git/objects").rglob("tmp_*") if p.is_file()]
        assert left == []
        fetch_runs(a.store, None, SETTINGS._replace(max_fetch_size=1 << 20))

    def test_a_few_objects_that_spell_out_a_billion_files_are_refused(
        self, network: Network
    ) -> None:
        hub = network.hub
        oid, kind, mode = hub.git("hash-object", "-w", "--stdin", stdin=b"x"), "blob", "100644"
        for _ in range(5):
            tree = "".join(f"{mode} {kind} {oid}\t{n:03}\n" for n in range(100))
            oid, kind, mode = hub.git("mktree", stdin=tree), "tree", "040000"
        form = hub.git("hash-object", "-w", "--stdin", stdin=FORMAT_FILE)
        top = f"100644 blob {form}\tformat.toml\n040000 tree {oid}\truns\n"
        bomb = hub.git("commit-tree", hub.git("mktree", stdin=top), "-m", "by hand")
        hub.git("update-ref", RUNS, bomb)
        a, b = network.clone("a", "--single-branch"), network.clone("b", "--single-branch")
        assert self.refused(a, max_fetch_files=1000).why == "it brings more than 1,000 files"
        assert self.refused(b).hints[0].startswith("if you trust it: `git config exp.maxFetchF")
        with pytest.raises(Refused):  # also if the objects are in the clone already
            b.sync()

    def test_a_huge_file_in_a_small_pack_is_never_read(self, network: Network) -> None:
        """The other files of the same request are still read."""
        a = network.clone("a")
        (run,) = a.record(1)
        a.sync()
        network.hub.git("config", "core.bigFileThreshold", "1m")  # also read by the sending git
        huge = run_path(RunId("ab" * 8), START)
        network.put(RUNS, {huge: bytes(128 << 20)}, network.tip())
        a.record(2)
        code = (
            "import resource, sys; from pathlib import Path; "
            "from gitexp.adapters.git.repository import Repo; "
            "from gitexp.storage.branch.branch import RunBranch; "
            "from gitexp.storage.settings.options import Settings; "
            "from gitexp.features.sync.sync import sync_runs; "
            "store = RunBranch(Repo.discover(Path.cwd()), 'gitexp', durable=False); "
            "sync_runs(store, None, Settings()); "
            "print(*(resource.getrusage(who).ru_maxrss >> 10 for who in"
            " (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))"
        )
        # `ru_maxrss` starts with the memory of the parent: start it from a shell, not from pytest.
        done = subprocess.run(
            ["sh", "-c", '"$@"; exit', "sh", sys.executable, "-c", code],
            cwd=a.builder.path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert max(int(megabytes) for megabytes in done.stdout.split()) < 96
        oids = [a.files()[huge], a.files()[run_path(run.id, run.started)]]
        contents = [data for _, data in a.store.repo.read_blobs(oids, max_bytes=1 << 20)]
        assert contents[0] is None
        assert contents[1] is not None


class TestRemotes:
    def test_an_unknown_remote_is_named(self, network: Network) -> None:
        a = network.clone("a")
        with pytest.raises(NotFound, match="there is no remote 'orgin'") as caught:
            sync_runs(a.store, "orgin", SETTINGS)
        assert caught.value.near == ("origin",)

    def test_a_url_is_not_a_remote(self, network: Network) -> None:
        a = network.clone("a")
        with pytest.raises(Refused, match="is not the name of a remote"):
            sync_runs(a.store, "ext::sh -c touch% owned", SETTINGS)
        assert not (a.builder.path / "owned").exists()

    def test_a_missing_hub_is_an_error_and_changes_nothing(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        tips = a.tips()
        network.hub.path.rename(network.hub.path.with_name("moved.git"))
        for operation in (sync_runs, fetch_runs, push_runs):
            with pytest.raises(GitexpError, match="cannot fetch from 'origin'") as caught:
                operation(a.store, None, SETTINGS)
            assert "does not appear to be a git repository" in str(caught.value.why)
        assert a.tips() == tips

    def test_push_to_a_remote_that_hangs_times_out(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        a.builder.git("config", "remote.origin.uploadpack", "sleep 60; git-upload-pack")
        with pytest.raises(GitexpError) as caught:
            sync_runs(a.store, None, Settings(push_timeout=0.5))
        assert "was stopped" in str(caught.value.why)

    def test_message_of_a_rejecting_server_is_quoted(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        hook = network.hub.path / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\necho 'no runs here' >&2\nexit 1\n")
        hook.chmod(0o755)
        with pytest.raises(GitexpError, match="'origin' refused the runs") as caught:
            a.sync()
        assert "pre-receive hook declined" in str(caught.value.why)
        assert caught.value.said == ("remote: no runs here",)
        assert caught.value.hints == ("a rule of the server rejected it, see its message above",)
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(
                ["git", "rev-parse", "--verify", "-q", RUNS], cwd=network.hub.path, check=True
            )

    @pytest.mark.parametrize("atomic", ["true", "false"])
    def test_remote_branch_below_ours_is_reported_at_once(
        self, network: Network, atomic: str
    ) -> None:
        """The error looks like contention for a lock, which gitexp retries until the timeout."""
        network.hub.git("config", "receive.advertiseAtomic", atomic)
        network.hub.git("branch", "gitexp/mine", "main")
        a = network.clone("a")
        a.record(1)
        with pytest.raises(GitexpError, match="'origin' refused the runs") as caught:
            a.sync()
        assert "'refs/heads/gitexp/mine' exists" in str(caught.value.why)

    def test_push_works_without_atomic_pushes(self, network: Network) -> None:
        network.hub.git("config", "receive.advertiseAtomic", "false")
        a = network.clone("a")
        a.record(1)
        a.sync()
        assert a.tips() == (network.tip(RUNS), network.tip(CODE))

    @pytest.mark.parametrize("operation", [push_runs, sync_runs])
    def test_empty_remote_gets_no_runs_as_its_first_branch(
        self, make_repo: MakeRepo, operation: Callable[..., object]
    ) -> None:
        hub = make_repo("hub.git", bare=True)
        a = Clone.at(make_repo("a"))
        a.builder.git("remote", "add", "origin", hub.path.as_uri())
        a.record(1)
        with pytest.raises(Refused, match="not pushed to 'origin'") as caught:
            operation(a.store, None, SETTINGS)
        assert caught.value.hints == ("push your code first: `git push origin HEAD`",)
        assert hub.git("for-each-ref") == ""
        a.builder.git("push", "-q", "origin", "main")
        operation(a.store, None, SETTINGS)
        assert RUNS in hub.git("for-each-ref")

    @pytest.mark.parametrize("operation", [push_runs, sync_runs])
    def test_emptied_remote_gets_no_runs_as_its_first_branch(
        self, network: Network, operation: Callable[..., object]
    ) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        for ref in network.hub.git("for-each-ref", "--format=%(refname)").splitlines():
            network.hub.git("update-ref", "-d", ref)
        with pytest.raises(Refused, match="not pushed to 'origin'"):
            operation(a.store, None, SETTINGS)
        assert network.hub.git("for-each-ref") == ""
        a.builder.git("push", "-q", "origin", "main")
        operation(a.store, None, SETTINGS)
        assert a.tips() == (network.tip(RUNS), network.tip(CODE))

    def test_pushed_state_is_stored_by_url(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        known = push_remote(a.store.repo, "origin").known(a.store.repo, (RUNS, CODE))
        assert tuple(known.values()) == a.tips()
        a.builder.git("remote", "rename", "origin", "hub")
        assert (
            push_remote(Repo.discover(a.builder.path), "hub").known(a.store.repo, (RUNS, CODE))
            == known
        )
        other = network.make_repo("other.git", bare=True)
        a.builder.git("remote", "set-url", "hub", other.path.as_uri())
        a.builder.git("push", "-q", "hub", "main")
        moved = Clone.at(a.builder)
        assert push_remote(moved.store.repo, "hub").known(moved.store.repo, (RUNS, CODE)) == {}
        assert push_runs(moved.store, "hub", SETTINGS).there == BranchChanges(runs=1)
        assert other.git("rev-parse", RUNS) == a.tips()[0]

    @pytest.mark.parametrize(
        ("settings", "chosen"),
        [
            ({}, "origin"),
            ({"branch.main.remote": "up"}, "up"),
            ({"branch.main.remote": "up", "remote.pushDefault": "fork"}, "fork"),
            ({"remote.pushDefault": "fork", "branch.main.pushRemote": "up"}, "up"),
        ],
    )
    @pytest.mark.parametrize("head", ["main", "detached", "unborn"])
    def test_the_remote_to_push_to_is_the_one_git_chooses(
        self, repo: RepoBuilder, settings: dict[str, str], chosen: str, head: str
    ) -> None:
        for name in ("origin", "up", "fork"):
            repo.git("remote", "add", name, f"/{name}")
        for key, value in settings.items():
            repo.git("config", key, value)
        if head == "unborn":
            repo.git("update-ref", "-d", "HEAD")
        if head == "detached":
            repo.git("checkout", "-q", "--detach")
            chosen = "fork" if "remote.pushDefault" in settings else "origin"
        assert push_remote(Repo.discover(repo.path)).name == chosen

    def test_push_url_of_its_own_is_fetched_before_the_push(self, network: Network) -> None:
        fork = network.make_repo("fork.git", bare=True)
        a, b = network.clone("a"), network.clone("b")
        for clone in (a, b):
            clone.builder.git("remote", "set-url", "--push", "origin", fork.path.as_uri())
        a.builder.git("push", "-q", "origin", "main")
        a, b = Clone.at(a.builder), Clone.at(b.builder)
        a.record(1)
        push_runs(a.store, None, SETTINGS)
        b.record(2)
        push_runs(b.store, None, SETTINGS)
        assert fork.git("rev-parse", RUNS) == b.tips()[0]
        assert len(b.records()) == 2
        assert "gitexp" not in network.hub.git("for-each-ref")

    def test_setting_decides_whether_our_push_runs_other_hooks(self, network: Network) -> None:
        a = network.clone("a")
        hook = a.builder.path / ".git/hooks/pre-push"
        hook.write_text(f"#!/bin/sh\necho ran >> {a.builder.path}/log\n")
        hook.chmod(0o755)
        a.record(1)
        push_runs(a.store, None, SETTINGS._replace(push_hooks="once"))
        assert not (a.builder.path / "log").exists()
        a.record(2)
        push_runs(a.store, None, SETTINGS)
        assert (a.builder.path / "log").read_text() == "ran\n"

    @pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
    def test_lfs_objects_of_the_code_are_uploaded_first(self, network: Network) -> None:
        a = network.clone("a")
        git = a.builder.git
        git("lfs", "install", "--local", "--skip-repo")
        git("lfs", "track", "*.bin")
        a.builder.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        a.builder.commit({"model.bin": b"weights" * 100})
        a = Clone.at(a.builder)
        a.record(1)
        assert not list((network.hub.path / "lfs").rglob("*"))
        push_runs(a.store, None, SETTINGS)
        (kept,) = [p for p in (network.hub.path / "lfs").rglob("*") if p.is_file()]
        assert kept.read_bytes() == b"weights" * 100

    @pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
    def test_a_lost_lfs_object_stops_the_push_and_says_so(self, network: Network) -> None:
        a = network.clone("a")
        a.builder.git("lfs", "install", "--local", "--skip-repo")
        a.builder.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        a.builder.commit({"model.bin": b"weights"})
        for path in (a.builder.path / ".git/lfs/objects").rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                path.unlink()
        a = Clone.at(a.builder)
        a.record(1)
        with pytest.raises(GitexpError, match="cannot upload the LFS objects"):
            push_runs(a.store, None, SETTINGS)
        assert "gitexp" not in network.hub.git("for-each-ref")

    @pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
    def test_push_signs_new_runs_once(self, network: Network) -> None:
        a = network.clone("a")
        key = a.builder.path.parent / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        a.builder.git("config", "gpg.format", "ssh")
        a.builder.git("config", "user.signingKey", str(key))
        settings = SETTINGS._replace(sign="sync", author="Ada <ada@example.org>")
        a.record(1, 2)
        push_runs(a.store, None, settings)
        tip = a.tips()[0]
        signed = a.builder.git("rev-list", RUNS).splitlines()
        raw = [a.builder.git("cat-file", "commit", oid) for oid in signed]
        assert [("gpgsig" in text) for text in raw] == [True, False, False]
        assert "committer Ada <ada@example.org>" in raw[0]
        assert push_runs(a.store, None, settings).moved is False
        assert a.tips()[0] == tip == network.tip()
        b = network.clone("b")
        b.sync()
        assert b.tips()[0] == tip

    def test_failed_signature_is_reported_and_the_runs_are_pushed(self, network: Network) -> None:
        a = network.clone("a")
        a.builder.git("config", "gpg.format", "ssh")
        a.builder.git("config", "user.signingKey", "/no/such/key")
        a.record(1)
        report = push_runs(a.store, None, SETTINGS._replace(sign="sync"))
        assert report.warnings[0].startswith("the runs are not signed: ")
        assert network.tip() == a.tips()[0]

    def test_push_without_runs_does_nothing(self, network: Network) -> None:
        a = network.clone("a")
        report = push_runs(a.store, None, SETTINGS)
        assert (report.moved, report.tries) == (False, 0)

    def test_a_branch_deleted_on_the_remote_is_pushed_again(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        network.hub.git("update-ref", "-d", RUNS)
        assert push_runs(a.store, None, SETTINGS).there == BranchChanges(runs=1)
        assert network.tip() == a.tips()[0]


class TestRaces:
    def test_a_stale_push_fetches_merges_and_tries_again(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.record(1)
        a.sync()
        b.sync()
        a.record(2)
        push_runs(a.store, None, SETTINGS)
        b.record(3)
        report = push_runs(b.store, None, SETTINGS)
        assert report.tries == 2
        assert report.fetched is not None
        assert report.fetched.here == BranchChanges(runs=1)
        assert report.there == BranchChanges(runs=1)
        assert network.tip() == b.tips()[0]

    def test_rejected_clone_waits_before_its_next_push_and_then_less(
        self, network: Network, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise the last winner keeps winning, since it need not fetch and merge first."""
        a, b = network.clone("a"), network.clone("b")
        for clone in (a, b):
            clone.record(1)
            clone.sync()
        waited: list[float] = []
        monkeypatch.setattr(clock, "sleep", waited.append)
        monkeypatch.setattr(clock, "jitter", lambda most_s: most_s)

        def pauses_of_a_push(clone: Clone, number: int) -> list[float]:
            waited.clear()
            clone.record(number)
            push_runs(clone.store, None, SETTINGS)
            return waited.copy()

        assert pauses_of_a_push(a, 2) == [0.0]
        before, after_a_refusal = pauses_of_a_push(b, 3)
        assert before == 0.0 < after_a_refusal
        (first,) = pauses_of_a_push(b, 4)
        (second,) = pauses_of_a_push(b, 5)
        assert first > 0.0
        assert second < first

    def test_a_writer_beside_a_fetch_loses_nothing(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.record(*range(1, 11))
        a.sync()

        def work() -> None:
            for n in range(101, 111):
                b.record(n)

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(5):
            b.sync()
        thread.join()
        settle([a, b])
        assert len(a.records()) == 20

    def test_push_stops_at_its_timeout(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        lock = network.hub.path / f"{RUNS}.lock"
        lock.touch()
        a.record(2)
        with pytest.raises(Conflict, match="cannot push the runs to 'origin'"):
            push_runs(a.store, None, Settings(push_timeout=1.0))
        lock.unlink()
        push_runs(a.store, None, SETTINGS)
        assert network.tip() == a.tips()[0]


class TestShapes:
    def test_sync_of_sha256_repositories(self, make_repo: MakeRepo) -> None:
        network = Network(make_repo, sha256=True)
        a, b = network.clone("a"), network.clone("b")
        (run,) = a.record(1, name="otter")
        b.record(1, name="badger")
        a.record(2)
        settle([a, b])
        assert a.tips() == b.tips()
        assert len(a.tips()[0]) == 64
        assert len([path for path in a.files() if run.id in path]) == 2

    @pytest.mark.parametrize("options", [["--depth=1"], ["--depth=1", "--no-single-branch"]])
    def test_sync_of_a_shallow_clone(self, network: Network, options: list[str]) -> None:
        network.seed.commit({"b.py": "1\n"})
        network.seed.commit({"c.py": "1\n"})
        network.seed.git("push", "--quiet", str(network.hub.path), "main")
        a = network.clone("a")
        a.record(1)
        a.sync()
        a.record(2)
        a.sync()
        b = network.clone("b", *options)
        b.record(3)
        a.record(4)
        settle([a, b])
        assert a.tips() == b.tips()
        assert len(b.records()) == 4

    def test_sync_of_a_partial_clone(self, network: Network) -> None:
        network.hub.git("config", "uploadpack.allowFilter", "true")
        network.hub.git("config", "uploadpack.allowAnySHA1InWant", "true")
        a = network.clone("a")
        a.record(1)
        a.sync()
        b = network.clone("b", "--filter=blob:none", "--single-branch")
        b.fetch()
        missing = b.builder.git("rev-list", "--objects", "--missing=print", RUNS)
        assert "?" not in missing
        b.record(2)
        settle([a, b])
        assert a.tips() == b.tips()
        assert len(b.records()) == 2

    def test_sync_of_a_linked_worktree_with_a_detached_head(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        tree = a.builder.path.parent / "linked"
        a.builder.git("worktree", "add", "--quiet", "--detach", str(tree))
        linked = Clone.at(RepoBuilder(tree))
        linked.record(1)
        b.record(2)
        settle([linked, b])
        assert a.tips() == b.tips()

    def test_bare_repository_records_and_fetches(self, network: Network, tmp_path: Path) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        network.hub.git(
            "clone", "--quiet", "--bare", network.hub.path.as_uri(), str(tmp_path / "m.git")
        )
        mirror = Clone.at(RepoBuilder(tmp_path / "m.git"))
        mirror.record(2)
        settle([a, mirror])
        assert a.tips() == mirror.tips()


def snapshot(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield (
                str(path.relative_to(folder)),
                stat.S_IMODE(path.stat().st_mode),
                path.read_bytes(),
            )


class TestTheUsersOwn:
    def test_sync_changes_no_index_refs_tags_and_files(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        b.builder.git("tag", "-a", "-m", "mine", "v1")
        b.builder.commit({"new.py": "1\n"})
        network.seed.commit({"theirs.py": "1\n"})
        network.seed.git("tag", "v2")
        network.seed.git("push", "--quiet", "--tags", str(network.hub.path), "main")
        network.hub.git("tag", "v3", "main~1")
        for key in ("push.followTags", "remote.origin.mirror", "fetch.prune", "fetch.pruneTags"):
            b.builder.git("config", key, "true")
        b.builder.git("config", "push.recurseSubmodules", "check")
        b.builder.write("dirty.txt", "dirty")
        b.builder.git("add", "dirty.txt")
        a.record(1)
        a.sync()
        b.record(2)
        git_dir = b.builder.path / ".git"

        def state() -> list[object]:
            refs = b.builder.git("for-each-ref").splitlines()
            own = [line for line in refs if "gitexp" not in line]
            own_files = ("HEAD", "index", "FETCH_HEAD", "ORIG_HEAD", "config", "shallow")
            kept = [
                (git_dir / f).read_bytes() if (git_dir / f).exists() else None for f in own_files
            ]
            return [own, kept, list(snapshot(git_dir / "hooks"))]

        before, hub_before = (
            state(),
            network.hub.git("for-each-ref", "refs/tags", "refs/heads/main"),
        )
        b.sync()
        assert state() == before
        assert network.hub.git("for-each-ref", "refs/tags", "refs/heads/main") == hub_before
        assert a.sync().fetched.here == BranchChanges(runs=1)

    def test_a_fetch_makes_no_remote_tracking_branches(self, network: Network) -> None:
        a, b = network.clone("a"), network.clone("b")
        a.record(1)
        a.sync()
        before = b.builder.git("for-each-ref", "refs/remotes")
        b.fetch()
        assert b.builder.git("for-each-ref", "refs/remotes") == before

    def test_remote_tips_are_stored_below_refs_gitexp(self, network: Network) -> None:
        a = network.clone("a")
        a.record(1)
        a.sync()
        key = push_remote(a.store.repo, "origin").key
        assert a.builder.git("rev-parse", remote_ref(key, RUNS)) == a.tips()[0]

    def test_push_marks_itself_for_the_hook(self, network: Network) -> None:
        a = network.clone("a")
        hook = a.builder.path / ".git" / "hooks" / "pre-push"
        hook.write_text(f'#!/bin/sh\necho "$GITEXP_IN_PUSH" > "{a.builder.path}/guard"\n')
        hook.chmod(0o755)
        a.record(1)
        push_runs(a.store, None, SETTINGS)
        assert (a.builder.path / "guard").read_text() == "1\n"
        assert remotes.GUARD == "GITEXP_IN_PUSH"
