"""Runs before a Python program that `git exp run` started, then loads the user's own sitecustomize.

Uses only the standard library, and a syntax that every Python reads: this file must never make a
program fail or print. Does nothing unless the run's variables name a report.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

_HERE = os.path.dirname(os.path.abspath(__file__))

_LAUNCHERS = (
    "accelerate conda deepspeed dvc hatch horovodrun mamba nox pdm pipenv poetry torchrun tox "
    "accelerate.commands.launch torch.distributed.launch torch.distributed.run"
).split()
"""Python programs that start the user's program: they report nothing and keep our path for it."""

_TOOLS = (
    "compileall ensurepip git-exp gitexp pip pre-commit py_compile venv virtualenv wheel"
).split()
"""Python programs that a script may call: they report nothing."""

_RANKS = (
    "RANK LOCAL_RANK SLURM_PROCID OMPI_COMM_WORLD_RANK PMI_RANK PMIX_RANK MV2_COMM_WORLD_RANK"
).split()
"""Variables with the rank of a process in a joint training; rank 0 reports."""


def _program():
    # type: () -> str
    """Return the name of the program: of its module after `-m`, else of its file."""
    name = str(sys.argv[0])
    if name == "-m":
        words = list(getattr(sys, "orig_argv", ()))
        if not words:
            with open("/proc/self/cmdline", "rb") as file:
                words = [os.fsdecode(word) for word in file.read().split(b"\0")]
        return str(words[words.index("-m") + 1])
    name = os.path.basename(name)
    for ending in (".py", ".exe"):
        if name.endswith(ending):
            name = name[: -len(ending)]
    return name if name in _LAUNCHERS else name.rstrip("0123456789.")


def _leave(keep_variables):
    # type: (bool) -> None
    """Remove our directory from `sys.path` and, for this program's children, from PYTHONPATH."""
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]
    sys.path_importer_cache.pop(_HERE, None)
    sys.modules.pop("sitecustomize", None)
    if keep_variables:
        return
    os.environ.pop("GITEXP_REPORT", None)
    parts = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ours = [part for part in parts if part.rstrip("/") == _HERE]
    others = [part for part in parts if part.rstrip("/") != _HERE]
    if others or any(part.endswith("/") for part in ours):
        os.environ["PYTHONPATH"] = os.pathsep.join(others)
    elif ours:
        del os.environ["PYTHONPATH"]


def _load(name):
    # type: (str) -> Any
    """Load a module of the directory above, and leave nothing in `sys.modules`."""
    import _frozen_importlib_external as machinery

    path = os.path.join(os.path.dirname(_HERE), name + ".py")
    spec = machinery.spec_from_file_location("_gitexp_" + name, path)  # type: Any
    module = type(sys)(spec.name)
    module.__file__ = path
    had_future = "__future__" in sys.modules
    spec.loader.exec_module(module)
    if not had_future:
        sys.modules.pop("__future__", None)
    return module


def _start():
    # type: () -> None
    run, path = os.environ.get("GITEXP_RUN", ""), os.environ.get("GITEXP_REPORT", "")
    is_program = False
    keep_variables = False
    try:
        if run and run in path and sys.version_info >= (3, 8):
            name = _program()
            keep_variables = name in _LAUNCHERS
            is_first = all(os.environ.get(rank, "0") == "0" for rank in _RANKS)
            is_program = is_first and not keep_variables and name not in _TOOLS
    finally:
        _leave(keep_variables)
    if is_program:
        report = _load("report").Report(path)
        _load("parsers").start(report)
        _load("reads").start(path)


try:
    _start()
except Exception:
    pass

# The user's own. Without one this raises the ImportError that Python expects here.
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
