"""The report that a user's program writes about itself, with values as Python literals.

Loaded into the user's program by `sitecustomize`. The report is one dictionary, written as a
literal because that needs no import.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would take longer than all we do
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_NAMES = 1000
MAX_VALUES = 10_000
MAX_TEXT = 2000
MAX_LIST = 200
MAX_DEPTH = 8
MAX_BYTES = 256 << 10
MAX_JOBS = 200
LAUNCHERS = {"rank", "local_rank", "node_rank"}
"""Options by which a launcher of distributed training tells its processes apart."""


class Unusable(Exception):
    """A value without meaning in a record: a function, a class, a module."""


class Report:
    """The values found so far, and the file for them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid = os.getpid()
        self.by = ""
        self.values: dict[str, Any] = {}
        self.given: list[str] = []
        self.options: dict[str, str] = {}
        self.jobs: list[dict[str, Any]] = []
        self.depth = 0
        """Number of parsers that run inside each other."""
        self.remembered: Any = None
        self.is_closed = False
        self.undo: list[Callable[[], object]] = []

    def is_open(self) -> bool:
        """Return whether a parser that returns now counts: the first one, in this process."""
        return not self.is_closed and os.getpid() == self.pid

    def add(
        self,
        by: str,
        values: dict[str, Any],
        *,
        given: Iterable[str],
        options: dict[str, str],
        is_final: bool,
    ) -> None:
        """Add a parser's result and write the report. The first final result closes it."""
        if not self.is_open():
            return
        if not self.by and not self._claim():
            self._note_other(plain_table(values))
            if is_final:
                self.close()
            return
        self.by = by
        self.values.update(plain_table(values))
        self.given.extend(name for name in given if name not in self.given)
        self.options.update(options)
        self._write()
        if is_final:
            self.close()

    def add_job(self, job: dict[str, Any]) -> None:
        """Add a job of a Hydra program. The first job's values are the program's."""
        if not self.is_open():
            return
        if not self.by and not self._claim():
            self.close()
            return
        job = {**job, "values": plain_table(job["values"])}
        if not self.jobs:
            self.by, self.values = "hydra", job["values"]
        if len(self.jobs) < MAX_JOBS:
            self.jobs.append(job)
        self._write()

    def end_job(self, status: str, result: Any, seconds: float) -> None:
        """Record how the last job ended; keep its result if it is a number."""
        if self.is_open() and self.jobs and "status" not in self.jobs[-1]:
            self.jobs[-1].update(status=status, seconds=seconds)
            if type(result) in (int, float):
                self.jobs[-1]["result"] = plain(result)
            self._write()

    def close(self) -> None:
        """Remove all hooks."""
        self.is_closed = True
        while self.undo:
            self.undo.pop()()

    def _claim(self) -> bool:
        """Claim the report; false if the command ran another program before that parsed."""
        try:
            os.close(os.open(self.path + ".claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            return False
        return True

    def _note_other(self, values: dict[str, Any]) -> None:
        """Note that a later program of the command parsed other values than the first one.

        A program may parse in several steps, so a name that only one of them has is no difference
        if they have others in common.
        """
        try:
            with open(self.path, "rb") as stream:
                text = stream.read(MAX_BYTES + 1).decode()
            known = ", " + text.partition("'values': {")[2].partition("}, 'given': ")[0] + ", "
            common = [name for name in values if ", {}: ".format(ascii(name)) in known]
            compared = set(common or values) - LAUNCHERS
            if any(", {}, ".format(ascii({n: values[n]})[1:-1]) not in known for n in compared):
                os.close(os.open(self.path + ".others", os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError:
            pass  # the first program has not written yet, or its report cannot be read

    def _write(self) -> None:
        content = {
            "by": self.by,
            "values": self.values,
            "given": self.given,
            "options": self.options,
            "jobs": self.jobs,
        }
        data = ascii(content).encode()
        if len(data) > MAX_BYTES:
            data = ascii({"by": self.by, "bytes": len(data)}).encode()
        aside = "{}.{}".format(self.path, self.pid)
        fd = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        os.replace(aside, self.path)


# --- values ---------------------------------------------------------------------------------------


_left = [0]
"""Number of values that the current table, nested tables included, may still add."""


def plain_table(table: dict[Any, Any], depth: int = 0) -> dict[str, Any]:
    """Return the table as literals, without private names and unusable values."""
    found: dict[str, Any] = {}
    if not depth:
        _left[0] = MAX_VALUES
    for name, value in list(table.items()):
        if len(found) == MAX_NAMES or _left[0] <= 0:
            break
        if not isinstance(name, str) or not name.startswith("_"):
            try:
                found[str(name)[:MAX_TEXT]] = plain(value, depth + 1)
            except Exception:  # Unusable, or an error of the `str` of a user's class
                pass
    return found


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as a literal: numbers, text, lists and dictionaries; all others as text.

    A float that is not finite is the tuple `("float", "nan")`. Raises `Unusable`.
    """
    _left[0] -= 1
    if value is None or _left[0] < 0:
        raise Unusable
    kind = type(value)
    if kind is bool or kind is str or kind is int:
        return value[:MAX_TEXT] if kind is str else value if abs(value) < 1 << 63 else hex(value)
    if kind is float:
        return value if value - value == 0 else ("float", repr(value))
    if depth > MAX_DEPTH:
        return "..."
    if isinstance(value, dict):
        return plain_table(value, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        members = list(value)[:MAX_LIST]
        if isinstance(value, (set, frozenset)):
            members.sort(key=str)
        return [_member(member, depth + 1) for member in members]
    return _text_of(value, depth)


def _member(value: Any, depth: int) -> Any:
    try:
        return plain(value, depth)
    except Unusable:
        return str(value)[:MAX_TEXT] if _left[0] > 0 else "..."


def _text_of(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "size", 0) == 1:
        return plain(value.item(), depth + 1)
    if any(base.__module__ == "enum" for base in kind.__mro__):
        return str(value.name)
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return plain(base(value), depth + 1)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)[:MAX_TEXT]
    if kind.__name__ == "Namespace" and hasattr(value, "__dict__"):
        return plain_table(vars(value), depth)
    if isinstance(getattr(value, "name", None), str) and hasattr(value, "read"):
        return str(value.name)[:MAX_TEXT]
    if (
        isinstance(value, type)
        or callable(value)
        or getattr(kind, "__repr__", None) is object.__repr__
    ):
        raise Unusable
    return str(value)[:MAX_TEXT]
