"""Connections to Dask: the client, its errors, and the worker's module as Dask sends it."""

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from gitexp.adapters.engines.kit import WORKER_FILE, digest_of
from gitexp.adapters.engines.protocol import EngineLost
from gitexp.core.errors import GitexpError, InvalidInput

CONNECT_S: Final = 10.0
"""Seconds to wait for the scheduler."""

WORKERS_S: Final = 30.0
"""Seconds to wait for the first worker."""


def lost(address: str) -> EngineLost:
    """Return the error for a scheduler that does not answer any more."""
    return EngineLost(
        f"the Dask scheduler at {address} is lost",
        why="it does not answer any more",
        hints=["`git exp sweep resume` collects what the workers finish, and goes on"],
    )


class asking:  # noqa: N801 - reads as a function
    """Turns what the cluster raises into `EngineLost`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, GitexpError):
            if isinstance(error, TimeoutError) and "workers" in str(error):
                raise GitexpError(
                    f"the Dask scheduler at {self._address} has no worker",
                    why=f"none came within {WORKERS_S:g} s",
                    hints=[f"start one: `dask worker {self._address}`"],
                ) from error
            raise lost(self._address) from error


def connect(address: str) -> Any:
    """Return a client of a scheduler. Raises `GitexpError`."""
    try:
        from distributed import Client
    except ImportError as error:
        raise InvalidInput(
            "cannot use Dask",
            why="the package 'distributed' is not installed",
            hints=["install it: `pip install 'gitexp[dask]'`"],
        ) from error
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    client: Any = Client.__new__(Client)
    place = address.replace("dask://", "tcp://")
    try:
        client.__init__(place, timeout=CONNECT_S, set_as_default=False, name="gitexp")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        client.status = "closed"  # or Python, when it drops it, waits for it to close
        why = (str(error) or type(error).__name__).replace("tcp://", "dask://")
        raise GitexpError(
            f"cannot reach the Dask scheduler at {address}",
            why=why.splitlines()[0],
            hints=["`dask scheduler` starts one; its address is in what it prints"],
        ) from error
    return client


def config(name: str, default: object) -> Any:
    """Return a setting of Dask."""
    import dask

    return dask.config.get(name, default)


def load_worker(folder: Path) -> ModuleType:
    """Load the worker's module under a name of its own, so that versions do not mix."""
    text = WORKER_FILE.read_text(encoding="utf-8")
    name = f"gitexp_worker_{digest_of({'worker.py': text})}"
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: S101 - it is a file of ours
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
