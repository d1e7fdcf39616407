"""Decisions, notes and tags from the page: recorded on the branch as the commands record them."""

from collections.abc import Iterator

import pytest

from gitexp.core.model.annotations import AnnotationKind, Decision
from gitexp.core.model.run import Run
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import make_repository
from tests.conftest import RepoBuilder
from tests.features.report.live_server import Live, serving, small_search


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[RepoBuilder, list[Run]]:
    """A repository with three runs, of which the first is kept and guards the loss."""
    repo = make_repository(tmp_path_factory.mktemp("live") / "petrel")
    settings = 'metric = "val.acc"\n[metrics."val.loss"]\ndirection = "minimize"\nmax = 0.5\n'
    repo.write("gitexp.toml", settings)
    _, runs = small_search(repo)
    return repo, runs


@pytest.fixture(scope="module")
def live(searched: tuple[RepoBuilder, list[Run]]) -> Iterator[Live]:
    """The page of this repository."""
    with serving(searched[0]) as found:
        yield found


@pytest.fixture(scope="module")
def runs(searched: tuple[RepoBuilder, list[Run]]) -> list[Run]:
    """Its runs; the loss of the first breaks the guard."""
    return searched[1]


def test_a_decision_is_recorded_as_the_command_records_it(live: Live, runs: list[Run]) -> None:
    before = live.tip()
    change = {
        "kind": "decision",
        "decision": "discard",
        "text": " too slow ",
        "hint": "",
        "seen": 0,
    }
    reply = live.say({"run": runs[1].id, **change})
    assert reply.status == 200, reply.body
    assert live.repo.git("rev-list", "--count", f"{before}..gitexp") == "1"
    subject = live.repo.git("log", "-1", "--format=%s", "gitexp")
    assert subject == f"decision {runs[1].id[:7]} {runs[1].name}: discard, too slow"
    entry = Workspace.open(live.repo.path).index.entry(runs[1].id)
    (made,) = entry.annotations
    assert (made.kind, made.decision, made.text, made.hint) == (
        AnnotationKind.DECISION,
        Decision.DISCARD,
        "too slow",
        None,
    )
    assert made.author == "Ada Example <ada@example.org>"
    assert reply.document["annotation"]["id"] == made.id


def test_a_run_that_breaks_a_guard_is_kept_when_confirmed(live: Live, runs: list[Run]) -> None:
    before = live.tip()
    change = {"kind": "decision", "run": runs[0].id, "decision": "keep"}
    reply = live.say(change)
    assert (reply.status, live.tip()) == (409, before)
    assert "it breaks a guard: " in reply.document["because"]
    assert live.say({**change, "force": True}).status == 200
    assert live.tip() != before


def test_a_decision_made_since_the_page_was_drawn_is_shown(live: Live, runs: list[Run]) -> None:
    change = {"kind": "decision", "run": runs[2].id, "decision": "improve", "text": "go on"}
    assert live.say({**change, "seen": 0}).status == 200
    before = live.tip()
    reply = live.say({**change, "decision": "stop", "seen": 0})
    assert (reply.status, live.tip()) == (409, before)
    assert reply.document["because"] == "Ada Example decided improve: go on"
    assert live.say({**change, "decision": "stop", "seen": 1}).status == 200


def test_notes_and_tags_are_recorded(live: Live, runs: list[Run]) -> None:
    run = runs[2].id
    assert live.say({"kind": "note", "run": run, "text": "flat from step 40 on"}).status == 200
    assert live.say({"kind": "tag", "run": run, "tags": ["paper", "best"]}).status == 200
    assert live.say({"kind": "untag", "run": run, "tags": ["best"]}).status == 200
    entry = Workspace.open(live.repo.path).index.entry(run)
    assert entry.tags == ("paper",)
    assert "flat from step 40 on" in [one.text for one in entry.annotations]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "note", "text": " "}, "nothing to note"),
        ({"kind": "tag", "tags": []}, "no tag"),
        ({"kind": "tag", "tags": "paper"}, "no tag"),
        ({"kind": "decision", "decision": "perhaps"}, "no such decision"),
        ({"kind": "decision", "decision": None}, "no such decision"),
        ({"kind": "delete"}, "no request"),
        ({"kind": ["note"]}, "no request"),
        ({"kind": "note", "text": 7}, "no text"),
        ({"kind": "note", "text": "x", "author": "Eve <eve@example.org>"}, "no request"),
        ({"kind": "note", "text": "x", "run": "last"}, "not a run id"),
        ({"kind": "note", "text": "x", "run": "0" * 16}, "no run"),
        ({"kind": "note", "text": "x", "run": None}, "not a run id"),
    ],
)
def test_what_no_command_takes_is_refused(
    live: Live, runs: list[Run], change: dict[str, object], words: str
) -> None:
    before = live.tip()
    reply = live.say({"run": runs[0].id, **change})
    assert (reply.status, live.tip()) == (409, before)
    assert words in reply.document["error"]


def test_a_list_is_no_change(live: Live) -> None:
    assert live.say([1, 2]).status == 409


def test_nothing_is_recorded_when_reading_only(live: Live, runs: list[Run]) -> None:
    before = live.tip()
    with serving(live.repo, read_only=True) as page:
        reply = page.say({"kind": "note", "run": runs[0].id, "text": "x"})
        assert page.get("data").document["read_only"] is True
    assert (reply.status, live.tip()) == (403, before)
    assert reply.document == {"error": "nothing is recorded: the page is read-only"}
