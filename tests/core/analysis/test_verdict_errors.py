"""Short form of `campaigns/test_verdict_rates.py`: error rates of verdicts.

Seeds are fixed. The limits allow other draws, but no other method: comparing one number with the
luckiest of several errs in more than a third of all cases.
"""

import pytest

from gitexp.core.analysis import samples
from tests.campaigns.verdict_simulation import (
    NO_POOL,
    Counts,
    Pool,
    Search,
    count_against_best,
    count_errors,
    count_hopeless,
    count_power,
    count_search,
    count_stopping,
    look_numbers,
    rounded_quantile,
)

N = 400


@pytest.fixture(autouse=True)
def quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "t_quantile", rounded_quantile)


@pytest.mark.parametrize("noise", ["normal", "100 items, sd 0.5"])
def test_equal_groups_rarely_differ(noise: str) -> None:
    for pool in (NO_POOL, Pool(4, 3)):
        counts = count_errors(noise, pool, [(3, 3), (5, 5)], 0, N)
        for n in (3, 5):
            false = [counts[noise, pool, n, n, word] for word in ("better", "worse")]
            assert max(false) <= 0.05 * N, (pool, n, false)


def test_single_runs_show_nothing_while_the_noise_is_unknown() -> None:
    counts = count_errors("normal", NO_POOL, [(1, 1)], 0, N)
    assert counts == Counts({("normal", NO_POOL, 1, 1, "unknown"): N})


def test_effect_of_two_standard_deviations_is_mostly_found() -> None:
    counts = count_power(Pool(4, 3), [5], [2], 0, N)
    assert counts[Pool(4, 3), 5, 2, "better"] >= 0.72 * N
    assert counts[Pool(4, 3), 5, 2, "worse"] == 0


def test_equal_group_is_rarely_worse_than_the_best_of_five() -> None:
    counts = count_against_best(5, 5, 5, 0, 200)
    assert counts[5, 5, 5, "contenders", "worse"] <= 0.05 * 200


def test_repeating_until_better_rarely_helps() -> None:
    counts = count_stopping(NO_POOL, 5, 10, 0, 200)
    assert counts[NO_POOL, 5, "rule", 10, "better"] <= 0.08 * 200
    assert counts[NO_POOL, 5, "rule", 10, "better"] <= counts[NO_POOL, 5, "plain", 10, "better"]


def test_an_early_stop_saves_runs() -> None:
    counts = count_hopeless(5, 5, 0.0, 0, 200)
    assert counts[5, 5, 0.0, "runs"] <= 3.5 * 200
    assert counts[5, 5, 0.0, "with"] <= 0.06 * 200


def test_searches_of_equal_trials_rarely_claim_a_difference() -> None:
    """One search may have many false claims, if its few repeats agreed by chance."""
    search, searches = Search("all equal", 5, 5), 3
    counts = sum((count_search(search, n, with_best=True) for n in range(searches)), Counts())
    judged = 39 * searches
    for name in ("last", "best"):
        assert counts[search, name, "judged"] == judged
        assert counts[search, name, "false"] <= 0.08 * judged
    assert counts[search, "numbers, last", "false"] == judged


def test_error_rate_of_adding_one_run_at_a_time() -> None:
    alone = look_numbers(5, 5, grows=False)
    assert alone == [(1, 5, 1), (2, 5, 1), (3, 5, 2), (4, 5, 3), (5, 5, 4)]
    in_turns = look_numbers(1, 3, grows=True)
    assert in_turns == [(1, 1, 1), (2, 1, 1), (2, 2, 2), (3, 2, 3), (3, 3, 4)]
