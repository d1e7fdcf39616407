"""Selectors that a user may type as RUN, and errors for none or several runs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity
from gitexp.core.errors import Ambiguous, InvalidInput, NotFound, Refused
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Annotation, AnnotationKind, Code, Direction, Origin, Outcome, Run
from gitexp.features.runs.select import Newest, Own, newest_of, select_run
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import annotated, deleted, sealed, started
from gitexp.storage.cache.cache import Cache
from gitexp.storage.cache.runs import CachedRuns
from tests.conftest import RepoBuilder

STARTED = datetime(2026, 11, 23, 10, tzinfo=UTC)
ADA = Identity("Ada", "ada@example.org")


class Bench:
    """A repository in which tests record runs and select them."""

    def __init__(self, builder: RepoBuilder) -> None:
        self.builder = builder
        self.repo = Repo.discover(builder.path)
        self.store = RunBranch(self.repo, "gitexp", durable=False)
        self.clock = 0

    def record(self, run: str, **changes: Any) -> Run:
        """Record a sealed run on the current commit; `changes` are fields of it."""
        self.clock += 1
        made = Run(
            id=RunId(run.ljust(16, "0")),
            name=f"calm-fox-{self.clock}",
            outcome=Outcome.SUCCEEDED,
            clock=self.clock,
            started=STARTED + timedelta(days=self.clock),
            author="Ada <ada@example.org>",
            origin=Origin.RUN,
            code=Code(
                commit=ObjectId(self.builder.head),
                tree=ObjectId(self.builder.git("rev-parse", "HEAD^{tree}")),
            ),
        )
        made = replace(made, **changes)
        event = started(made) if made.outcome is Outcome.RUNNING else sealed(made, [], "done")
        with self.store.transaction(ADA, made.started) as transaction:
            transaction.add(event)
        assert transaction.committed.tip is not None
        self.tip = transaction.committed.tip
        return made

    def annotate(self, run: Run, kind: AnnotationKind, text: str) -> ObjectId:
        note = Annotation(
            id="delete" if kind is AnnotationKind.DELETE else "a" * 16,
            run=run.id,
            kind=kind,
            clock=99,
            time=STARTED,
            author="Ada <ada@example.org>",
            text=text,
        )
        event = (
            deleted(run, note, self.index().paths(run.id))
            if kind is AnnotationKind.DELETE
            else annotated(run, note, text)
        )
        with self.store.transaction(ADA, STARTED) as transaction:
            transaction.add(event)
        assert transaction.committed.tip is not None
        return transaction.committed.tip

    def index(self) -> CachedRuns:
        return Cache(self.repo, self.store.run_ref).newest()

    def best_run(self, index: CachedRuns, metric: str) -> RunId | None:
        groups = index.groups.top(metric, Direction.MAXIMIZE, 1)
        return next((m.run for m in index.groups.measurements(metric, groups)), None)

    def select(self, text: str, **options: Any) -> RunId:
        index = self.index()
        options.setdefault("best_run", lambda metric: self.best_run(index, metric))
        return select_run(text, self.repo, index, **options)


@pytest.fixture
def bench(repo: RepoBuilder) -> Bench:
    return Bench(repo)


def test_a_run_is_selected_by_id_prefix_and_name(bench: Bench) -> None:
    run, other = bench.record("7f3a9c"), bench.record("7f3b", name="my best one")
    for text in (run.id, run.id[:7], "7f3a", run.name):
        assert bench.select(text) == run.id
    assert bench.select("my best one") == other.id


def test_a_full_id_wins_over_a_name_that_looks_like_it(bench: Bench) -> None:
    run = bench.record("7f3a")
    bench.record("1234", name=run.id)
    assert bench.select(run.id) == run.id


@pytest.mark.parametrize(
    ("text", "back"),
    [("last", 0), ("last~0", 0), ("@{0}", 0), ("last~", 1), ("last~1", 1), ("@{2}", 2)],
)
def test_runs_are_counted_back_from_the_newest(bench: Bench, text: str, back: int) -> None:
    runs = [bench.record(f"{n}") for n in range(1, 4)]
    assert bench.select(text) == runs[-1 - back].id


def test_last_may_still_be_running(bench: Bench) -> None:
    bench.record("1")
    running = bench.record("2", outcome=Outcome.RUNNING)
    assert bench.select("last") == running.id


MINE, THEIRS = "a" * 16, "b" * 16


def test_last_counts_the_runs_of_the_session(bench: Bench) -> None:
    first = bench.record("1", session=MINE)
    second = bench.record("2", session=MINE)
    third = bench.record("3", session=THEIRS)
    own = Own(MINE, to_change=True)
    for text, run in (
        ("last", second),
        ("@{0}", second),
        ("@{1}", first),
        ("last~1", first),
        ("last:any", third),
        ("last:any~1", second),
        ("last:any~", second),
    ):
        assert bench.select(text, own=own) == run.id, text
    assert bench.select("last") == third.id
    with pytest.raises(NotFound, match="cannot go back 2 runs") as found:
        bench.select("@{2}", own=own)
    assert found.value.hints == ("there are 2 runs of this work tree; `last:any~2` counts all",)


def test_last_without_a_run_of_the_session_counts_the_repository_and_says_so(bench: Bench) -> None:
    run = bench.record("1", session=THEIRS)
    for session, named, place in (
        (None, False, "this work tree"),
        (MINE, False, "this work tree"),
        ("agent-1", True, "session 'agent-1'"),
    ):
        told: list[str] = []
        own = Own(session, is_named=named, on_others=told.append)
        assert bench.select("last", own=own) == run.id
        assert told == [f"{place} has no run yet: 'last' counts those of the repository"]
        with pytest.raises(Refused, match="cannot tell which run 'last' means") as refused:
            bench.select("last", own=own._replace(to_change=True))
        assert refused.value.why == f"{place} has no run yet"
        assert refused.value.hints[0] == (
            "the newest of the repository is 1000000 calm-fox-1, by Ada:"
            " if you mean it, name it by its id"
        )
        assert bench.select("last:any", own=own._replace(to_change=True)) == run.id
        assert bench.select("1000", own=own._replace(to_change=True)) == run.id


def test_last_after_a_failed_start_can_be_read_but_not_changed(bench: Bench) -> None:
    run = bench.record("1", session=MINE)
    own = Own(MINE, has_failed_start=True)
    assert bench.select("last", own=own) == run.id
    with pytest.raises(Refused, match="cannot tell which run '@\\{0\\}' means") as refused:
        bench.select("@{0}", own=own._replace(to_change=True))
    assert refused.value.why == "the last attempt to start a run in this work tree started none"
    assert refused.value.hints[0].startswith("the newest of this work tree is 1000000 calm-fox-1")


def test_the_newest_of_a_session_are_those_of_the_repository_where_it_has_none(
    bench: Bench,
) -> None:
    mine = bench.record("1", session=MINE, metrics={"loss": 0.5})
    theirs = bench.record("2", session=THEIRS)
    index = bench.index()
    assert newest_of(index, MINE, 5) == Newest([mine.id], are_own=True)
    assert newest_of(index, "x", 5) == Newest([theirs.id, mine.id], are_own=False)
    assert newest_of(index, None, 5, with_metric="loss") == Newest([mine.id], are_own=False)
    assert newest_of(index, THEIRS, 5, with_metric="loss") == Newest([mine.id], are_own=False)
    assert newest_of(index, MINE, 5, before=mine) == Newest([], are_own=False)


def test_best_uses_the_only_or_the_named_metric(bench: Bench) -> None:
    low = bench.record("1", metrics={"loss": 0.1})
    high = bench.record("2", metrics={"loss": 0.9})
    bench.record("3", metrics={"loss": 0.95}, outcome=Outcome.RUNNING)
    assert bench.select("best") == high.id
    other = bench.record("4", metrics={"val": {"acc": 0.5}})
    for text in ("best:val.acc", "best:metrics.val.acc"):
        assert bench.select(text) == other.id
    assert bench.select("best", metric="loss") == high.id
    asked: list[str] = []

    def best_run(metric: str) -> RunId:
        asked.append(metric)
        return low.id

    assert bench.select("best:metrics.loss", best_run=best_run) == low.id
    assert asked == ["loss"]


def test_best_of_several_metrics_must_say_which(bench: Bench) -> None:
    bench.record("1", metrics={"loss": 0.1, "accuracy": 1})
    with pytest.raises(InvalidInput) as caught:
        bench.select("best")
    assert caught.value.why == "there are 2 metrics: accuracy, loss"
    assert caught.value.hints == ("write `best:accuracy`",)


def test_commit_of_the_run_branch_selects_its_run(bench: Bench) -> None:
    run = bench.record("1")
    first = bench.tip
    bench.record("2")
    noted = bench.annotate(run, AnnotationKind.NOTE, "Run-Id: 2000000000000000")
    for text in (first, first[:10], noted, "gitexp", "refs/heads/gitexp"):
        assert bench.select(text) == run.id
    assert bench.select("gitexp~1") == RunId("2".ljust(16, "0"))


def test_a_commit_about_a_deleted_run_says_so(bench: Bench) -> None:
    run = bench.record("1")
    bench.record("2")
    gone = bench.annotate(run, AnnotationKind.DELETE, "a mistake")
    with pytest.raises(NotFound) as caught:
        bench.select(gone)
    assert caught.value.hints == (f"run {run.id} was deleted",)


def test_a_code_commit_selects_its_latest_run(bench: Bench) -> None:
    bench.record("1")
    latest = bench.record("2")
    old = bench.builder.head
    bench.builder.git("tag", "v1")
    bench.builder.branch("topic")
    bench.builder.commit({"train.py": "print(2)\n"})
    snapshot = ObjectId(bench.builder.git("commit-tree", "-m", "x", "HEAD^{tree}"))
    newer = bench.record(
        "3",
        code=Code(
            commit=ObjectId(bench.builder.head),
            tree=ObjectId(bench.builder.git("rev-parse", "HEAD^{tree}")),
            dirty=True,
            snapshot=snapshot,
        ),
    )
    for text in (old, old[:8], "v1", "main", "topic~1"):
        assert bench.select(text) == latest.id
    for text in ("HEAD", "topic", snapshot):
        assert bench.select(text) == newer.id
    bench.builder.commit({"train.py": "print(3)\n"})
    with pytest.raises(NotFound, match="no run was made from commit 'HEAD'"):
        bench.select("HEAD")


def ambiguous_name(bench: Bench) -> str:
    bench.record("aaaa1111", name="twin")
    bench.record("bbbb2222", name="twin", outcome=Outcome.FAILED)
    return "twin"


def ambiguous_prefix(bench: Bench) -> str:
    bench.record("aaaa1111", name="twin")
    bench.record("aaaa2222", name="twin", outcome=Outcome.FAILED)
    return "aaaa"


def ambiguous_name_and_prefix(bench: Bench) -> str:
    bench.record("aaaa1111", name="twin")
    bench.record("2222", name="aaaa")
    return "aaaa"


@pytest.mark.parametrize(
    ("arrange", "candidates"),
    [
        (
            ambiguous_name,
            ("bbbb222 twin (failed, 2026-11-25)", "aaaa111 twin (succeeded, 2026-11-24)"),
        ),
        (
            ambiguous_prefix,
            ("aaaa111 twin (succeeded, 2026-11-24)", "aaaa222 twin (failed, 2026-11-25)"),
        ),
        (
            ambiguous_name_and_prefix,
            ("aaaa111 twin (succeeded, 2026-11-24)", "2222000 aaaa (succeeded, 2026-11-25)"),
        ),
    ],
)
def test_ambiguous_selector_lists_the_runs(
    bench: Bench, arrange: Callable[[Bench], str], candidates: tuple[str, ...]
) -> None:
    text = arrange(bench)
    with pytest.raises(Ambiguous) as caught:
        bench.select(text)
    assert caught.value.what == f"'{text}' names 2 runs"
    assert caught.value.candidates == candidates


def test_a_long_list_of_candidates_is_cut(bench: Bench) -> None:
    for n in range(10):
        bench.record(f"{n}", name="twin")
    with pytest.raises(Ambiguous) as caught:
        bench.select("twin")
    assert len(caught.value.candidates) == 9
    assert caught.value.candidates[-1] == "2 more"


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("calm-fix-1", NotFound, "there is no run 'calm-fix-1'"),
        ("7f3", NotFound, "there is no run '7f3'"),
        ("ffff", NotFound, "there is no run 'ffff'"),
        ("f" * 16, NotFound, f"there is no run '{'f' * 16}'"),
        ("--all", NotFound, "there is no run '--all'"),
        ("HEAD..main", NotFound, "there is no run 'HEAD..main'"),
        ("a\nb", NotFound, "there is no run 'a\nb'"),
        ("last~7", NotFound, "cannot go back 7 runs"),
        ("@{99999999999999999999}", NotFound, "cannot go back 9,999,999,999 runs"),
        ("best:acuracy", NotFound, "no run has the metric 'acuracy'"),
        ("best:word", NotFound, "no run is the best by 'word'"),
        ("", InvalidInput, "cannot select a run by an empty name"),
        ("a\0b", InvalidInput, "cannot select a run by an empty name"),
    ],
)
def test_selector_without_a_run_is_refused(
    bench: Bench, text: str, error: type[Exception], what: str
) -> None:
    bench.record("7f3a", metrics={"accuracy": 1, "word": "x"})
    with pytest.raises(error) as caught:
        bench.select(text)
    assert str(caught.value) == what


def test_similar_name_is_suggested(bench: Bench) -> None:
    bench.record("7f3a", metrics={"accuracy": 1})
    for text, near in [
        ("calm-fix-1", "calm-fox-1"),
        ("lsat", "last"),
        ("best:acuracy", "accuracy"),
    ]:
        with pytest.raises(NotFound) as caught:
            bench.select(text)
        assert caught.value.near == (near,)


def test_selector_without_any_run_says_how_to_record_one(bench: Bench) -> None:
    for text in ("last", "@{3}"):
        with pytest.raises(NotFound) as caught:
            bench.select(text)
        assert caught.value.what == "no run is recorded yet"
        assert caught.value.hints == ("`git exp run -- COMMAND` records one",)
    with pytest.raises(NotFound, match="no run has a metric yet"):
        bench.select("best")
