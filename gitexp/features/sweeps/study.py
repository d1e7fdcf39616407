"""A study of Optuna in memory: it proposes points and says which trials to stop.

The only module of sweeps that knows Optuna. A study is made anew at every start from records.
Each proposal has its own seed, so it depends only on the results before it: a sweep that was
resumed goes on as one that was not interrupted.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Direction
from gitexp.features.sweeps.dimensions import Dimension, Proposal

SAMPLERS: Final = ("tpe", "gp", "random")
"""Methods that choose points; the first is the default."""

PRUNERS: Final = ("median", "hyperband")
"""Methods that stop trials."""


class Verdict(StrEnum):
    """How a trial of a study ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    """It has no value: the method learns nothing from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A trial that ended before the study was made."""

    proposal: Proposal
    verdict: Verdict
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
    """The values on the way, by step."""


def import_optuna() -> Any:
    """Return the module `optuna`. Raises `GitexpError` when it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise GitexpError(
            "cannot propose points",
            why="Optuna is not installed",
            hints=["`pip install 'gitexp[optuna]'`"],
        ) from error
    return optuna


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Keep Optuna from writing to the terminal."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def seed_of(seed: int, number: int, attempt: int = 0) -> int:
    """Return the sampler's seed for a proposal: the `number`-th of the sweep, from 1.

    It is the first 32 bits of the SHA-256 of `SEED NUMBER ATTEMPT`.
    """
    digest = hashlib.sha256(f"{seed} {number} {attempt}".encode()).hexdigest()
    return int(digest[:8], 16)


class Study:
    """Points that were proposed, and what became of them."""

    def __init__(
        self,
        name: str,
        dimensions: Sequence[Dimension],
        direction: Direction,
        *,
        sampler: str,
        pruner: str,
    ) -> None:
        """`name` decides how hyperband divides the trials. Raises `GitexpError`."""
        self._optuna = import_optuna()
        self._dimensions = dimensions
        self._sampler = sampler or SAMPLERS[0]
        if self._sampler == "gp":
            _need_torch()
        with _quiet(self._optuna):
            self._storage = self._optuna.storages.InMemoryStorage()
            self._study = self._optuna.create_study(
                storage=self._storage,
                study_name=name,
                direction=direction.value,
                pruner=self._pruner(pruner),
            )
        self._id = self._storage.get_study_id_from_name(name)
        self._replays = pruner == "hyperband"  # it compares trials by what it noted while they ran
        self._distributions = {each.name: self._distribution(each) for each in dimensions}

    def _pruner(self, name: str) -> Any:
        pruners = self._optuna.pruners
        if name == "hyperband":
            return pruners.HyperbandPruner()
        return pruners.MedianPruner() if name == "median" else pruners.NopPruner()

    def _make_sampler(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        if self._sampler == "random":
            return samplers.RandomSampler(seed=seed)
        if self._sampler == "gp":
            return samplers.GPSampler(seed=seed)
        return samplers.TPESampler(seed=seed, constant_liar=True)

    def _distribution(self, dimension: Dimension) -> Any:
        kinds = self._optuna.distributions
        span = dimension.span
        if span is None:
            last = len(dimension.choices) - 1
            if dimension.is_ordered:
                return kinds.IntDistribution(0, last)
            return kinds.CategoricalDistribution(tuple(range(last + 1)))
        if span.is_whole:
            return kinds.IntDistribution(int(span.low), int(span.high))
        return kinds.FloatDistribution(span.low, span.high, log=span.is_log)

    # --- proposing ----------------------------------------------------------------------------

    def propose(self, seed: int) -> tuple[int, Proposal]:
        """Return the number of a new trial in the study, and its proposal."""
        with _quiet(self._optuna):
            self._study.sampler = self._make_sampler(seed)
            trial = self._study.ask(self._distributions)
            proposal: Proposal = {}
            for dimension in self._dimensions:
                asked = trial.params[dimension.name]
                number = dimension.rounded(asked)
                proposal[dimension.name] = number
                if number != asked:
                    kind = self._distributions[dimension.name]
                    internal = kind.to_internal_repr(number)
                    key = self._key(trial.number)
                    self._storage.set_trial_param(key, dimension.name, internal, kind)
        return trial.number, proposal

    def begin(self, proposal: Proposal) -> int:
        """Add a trial that runs, with a proposal made before. Returns its number in the study."""
        with _quiet(self._optuna):
            self._study.add_trial(self._frozen(self._optuna.trial.TrialState.RUNNING, proposal))
        return len(self._study.get_trials(deepcopy=False)) - 1

    def _frozen(self, state: Any, proposal: Proposal, **more: Any) -> Any:
        return self._optuna.trial.create_trial(
            state=state, params=dict(proposal), distributions=self._distributions, **more
        )

    def _key(self, number: int) -> Any:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _trial(self, number: int) -> Any:
        return self._optuna.trial.Trial(self._study, self._key(number))

    # --- learning -----------------------------------------------------------------------------

    def add(self, told: Told) -> None:
        """Add a trial that ended before the study was made."""
        states = self._optuna.trial.TrialState
        with _quiet(self._optuna):
            if self._replays and told.steps:
                number = self.begin(told.proposal)
                for step, reported in sorted(told.steps.items()):
                    self._report(number, reported, step)
                self.settle(number, told.verdict, told.value)
                return
            state, value = self._state(told.verdict, told.value)
            if state is states.PRUNED and told.steps:
                value = told.steps[max(told.steps)]
            more = {} if value is None else {"value": value}
            steps = dict(told.steps)
            frozen = self._frozen(state, told.proposal, intermediate_values=steps, **more)
            self._study.add_trial(frozen)

    def settle(self, number: int, verdict: Verdict, value: float | None = None) -> None:
        """Say how a trial of the study ended."""
        state, value = self._state(verdict, value)
        with _quiet(self._optuna):
            self._study.tell(number, value, state=state)

    def _state(self, verdict: Verdict, value: float | None) -> tuple[Any, float | None]:
        states = self._optuna.trial.TrialState
        if verdict is Verdict.PRUNED:
            return states.PRUNED, None
        if verdict is Verdict.FAILED or value is None or not math.isfinite(value):
            return states.FAIL, None
        return states.COMPLETE, value

    def report(self, number: int, value: float, step: int) -> bool:
        """Take a value on the way to the result; true when the trial is not worth its time."""
        with _quiet(self._optuna):
            return self._report(number, value, step)

    def _report(self, number: int, value: float, step: int) -> bool:
        trial = self._trial(number)
        trial.report(value, step)
        return bool(trial.should_prune())


def _need_torch() -> None:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise GitexpError(
            "cannot use the sampler 'gp'",
            why="it needs PyTorch, which is not installed",
            hints=["`pip install torch`, or leave out `--sampler`"],
        )
