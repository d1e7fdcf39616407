"""Pairs that a reader picks, judged in the page and by Python, one table of cases for both.

Cases are all pairs of trials by every metric: with declared noise, a smallest effect, a guard and
bounds; metrics of the machine, on two machines, in turns and not; failed runs; no direction; two
units.
Guards are compared for every trial by every main metric, each with another reference.
"""

import math
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from gitexp.core.model.run import Checks, Decision, Outcome, Run, Table
from gitexp.features.runs.judge import compare_pair, judge_run_guards, with_guards
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import Show, make_report, make_repository
from tests.browser.searches import Search
from tests.conftest import RepoBuilder

SETTINGS = """\
metric = "acc"

[metrics.acc]
noise = 0.004

[metrics.words]
direction = "minimize"
min-effect = "2%"

[metrics.latency_ms]
guard = "5%"
max = 120

[metrics.odd]
noise = 0.1
guard = 0.2

[metrics.f1]
noise = 0.0001
min-effect = { absolute = 0.001, relative = 0.01 }
min = 0.7035
guard = "1%"

[metrics.loss]
guard = "10%"

[metrics.seconds]
guard = 3

[metrics.never]
guard = "1%"
max = 3
"""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> RepoBuilder:
    """Ten trials with one to six runs each."""
    repo = make_repository(tmp_path_factory.mktemp("judged") / "judged")
    repo.write("gitexp.toml", SETTINGS)
    repo.commit({"train.py": "pass\n"}, "a training")
    search = Search(repo)
    for number, count in enumerate((5, 5, 6, 1, 3, 1, 2, 4, 5, 5)):
        for seed in range(count):
            run = add_run(search, number, seed)
            if number in DECIDED and not seed:
                search.decide(run, DECIDED[number], "to have a reference")
    search.finish()
    return repo


DECIDED = {
    2: Decision.KEEP,
    3: Decision.DISCARD,
    5: Decision.IMPROVE,
    6: Decision.KEEP,
    9: Decision.DISCARD,
}
"""Decisions by trial: three that guards may compare with, two that they may not."""

MAIN = ("acc", "f1", "seconds", "latency_ms", "words", "odd")


def add_run(search: Search, number: int, seed: int) -> Run:
    """A run of a trial: the trials 0 and 1 took turns, 8 and 9 took one turn, 4 failed once, 7 ran
    on another machine."""
    chance = search.chance
    metrics: Table = {
        "acc": 0.8 + number / 300 + chance.gauss(0, 0.003),
        "f1": round(0.7 + number / 500, 3),
        "words": 1000 + 7 * number,
        "latency_ms": 100 + 3 * number + chance.gauss(0, 1),
        "seconds": 40 + number + chance.gauss(0, 0.4),
        "val": {"loss": 0.5 - number / 50 + chance.gauss(0, 0.02)},
        "odd": number / 10 + chance.gauss(0, 0.05),
        **{f"m{n}": chance.gauss(number / 4, 0.5) for n in range(9)},
    }
    units = {"f1": "%"} if number in (3, 8) else {}
    failed = number == 4 and seed == 2
    takes_turns = number < 2 or (number > 7 and not seed)
    host = "lab-2" if number == 7 else "lab-1"
    checks = Checks(outcome=Outcome.FAILED if number == 6 else Outcome.SUCCEEDED)
    return search.run(
        {"lr": 0.1 + number},
        0.5,
        seed=seed,
        metrics={} if failed else metrics,
        units=units,
        outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
        checks=checks if number > 5 else None,
        environment={"python": "3.12.1", "host": host, "cpu": f"cpu of {host}"},
        batch=("b" if number < 2 else "c") * 16 if takes_turns else None,
        round=seed + 1 if takes_turns else None,
    )


def newest_of_trials(workspace: Workspace) -> list[Run]:
    """The newest run of each trial."""
    index = workspace.index
    found = {index.groups.of_runs([run])[run]: run for run in reversed(index.ids())}
    return [index.entry(run).run for run in found.values()]


def answers_of_python(workspace: Workspace) -> Iterator[tuple[str, str, str, tuple[Any, ...]]]:
    """Every pair and metric with what `git exp compare` answers."""
    for new, old in permutations(newest_of_trials(workspace), 2):
        if not new.metrics or not old.metrics:
            continue
        for verdict in compare_pair(workspace, new, old, main="acc").verdicts:
            told = (verdict.answer.value, verdict.basis.value, verdict.shown)
            numbers = (verdict.difference, verdict.half, verdict.runs, verdict.reference_runs)
            yield new.id, old.id, verdict.metric, (*told, *numbers)


def test_the_page_and_the_command_judge_alike(judged: RepoBuilder, show: Show) -> None:
    workspace = Workspace.open(judged.path)
    table = list(answers_of_python(workspace))
    shown = show(make_report(judged))
    names = sorted({metric for _, _, metric, _ in table})
    shares = {name: 1 if name == "acc" else 1 / len(names) for name in names}
    cases = [[new, old, metric, shares[metric]] for new, old, metric, _ in table]
    answers = shown.page.evaluate(
        """(cases) => {
            const { search } = globalThis.gitexp.page;
            return cases.map(([a, b, name, share]) => {
                const [row, other] = [a, b].map((id) => search.rowOfId.get(id));
                const found = search.compare(name, row, other, share);
                const { answer, basis, shown, difference, half, runs = [0, 0] } = found;
                return [answer, basis, shown, difference ?? null, half ?? null, ...runs];
            });
        }""",
        cases,
    )
    faults = [
        f"{metric} of {new[:7]} against {old[:7]}: {answer}, not {wanted}"
        for (new, old, metric, wanted), answer in zip(table, answers, strict=True)
        if not alike(answer, wanted)
    ]
    assert not faults, f"{len(faults)} of {len(table)}\n" + "\n".join(faults[:20])
    assert {wanted[1] for _, _, _, wanted in table} >= {
        *("declared", "measured", "paired", "unknown")
    }
    assert {wanted[0] for _, _, _, wanted in table} >= {"better", "worse", "same", "unknown"}
    shown.check()


def test_the_page_and_the_command_judge_guards_alike(judged: RepoBuilder, show: Show) -> None:
    workspace = Workspace.open(judged.path)
    runs = [run for run in newest_of_trials(workspace) if run.metrics]
    cases = [[run.id, main] for run in runs for main in MAIN]
    wanted = [
        [
            (guard.metric, guard.state.value, guard.difference)
            for guard in judge_run_guards(workspace, run, main)
        ]
        for run in runs
        for main in MAIN
    ]
    shown = show(make_report(judged))
    found = shown.page.evaluate(
        """(cases) => {
            const { search } = globalThis.gitexp.page;
            return cases.map(([id, main]) => search.guardsOf(main, search.rowOfId.get(id))
                .map(({ metric, state, difference }) => [metric, state, difference ?? null]));
        }""",
        cases,
    )
    faults = [
        f"{run} by {main}: {answer}, not {guards}"
        for (run, main), guards, answer in zip(cases, wanted, found, strict=True)
        if not are_alike(answer, guards)
    ]
    assert not faults, f"{len(faults)} of {len(cases)}\n" + "\n".join(faults[:20])
    states = [state for guards in wanted for _, state, _ in guards]
    assert len(states) > 400
    assert set(states) == {"kept", "broken", "unknown"}
    shown.check()


def are_alike(answer: list[list[Any]], wanted: list[tuple[Any, ...]]) -> bool:
    """Return whether the same guards have the same states, and relative ones the same difference.

    An absolute bound has no difference.
    """
    return len(answer) == len(wanted) and all(
        found[:2] == list(guard[:2])
        and (found[2] is None or math.isclose(found[2], guard[2], rel_tol=1e-6, abs_tol=1e-9))
        for found, guard in zip(answer, wanted, strict=True)
    )


def test_a_pair_with_a_broken_guard_is_worse_in_the_page(judged: RepoBuilder, show: Show) -> None:
    """The page said better of pairs for which `git exp compare` ends with 1."""
    workspace = Workspace.open(judged.path)
    shown = show(make_report(judged))
    cases = []
    for new, old in permutations(newest_of_trials(workspace), 2):
        if new.metrics:
            verdicts = compare_pair(workspace, new, old, main="acc").verdicts
            plain = next(v.answer for v in verdicts if v.metric == "acc")
            told = with_guards(plain, judge_run_guards(workspace, new, "acc"))
            cases.append((new.id, old.id, plain.value, told.value))
    found = shown.page.evaluate(
        """(cases) => {
            const { search } = globalThis.gitexp.page;
            const row = (id) => search.rowOfId.get(id);
            return cases.map(([a, b]) => search.decide("acc", row(a), row(b)).answer);
        }""",
        cases,
    )
    assert found == [told for _, _, _, told in cases]
    better, worse = next(case[:2] for case in cases if case[2:] == ("better", "worse"))
    shown.go(f"v=compare&sel={worse}.{better}&base={worse}")
    assert ": broken" in shown.text(".compare .judged")
    assert "guard broken" in shown.text(".compare")
    assert "▲" not in shown.page.inner_text("tr:has-text('acc')")
    shown.check()


def test_a_page_without_all_runs_judges_no_pair_that_needs_them(
    judged: RepoBuilder, show: Show
) -> None:
    shown = show(make_report(judged, "--select", "seed < 2", name="some.html"))
    answers = shown.page.evaluate(
        """() => {
            const { search } = globalThis.gitexp.page;
            const rows = [...search.trials.values()].map((rows) => rows[0]);
            const answer = (a) => (b) => search.decide("acc", a, b).answer;
            return rows.flatMap((a) => rows.filter((b) => b !== a).map(answer(a)));
        }"""
    )
    assert set(answers) <= {"unknown", "worse"}, "worse by the checks of the run itself"
    assert "worse" in answers
    shown.go("v=compare")
    assert "ask git exp compare" in shown.text(".compare .judged")
    shown.check()


def alike(answer: list[Any], wanted: tuple[Any, ...]) -> bool:
    """Return whether two verdicts say the same."""
    has_same_counts = wanted[1] == "missing" or answer[5:] == list(wanted[5:])
    return (
        answer[:3] == list(wanted[:3])
        and has_same_counts
        and all(
            (one is None) == (other is None)
            and (one is None or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9))
            for one, other in zip(answer[3:5], wanted[3:5], strict=True)
        )
    )
