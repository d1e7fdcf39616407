"""gitexp: git-native experiment versioning.

    import gitexp

    with gitexp.start(params={"lr": 0.01}) as run:
        run.log(accuracy=0.85)

Records go onto an orphan branch of the repository around the current directory. `gitexp.api`
defines these names; they are imported when first used, so that the command line starts fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitexp.api.runs import ActiveRun, active, runs, start
    from gitexp.api.sweeps import SweepResult, sweep
    from gitexp.api.tracker import Tracker

__version__ = "0.1.0"
__all__ = [
    "ActiveRun",
    "SweepResult",
    "Tracker",
    "__version__",
    "active",
    "runs",
    "start",
    "sweep",
]


def __dir__() -> list[str]:
    """Names for completion, also of those that are not imported yet."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "Tracker":
        from gitexp.api.tracker import Tracker

        return Tracker
    if name in ("sweep", "SweepResult"):
        import gitexp.api.sweeps

        return getattr(gitexp.api.sweeps, name)
    if name == "LiveRun":  # its earlier name, until 0.2
        name = "ActiveRun"
    if name == "optuna":
        import importlib

        return importlib.import_module("gitexp.optuna")
    if name in __all__:
        import gitexp.api.runs

        return getattr(gitexp.api.runs, name)
    raise AttributeError(f"module 'gitexp' has no attribute '{name}'")
