"""Choose the main metric of the project and of one run.

A separate module, since a list needs the name but no verdicts.
"""

from gitexp.core.model.directions import guess_metric, is_average, last_part
from gitexp.core.model.run import Outcome, Run, numbers
from gitexp.storage.settings.options import Settings
from gitexp.storage.workspace import Workspace

SEARCH = 50
"""Number of newest runs to search for one with metrics."""

_FEW = 5
"""Number of runs to read at once; the newest one usually has metrics."""


def main_metric(workspace: Workspace) -> str | None:
    """Return the main metric of the project: the setting `metric`, else a guess.

    The guess is the likeliest name among the metrics of the newest succeeded run, declared metrics
    first. `None` when no run measured anything.
    """
    settings, index = workspace.settings, workspace.index
    if settings.metric:
        return settings.metric
    for start in range(0, SEARCH, _FEW):
        for entry in index.entries(index.newest(start + _FEW)[start:]):
            if entry.run.outcome is Outcome.SUCCEEDED:
                found = choose_metric(settings, entry.measured)
                if found is not None:
                    return found
    return None


def metric_of(workspace: Workspace, run: Run) -> str | None:
    """Return the main metric if the run measured it, else the likeliest of its metrics."""
    return metric_by(workspace.settings, main_metric(workspace), run)


def metric_by(settings: Settings, main: str | None, run: Run) -> str | None:
    """Return what `metric_of` does, from the main metric of the project."""
    measured = numbers(run.metrics)
    if main is not None:
        found = [name for name in measured if main in (name, last_part(name))]
        if found:
            return main if main in measured else found[0]
    return choose_metric(settings, run)


def choose_metric(settings: Settings, run: Run) -> str | None:
    """Return the likeliest metric of a run: the project's, else a declared one, else by name.

    Benchmarks declare the directions of all their numbers: the mean is before the maximum.
    """
    first = [settings.metric] if settings.metric else []
    declared = sorted(run.directions, key=lambda name: not is_average(name))
    return guess_metric(numbers(run.metrics), [*first, *declared, *settings.directions])
