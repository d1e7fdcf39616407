"""The page's filter answers as `--where` does: one table, asked of both."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitexp.core.errors import InvalidQuery
from gitexp.core.model.ids import ObjectId
from gitexp.features.recording.batch import record_events
from gitexp.storage.branch.events import annotated, sealed
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import Show, make_report, make_repository
from tests.browser.filter_runs import entries
from tests.conftest import RepoBuilder

CASES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("filter_cases.json").read_text(encoding="utf-8")
)
"""Each has a `filter`, and the names of the runs that it `matches`, or where its `fault` is."""

SAME_PLACE = ("no run has", "is ambiguous", "is a group of names")
"""Faults of names, whose place both name alike; of others either may name the end or the start."""


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> RepoBuilder:
    """A repository with the runs of the table."""
    repo = make_repository(tmp_path_factory.mktemp("filter") / "runs")
    repo.commit({"x.py": "print(1)\n"}, "code")
    tree = ObjectId(repo.git("rev-parse", "HEAD^{tree}"))
    events = []
    for entry in entries():
        run = replace(entry.run, code=replace(entry.run.code, tree=tree))
        events.append(sealed(run, [], run.outcome.value))
        events += [annotated(entry.run, a, "said") for a in entry.annotations]
    record_events(Workspace.open(repo.path), events)
    return repo


def test_where_answers_as_the_table_says(filtered: RepoBuilder) -> None:
    workspace = Workspace.open(filtered.path)
    names = {entry.run.id: entry.run.name for entry in entries()}
    for case in CASES:
        try:
            found = workspace.index.ids(workspace.query(case["filter"]))
        except InvalidQuery:
            assert "fault" in case, case
        else:
            if case["filter"]:  # no filter at all is no fault of a command
                assert sorted(names[run] for run in found) == sorted(case["matches"]), case


def test_the_page_answers_as_the_table_says(filtered: RepoBuilder, show: Show) -> None:
    shown = show(make_report(filtered), "v=runs")
    answers = shown.page.evaluate(
        """(filters) => {
            const { page, matchingRows } = globalThis.gitexp;
            const { columns, known } = page.search;
            const nameOf = (row) => columns.get("name", row);
            return filters.map((text) => {
                try {
                    return { matches: matchingRows(text, columns, known).map(nameOf) };
                } catch (fault) {
                    const at = fault.at === undefined ? String(fault) : fault.at;
                    return { fault: at, why: fault.message };
                }
            });
        }""",
        [case["filter"] for case in CASES],
    )
    faults = []
    for case, answer in zip(CASES, answers, strict=True):
        if "matches" in case and answer.get("matches") != case["matches"]:
            faults.append(f"{case['filter']!r}: {answer}, not {case['matches']}")
        if "fault" not in case:
            continue
        if isinstance(answer.get("fault"), str) or "fault" not in answer:
            faults.append(f"{case['filter']!r}: {answer}, not a fault")
        elif answer["fault"] != case["fault"] and any(w in answer["why"] for w in SAME_PLACE):
            faults.append(f"{case['filter']!r}: fault at {answer}, not {case['fault']}")
    assert not faults, "\n".join(faults)
