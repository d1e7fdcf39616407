"""Start several runs of one trial together: repeats, seeds, and alternation with a reference.

The runs of a batch share an id in their records, so that they count as one look at the results. If
the user names a reference, runs of the two alternate, so that a drift of the machine affects both.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gitexp.adapters.system import clock
from gitexp.core.analysis.grouping import is_seed_param, keys_of
from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.samples import is_hopeless
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import iter_options, option_path, with_values
from gitexp.core.model.run import Direction, RecordedRun, Run, Table, Value
from gitexp.features.execution.prepare import RunRequest, prepare
from gitexp.features.runs.main_metric import main_metric
from gitexp.features.runs.standings import Standings
from gitexp.storage.workspace import Workspace

MOST: Final = 1000
"""Largest number of repeats; more are a mistake."""

_OVERRIDE: Final = re.compile(r"\+{0,2}([\w.]+)=(-?\d+)")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a batch, before its start."""

    request: RunRequest
    round: int
    """From 1."""


def plan_repeats(request: RunRequest, count: int) -> list[Turn]:
    """Plan repeats of one trial. Raises `InvalidInput` for a count outside 1 to `MOST`."""
    _check(count, "--repeat")
    return [Turn(request, number) for number in range(1, count + 1)]


def plan_seeds(
    workspace: Workspace, request: RunRequest, count: int, reference: RecordedRun | None = None
) -> list[Turn]:
    """Plan the same trial with several seeds.

    The seed is a `{seed}` in the command, a given `--seed N` or `seed=N`, or a `-S seed=N`. If the
    reference has enough new seeds, they are used, so that the runs form pairs. Else the seeds are
    0, 1, … without those that the trial already has. Raises `InvalidInput` when the command has no
    seed.
    """
    _check(count, "--seeds")
    vary = seed_setter(request, workspace.settings.seed_params)
    seeds = _choose_seeds(workspace, vary, count, reference)
    return [Turn(vary(seed), number) for number, seed in enumerate(seeds, start=1)]


def _check(count: int, option: str) -> None:
    if not 1 <= count <= MOST:
        raise InvalidInput(f"cannot start {count} runs", hints=[f"`{option}` takes 1 to {MOST}"])


# --- the seed of a command ------------------------------------------------------------------------


def seed_setter(request: RunRequest, seed_params: Sequence[str]) -> Callable[[int], RunRequest]:
    """Return a function that sets the trial's seed. Raises `InvalidInput` when it has none."""

    def with_seed(path: Sequence[str], seed: int) -> RunRequest:
        return replace(request, params=with_values(request.params, [(path, seed)]))

    for path, value in _leaves(request.params):
        if is_seed_param(".".join(path), value, seed_params):
            return lambda seed: with_seed(path, seed)
    for word in request.argv:
        for name in _PLACEHOLDER.findall(word):
            if is_seed_param(name, 0, seed_params):
                filled = name.split(".")
                return lambda seed: with_seed(filled, seed)
    place = next(_places(request.argv, seed_params), None)
    if place is None:
        raise InvalidInput(
            "cannot vary the seed",
            why="the command has none",
            hints=[
                "write `{seed}` where it belongs: `git exp run --seeds 3 -- CMD --seed {seed}`",
                "`--repeat 3` repeats a command that draws its own random numbers",
                "`git config exp.seedParams NAME` names a parameter that is a seed",
            ],
        )
    position, before = place
    return lambda seed: replace(
        request,
        argv=(*request.argv[:position], f"{before}{seed}", *request.argv[position + 1 :]),
    )


def _leaves(table: Table, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Yield the path and value of every leaf of a table."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _places(argv: Sequence[str], seed_params: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the words of a command that contain a seed, each with the text before the number."""
    for option in iter_options(argv):
        name = ".".join(option_path(option.name))
        if option.value is None or not is_seed_param(name, _number(option.value), seed_params):
            continue
        if option.stop - option.start == 2:
            yield option.start + 1, ""
        else:
            yield option.start, argv[option.start].partition("=")[0] + "="
    for position, word in enumerate(argv[1:], start=1):
        found = _OVERRIDE.fullmatch(word)
        if found is not None and is_seed_param(found[1], int(found[2]), seed_params):
            yield position, word[: found.start(2)]


def _number(text: str) -> Value:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _choose_seeds(
    workspace: Workspace,
    vary: Callable[[int], RunRequest],
    count: int,
    reference: RecordedRun | None,
) -> list[int]:
    """Return the seeds of the reference, else the first numbers that the trial does not have."""
    used = _used_seeds(workspace, prepare(workspace, vary(0), observe=False).run)
    if reference is not None:
        theirs = sorted(_used_seeds(workspace, reference.run))
        fresh = [seed for seed in theirs if seed not in used]
        if len(fresh) >= count:
            return fresh[:count]
    return [seed for seed in range(count + len(used)) if seed not in used][:count]


def _used_seeds(workspace: Workspace, run: Run) -> set[int]:
    """Return the seeds of the sealed runs of a group."""
    index, settings = workspace.index, workspace.settings
    group = keys_of(run, settings.seed_params).group
    found: set[int] = set()
    for entry in index.entries(index.groups.members([group]).get(group, ())):
        with suppress(ValueError, TypeError):
            seeds = json.loads(keys_of(entry.run, settings.seed_params).seeds or "{}").get("t", {})
            found.update(value for value in seeds.values() if isinstance(value, int))
    return found


# --- running batches ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs that one command starts together."""

    id: str
    planned: int

    def mark(self, run: Run, turn: Turn) -> Run:
        """Return the run with its batch id and round."""
        return replace(run, batch=self.id, round=turn.round)


def new_batch(planned: int) -> Batch:
    """Create a batch for this number of runs."""
    return Batch(clock.new_id(), planned)


def hopeless_against(
    workspace: Workspace, run: Run, planned: int, reference: RecordedRun | None
) -> tuple[Group, Group] | None:
    """Return a batch's group and the group it can no longer be shown to beat; `None` to go on.

    The other group is the reference's, else the best other group.
    """
    metric = main_metric(workspace)
    if metric is None:
        return None
    index, settings = workspace.refreshed(), workspace.settings
    standings = Standings(index, settings, metric, directions=run.directions)
    own = standings.group(keys_of(run, settings.seed_params).group)
    other = standings.ranking(without=own.key).leader if own is not None else None
    if reference is not None:
        other = standings.group(keys_of(reference.run, settings.seed_params).group)
    if own is None or other is None or standings.direction is None or own.key == other.key:
        return None
    before = own.runs - sum(m.batch == run.batch for m in own.measurements)
    noise = standings.noise(own)
    sign = 1 if standings.direction is Direction.MAXIMIZE else -1
    is_lost = is_hopeless(own.sample, other.sample, noise, planned=before + planned, gain_sign=sign)
    return (own, other) if is_lost else None
