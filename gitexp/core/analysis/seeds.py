"""Parameters that only choose random numbers, told by their names."""

import re
from collections.abc import Mapping
from functools import lru_cache

from gitexp.core.model.run import Table, Value

_COUNTS = frozenset({"count", "counts", "len", "n", "num", "number", "size"})


def without_seeds(params: Mapping[str, Value]) -> Table:
    """Return the parameters without random seeds, numbers under `seed`, `random_state`, …"""
    kept: Table = {}
    for name, value in params.items():
        if isinstance(value, dict):
            kept[name] = without_seeds(value)
        elif not is_seed(name, value):
            kept[name] = value
    return kept


def is_seed(name: str, value: Value) -> bool:
    """Return whether a parameter is a random seed, by the last part of its name."""
    if not _names_seed(name):
        return False
    values = value if isinstance(value, list) else [value]
    return all(isinstance(v, int) and not isinstance(v, bool) for v in values)


@lru_cache(maxsize=4096)  # a branch has many runs and few names
def _names_seed(name: str) -> bool:
    words = set(re.split(r"[^a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()))
    named = words & {"seed", "seeds", "rngseed", "randomseed"} or words >= {"random", "state"}
    return bool(named and not words & _COUNTS)
