"""Pairs that a reader picks, judged in the page and by Python, one table of cases for both.

Cases are all pairs of trials by every metric: with declared noise, a smallest effect, a guard and
bounds; metrics of the machine, on two machines, in turns and not; failed runs; no direction.
"""

import math
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from gitexp.core.model.run import Outcome, Run, Table
from gitexp.features.runs.judge import compare_pair
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

[metrics.f1]
noise = 0.0001
min-effect = { absolute = 0.001, relative = 0.01 }
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
            add_run(search, number, seed)
    search.finish()
    return repo


def add_run(search: Search, number: int, seed: int) -> None:
    """A run of a trial: the trials 0 and 1 took turns, 4 failed once, 7 ran on another machine."""
    chance = search.chance
    metrics: Table = {
        "acc": 0.8 + number / 300 + chance.gauss(0, 0.003),
        "f1": round(0.7 + number / 500, 3),
        "words": 1000 + 7 * number,
        "latency_ms": 100 + 3 * number + chance.gauss(0, 1),
        "seconds": 40 + number + chance.gauss(0, 0.4),
        "odd": number / 10 + chance.gauss(0, 0.05),
        **{f"m{n}": chance.gauss(number / 4, 0.5) for n in range(9)},
    }
    failed = number == 4 and seed == 2
    takes_turns = number < 2
    host = "lab-2" if number == 7 else "lab-1"
    search.run(
        {"lr": 0.1 + number},
        0.5,
        seed=seed,
        metrics={} if failed else metrics,
        outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
        environment={"python": "3.12.1", "host": host, "cpu": f"cpu of {host}"},
        batch="b" * 16 if takes_turns else None,
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
