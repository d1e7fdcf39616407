"""The value of a memory for a search that forgets, compared with fixed limits.

`python -m pytest -m long -s tests/campaigns/test_search_memory.py` prints the table of
`docs/agents.md`. The seeds are fixed; ids and times of runs differ, so the numbers of tokens differ
a little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.campaigns.search_memory import CHARACTERS, Tally, make_search, make_searches

SEEDS, TRIALS = range(20), 60
FILES = ("nothing", "results.tsv whole", "results.tsv once", "results.tsv last 20")
VARIANTS = ("plain", "fresh noise", "two writers")


@dataclass(frozen=True)
class Figures:
    """Means of several searches."""

    waste: float
    """Share of the trials that repeat a known dead end or an identical trial."""
    false_keeps: float
    """Share of the kept trials that are truly no better than their base."""
    kept: float
    """Kept trials of a search."""
    tokens: float
    """Of a trial."""
    calls: float
    """Of a trial."""
    strangers: int
    reached: float
    """Mean of the true values at the end."""


def figures_of(found: Sequence[Tally]) -> Figures:
    trials, kept = sum(t.trials for t in found), sum(t.kept for t in found)
    return Figures(
        waste=sum(t.wasted for t in found) / trials,
        false_keeps=sum(t.false_keeps for t in found) / max(1, kept),
        kept=kept / len(found),
        tokens=sum(sum(t.characters.values()) for t in found) / CHARACTERS / trials,
        calls=sum(t.calls for t in found) / trials,
        strangers=sum(t.strangers for t in found),
        reached=sum(t.reached for t in found) / len(found),
    )


def line(variant: str, arm: str, found: Figures) -> str:
    """Return a row of the table in the document."""
    return (
        f"| {variant} | {arm} | {100 * found.waste:.1f} % | {100 * found.false_keeps:.1f} % "
        f"| {found.kept:.1f} | {found.tokens:.0f} | {found.calls:.1f} | {found.strangers} "
        f"| {found.reached:.3f} |"
    )


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("variant", VARIANTS)
def test_searches_that_forget(variant: str) -> None:
    found = {
        arm: figures_of(make_searches(SEEDS, arm, variant, TRIALS)) for arm in (*FILES, "gitexp")
    }
    print()
    for arm, figures in found.items():
        print(line(variant, arm, figures))
    whole, ours = found["results.tsv whole"], found["gitexp"]
    assert ours.waste <= 0.02
    assert ours.false_keeps <= 0.05
    assert ours.tokens <= 300
    assert ours.calls <= 3
    assert ours.strangers == 0
    assert ours.waste <= max(whole.waste, 0.01)
    assert ours.false_keeps <= whole.false_keeps
    assert ours.tokens < whole.tokens
    assert found["nothing"].waste > 0.2, "a search without a memory must come back to dead ends"


def test_a_short_search_by_two_writers() -> None:
    ours = make_search(3, "gitexp", "two writers", 9)
    assert (ours.strangers, ours.wasted, ours.false_keeps) == (0, 0, 0)
    assert ours.trials == 4
