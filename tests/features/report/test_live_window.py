"""Many runs: the page holds some, and the cache answers filters and orders."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome
from gitexp.features.report.live import window
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import make_repository
from tests.browser.searches import Search, usual_search
from tests.conftest import MakeRepo, RepoBuilder
from tests.features.report.live_server import Live, serving


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> RepoBuilder:
    """A repository with the usual search."""
    made = make_repository(tmp_path_factory.mktemp("window") / "petrel")
    made.write("gitexp.toml", 'metric = "val.acc"\n')
    usual_search(made).finish()
    return made


@pytest.fixture
def live(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A page that holds the newest ten and the best two trials."""
    for name, limit in (("MOST_WHOLE", 20), ("NEWEST", 10), ("RANKED", 2), ("SHOWN", 8)):
        monkeypatch.setattr(window, name, limit)
    with serving(repo) as found:
        yield found


def test_a_page_of_many_runs_holds_the_newest_the_best_and_whole_trials(live: Live) -> None:
    index = Workspace.open(live.repo.path).index
    document = live.get("data").document
    held = {RunId(run) for run in document["columns"]["id"]["raw"]}
    assert document["n"] == len(held) < document["total"] == index.count()
    assert set(index.ids(limit=10)) <= held
    best = document["metrics"][0]["best"]
    assert document["columns"]["id"]["raw"][best["row"]] in held
    assert best["n"] == 4, "judged among all runs"
    assert document["brief"]["total"] == index.count()
    for members in index.groups.members(index.groups.of_runs(held).values()).values():
        assert set(members) <= held
    shown = document["window"]
    assert shown["ids"] == index.ids(None, "metrics.val.acc", descending=True, limit=8)
    assert (shown["sort"], shown["where"], shown["more"]) == ("-metrics.val.acc", "", True)
    steps = document["metrics"][0]["history"]
    assert next(round(value, 2) for _, value in steps) == 0.63, "those that led once are held"


def test_a_page_of_many_runs_holds_each_change_of_the_best_mean(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo("petrel")
    repo.write("gitexp.toml", 'metric = "val.acc"\n')
    repo.commit({"train.py": "pass\n"}, "a model")
    search = Search(repo)
    for width, accuracy, seed in ((1, 0.8, 0), (1, 0.4, 1), (2, 0.7, 0), (3, 0.9, 0)):
        search.run({"width": width}, accuracy, seed=seed)
    for width in range(4, 10):
        search.run({"width": width}, 0.1)
    search.finish()
    for name in ("MOST_WHOLE", "NEWEST", "RANKED", "SHOWN"):
        monkeypatch.setattr(window, name, 1)
    with serving(repo) as live:
        document = live.get("data").document
    assert document["n"] == 5, "the four that changed the best mean, and the newest"
    steps = [round(value, 2) for _, value in document["metrics"][0]["history"]]
    assert steps == [0.8, 0.6, 0.7, 0.9]


@pytest.mark.parametrize(
    ("where", "sort"),
    [
        ("", "-metrics.val.acc"),
        ("mixup == 0.2", "params.lr"),
        ("val.acc > 0.7 and width in (96, 128)", "-started"),
        ('outcome == "failed"', "name"),
        ("val.acc > 9", "-metrics.val.acc"),
        ("", "delta"),
    ],
)
def test_filters_and_orders_are_answered_as_the_list_answers(
    live: Live, where: str, sort: str
) -> None:
    workspace = Workspace.open(live.repo.path)
    reply = live.get("rows?" + urlencode({"where": where, "sort": sort}))
    assert reply.status == 200, reply.body
    found = reply.document
    key = None if sort == "delta" else sort.removeprefix("-")
    expected = workspace.index.ids(
        workspace.query(where), key, descending=sort.startswith("-"), limit=8
    )
    assert found["window"]["ids"] == expected
    assert found["window"]["more"] == (len(expected) == 8)
    assert found["columns"]["id"]["raw"][: len(expected)] == expected
    if expected and where != 'outcome == "failed"':
        assert "family" in found["columns"]


def test_a_filter_with_a_fault_is_explained(live: Live) -> None:
    reply = live.get("rows?" + urlencode({"where": "nothing > 1", "sort": ""}))
    assert reply.status == 409
    assert "nothing" in reply.document["error"]
    assert live.get("rows", Origin="https://example.org").status == 403


def test_a_page_of_few_runs_holds_all(repo: RepoBuilder) -> None:
    with serving(repo) as live:
        document = live.get("data").document
    assert document["n"] == document["total"]
    assert "window" not in document
    assert Outcome.RUNNING.value in document["columns"]["outcome"]["dict"]
