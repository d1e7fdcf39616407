"""A study of Optuna that is made anew from records proposes and prunes as one that went on."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import pytest

from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Direction
from gitexp.features.sweeps.dimensions import Proposal, dimensions_of, point_of
from gitexp.features.sweeps.space import make_space
from gitexp.features.sweeps.space_syntax import parse_values
from gitexp.features.sweeps.study import PRUNERS, Study, Told, Verdict, seed_of

pytest.importorskip("optuna")

TEXTS = {"lr": "log(1e-4..1)", "depth": "1..8", "opt": "sgd,adam,lion", "drop": "0.0..0.5:0.1"}
DIMENSIONS = dimensions_of(make_space({n: parse_values(n, text) for n, text in TEXTS.items()}))


def new_study(sampler: str = "", pruner: str = "") -> Study:
    return Study("name", DIMENSIONS, Direction.MINIMIZE, sampler=sampler, pruner=pruner)


def loss(proposal: Proposal) -> float:
    return abs(proposal["lr"] - 0.03) + proposal["depth"] / 10 + proposal["opt"] / 5


def go_on(study: Study, before: Sequence[Proposal], until: int) -> list[Proposal]:
    """Propose, and end each trial before the next; returns all proposals."""
    found = list(before)
    while len(found) < until:
        number, proposal = study.propose(seed_of(7, len(found) + 1))
        study.settle(number, Verdict.COMPLETE, loss(proposal))
        found.append(proposal)
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_made_anew_goes_on_as_if_it_had_not_ended(sampler: str) -> None:
    whole = go_on(new_study(sampler), [], 16)
    for ended in (3, 13):
        again = new_study(sampler)
        for proposal in whole[:ended]:
            told = Told(proposal=proposal, verdict=Verdict.COMPLETE, value=loss(proposal))
            again.add(told)
        assert go_on(again, whole[:ended], 16) == whole


def test_points_are_those_of_optuna_alone_up_to_their_digits() -> None:
    import optuna

    kinds = optuna.distributions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        alone = optuna.create_study(direction="minimize")
        space: dict[str, Any] = {
            "lr": kinds.FloatDistribution(1e-4, 1.0, log=True),
            "depth": kinds.IntDistribution(1, 8),
            "opt": kinds.CategoricalDistribution(("sgd", "adam", "lion")),
            "drop": kinds.IntDistribution(0, 5),
        }
        for number, proposal in enumerate(go_on(new_study(), [], 14), start=1):
            alone.sampler = optuna.samplers.TPESampler(seed=seed_of(7, number))
            trial = alone.ask(space)
            alone.tell(trial, loss(proposal))
            point = point_of(DIMENSIONS, proposal)
            assert point["lr"] == pytest.approx(trial.params["lr"], rel=1e-5)
            assert (point["depth"], point["opt"]) == (trial.params["depth"], trial.params["opt"])
            assert point["drop"] == trial.params["drop"] / 10


def test_trials_that_run_keep_others_away_from_their_points() -> None:
    study = new_study()
    proposals = go_on(study, [], 12)
    first = study.propose(seed_of(1, 1))[1]
    second = study.propose(seed_of(1, 1))[1]
    assert first != second
    assert first not in proposals


def test_a_trial_without_a_value_teaches_nothing() -> None:
    study, other = new_study(), new_study()
    number, _ = study.propose(seed_of(0, 1))
    study.settle(number, Verdict.COMPLETE, float("nan"))
    number, _ = other.propose(seed_of(0, 1))
    other.settle(number, Verdict.FAILED)
    assert go_on(study, [], 12) == go_on(other, [], 12)


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_study_made_anew_prunes_the_same_trials(pruner: str) -> None:
    def report(study: Study, number: int, level: float) -> dict[int, float] | None:
        """Return the values of the trial; `None` follows the last one of a pruned trial."""
        steps: dict[int, float] = {}
        for step in range(9):
            steps[step] = level / (step + 1)
            if study.report(number, steps[step], step):
                told.append((proposal, Verdict.PRUNED, steps))
                study.settle(number, Verdict.PRUNED)
                return None
        told.append((proposal, Verdict.COMPLETE, steps))
        study.settle(number, Verdict.COMPLETE, level)
        return steps

    told: list[tuple[Proposal, Verdict, dict[int, float]]] = []
    study = new_study("random", pruner)
    for place in range(24):
        number, proposal = study.propose(seed_of(3, place))
        report(study, number, 5.0 + place * 7 % 11)
    verdicts = [(verdict, len(steps)) for _, verdict, steps in told]
    assert {Verdict.PRUNED, Verdict.COMPLETE} == {verdict for verdict, _ in verdicts}
    half = list(told[:12])
    told.clear()
    again = new_study("random", pruner)
    for proposal, verdict, steps in half:
        value = steps[8] * 9 if verdict is Verdict.COMPLETE else None
        again.add(Told(proposal=proposal, verdict=verdict, value=value, steps=steps))
    for place in range(12, 24):
        number, proposal = again.propose(seed_of(3, place))
        report(again, number, 5.0 + place * 7 % 11)
    assert [(verdict, len(steps)) for _, verdict, steps in told] == verdicts[12:]


def test_without_optuna_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(GitexpError) as caught:
        new_study()
    assert caught.value.hints == ("`pip install 'gitexp[optuna]'`",)


def test_gaussian_processes_need_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(GitexpError) as caught:
        new_study("gp")
    assert "PyTorch" in str(caught.value.why)
