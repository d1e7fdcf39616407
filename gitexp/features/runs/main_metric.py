"""Which metric decides in this project, and which in one run.

A module of its own, since a list needs the name and judges nothing.
"""

from gitexp.core.model.directions import guess_metric, last_part
from gitexp.core.model.run import Outcome, Run, numbers
from gitexp.storage.settings.options import Settings
from gitexp.storage.workspace import Workspace

SEARCH = 50
"""How many runs are looked at for one that counts."""

_FEW = 20
"""So many are read at once."""


def main_metric(workspace: Workspace) -> str | None:
    """The metric that matters in this project: the setting `metric`, else a guess.

    The guess is the likeliest by name among what the newest succeeded run measured, declared
    metrics first. `None` when no run measured anything.
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
    """The main metric if the run measured it, else the likeliest of those that it did measure."""
    main, measured = main_metric(workspace), numbers(run.metrics)
    if main is not None:
        found = [name for name in measured if main in (name, last_part(name))]
        if found:
            return main if main in measured else found[0]
    return choose_metric(workspace.settings, run)


def choose_metric(settings: Settings, run: Run) -> str | None:
    """The likeliest metric of a run: the project's, else a declared one, else by its name."""
    first = [settings.metric] if settings.metric else []
    return guess_metric(numbers(run.metrics), [*first, *run.directions, *settings.directions])
