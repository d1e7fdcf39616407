"""The name of a function in the command of its runs: it says which function ran."""

import hashlib
import pickle
from collections.abc import Callable
from types import CodeType
from typing import Any

from gitexp.adapters.system import clock


def function_name(function: Callable[..., Any]) -> str:
    """The function and a hash of what it does: another function is another trial.

    What it calls counts by the code of the repository, as for every run. When it holds values that
    cannot be compared, the name is new each time, and nothing is reused.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", None) or "?"
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    try:
        held: Any = (
            [cell.cell_contents for cell in cells],
            getattr(function, "__defaults__", None),
            getattr(function, "__kwdefaults__", None),
        )
        content = pickle.dumps(held if isinstance(code, CodeType) else function)
    except Exception:  # noqa: BLE001 - pickle raises what the values' own methods raise
        content = clock.new_id().encode()
    digest = hashlib.sha256(content)
    if isinstance(code, CodeType):
        _add_code(digest, code)
    return f"{module}.{name}#{digest.hexdigest()[:8]}"


def _add_code(digest: Any, code: CodeType) -> None:
    """Add what a function does, without where it is written."""
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_code(digest, constant)
        elif isinstance(constant, frozenset):
            digest.update(repr(sorted(map(repr, constant))).encode())
        else:
            digest.update(repr(constant).encode())
