"""The definition of a sweep: command, space, choice of points, and code.

Pure. A definition never changes, and its id follows from it: starting the same sweep again, here or
in another clone, continues it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any, Final

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.inputs.argv import parse_assignment
from gitexp.core.model.ids import parse_object_id
from gitexp.core.model.run import Direction, Table
from gitexp.core.schema.toml_codec import decode_table, encode_table
from gitexp.features.sweeps.condition import parse_conditions
from gitexp.features.sweeps.space import (
    Point,
    Space,
    UnusableSpace,
    Values,
    check_count,
    draw,
    grid,
    make_space,
)
from gitexp.features.sweeps.space_syntax import parse_values
from gitexp.features.sweeps.table_files import parse_space_file

SCHEMA: Final = 1
ID_LENGTH: Final = 16

MAX_TABLE_BYTES: Final = 256 << 10
"""A definition holds the whole table of `--from`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A sweep, before any of its trials runs."""

    argv: tuple[str, ...]
    """The command as typed, secrets redacted."""
    directory: str
    """Where it runs, relative to the top of the work tree, `/`-separated."""
    commit: str
    """HEAD when the sweep was defined."""
    tree: str
    """The tree of the code that every trial runs, uncommitted files included."""
    digest: str = ""
    """Hash of the part of the tree that counts for the trials."""
    values: tuple[str, ...] = ()
    """What was given after `-S`."""
    zipped: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    table: str = ""
    """The content of the file after `--from`."""
    table_name: str = ""
    random: int = 0
    """How many points are drawn; 0 for the whole grid."""
    optuna: int = 0
    """How many points Optuna proposes; 0 when it proposes none."""
    sampler: str = ""
    """How Optuna chooses points; empty for its usual way."""
    prune: str = ""
    """How Optuna chooses trials to stop; empty when all run to their end."""
    seed: int = 0
    """Chooses the points that are drawn or proposed."""
    seeds: int = 0
    """How many seeds each point runs with; 0 when none is added."""
    metric: str = ""
    """What the trials are ranked by; empty when the project decides."""
    direction: str = ""
    """`minimize` or `maximize`; empty when it is known or guessed."""
    timeout_s: float = 0.0
    """The time limit of a trial in seconds; 0 for none."""
    reason: str = ""
    tags: tuple[str, ...] = ()
    params_files: tuple[str, ...] = ()
    params: str = ""
    """TOML of what parameter files said; empty when it is unknown, or may hold a secret."""
    settings: str = ""
    """TOML of the settings that shape the trials; empty when they are unknown, or hold a secret."""
    metrics_files: tuple[str, ...] = ()
    metric_patterns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Untracked paths that each trial gets too, relative to the top of the work tree."""
    function: str = ""
    """The Python function that the trials call, as the last word of the command has it."""
    in_place: bool = False
    """True when the trials run in the user's own work tree, whatever its code is then."""

    @property
    def id(self) -> str:
        """16 hex digits that follow from everything else but the reason and the settings."""
        own = ("reason", "settings")
        table = {name: value for name, value in _table(self).items() if name not in own}
        return hashlib.sha256(canonical(table).encode()).hexdigest()[:ID_LENGTH]

    @property
    def study(self) -> str:
        """16 hex digits that sweeps share when their trials belong into one study of Optuna.

        They may differ in how many points they propose and in the code: which results count for the
        code of a sweep is decided run by run.
        """
        own = (
            *("reason", "settings", "tags", "optuna"),
            *("commit", "tree", "digest", "in_place", "links"),
        )
        table = {name: value for name, value in _table(self).items() if name not in own}
        return hashlib.sha256(canonical(table).encode()).hexdigest()[:ID_LENGTH]

    @property
    def method(self) -> str:
        """How points are chosen: `grid`, `random` or `optuna`."""
        return "optuna" if self.optuna else "random" if self.random else "grid"

    @property
    def file_params(self) -> Table | None:
        """The parameters of files when the sweep was defined; `None` when they are unknown."""
        params = decode_table(self.params.encode()).get("params") if self.params else None
        return params if isinstance(params, dict) else None

    @property
    def directions(self) -> dict[str, Direction]:
        """The direction of the metric, when it was said."""
        return {self.metric: Direction(self.direction)} if self.direction else {}

    def space(self) -> Space:
        """Return the space. Raises `InvalidInput`."""
        values: dict[str, Values] = {}
        rows: list[Point] = []
        if self.table_name:
            suffix = PurePosixPath(self.table_name).suffix
            values, rows = parse_space_file(self.table.encode(), suffix, name=self.table_name)
        given: dict[str, Values] = {}
        for text in self.values:
            name, rest = split_assignment(text)
            if name in given:
                raise UnusableSpace(f"parameter '{name}' is given twice")
            given[name] = parse_values(name, rest)
        values = {name: found for name, found in values.items() if name not in given}
        return make_space({**values, **given}, self.zipped, rows)

    def points(self) -> list[Point]:
        """Return the points, in the order in which they run. Raises `InvalidInput`.

        Of points that Optuna proposes only an example is known: the first one is drawn.
        """
        space = self.space()
        if not space.names and (self.optuna or not self.seeds):
            raise UnusableSpace(
                "there is nothing to vary",
                hints=[
                    "give a parameter its values: `-S lr=0.1,0.01`, and `{lr}` in the command",
                    "`git exp sweep list`, `show`, `status`, `resume`, `stop` and `rm` are about "
                    "sweeps",
                ],
            )
        condition = parse_conditions(self.conditions, space.names)
        if self.optuna:
            check_count(self.optuna, f"--optuna {self.optuna}")
            return draw(space, 1, seed=self.seed, condition=condition)
        if self.random:
            return draw(space, self.random, seed=self.seed, condition=condition)
        return grid(space, condition)


def split_assignment(text: str) -> tuple[str, str]:
    """Split `a.b=1..5` into the dotted name and the text of its values. Raises `InvalidInput`."""
    path, _ = parse_assignment(text)
    return ".".join(path), text.partition("=")[2]


def _table(definition: Definition) -> dict[str, Any]:
    """The fields that say something, as TOML has them."""
    found: dict[str, Any] = {}
    for field in fields(Definition):
        value = getattr(definition, field.name)
        if value or field.name in ("argv", "directory"):
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def encode_definition(definition: Definition) -> bytes:
    """Return the content of a sweep's file, the same for equal definitions."""
    return encode_table({"schema": SCHEMA, **_table(definition)})


def decode_definition(data: bytes) -> Definition:
    """Read a sweep's file. Raises `UnreadableRecord`."""
    table = decode_table(data)
    schema = table.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise UnreadableRecord(
            "cannot read a sweep",
            why=f"it has schema {schema}, this gitexp knows up to {SCHEMA}",
            hints=["update gitexp: `pip install -U gitexp`"],
        )
    try:
        return _read(table)
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise UnreadableRecord("cannot read a sweep", why=str(error)) from error


def _read(table: Mapping[str, Any]) -> Definition:
    found: dict[str, Any] = {}
    for field in fields(Definition):
        if field.name not in table:
            continue
        value, default = table[field.name], field.default
        kind = type(default) if isinstance(default, str | int | float | tuple) else None
        if isinstance(value, list):
            if not all(isinstance(each, str) for each in value):
                raise TypeError(f"'{field.name}' is no list of texts")
            value = tuple(value)
        elif kind is float and type(value) is int:
            value = float(value)
        if kind is not None and type(value) is not kind:
            raise TypeError(f"'{field.name}' is no {kind.__name__}")
        found[field.name] = value
    for name in ("commit", "tree"):
        parse_object_id(found[name])
    if not isinstance(found["argv"], tuple) or not found["argv"]:
        raise TypeError("it has no command")
    if found.get("direction", "") not in ("", *Direction):
        raise ValueError(f"it has the direction '{found['direction']}'")
    return Definition(**found)


def batch_of(sweep: str, point: int) -> str:
    """The batch of a point that runs with several seeds: they count as one look at the results."""
    return hashlib.sha256(f"{sweep} {point}".encode()).hexdigest()[:ID_LENGTH]


def short_id(sweep: str) -> str:
    """The form that people read and type."""
    return sweep[:7]
