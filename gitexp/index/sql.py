# ruff: noqa: S608 - see the module's words
"""The tables of the run index, and queries as SQL over them.

Floor 3. Values are always bound, column names come from the fixed list here, and key names are
looked up in the table `keys`; no text of a user ever becomes SQL. The meaning of a query is
`query.matches`; what is compiled here must agree with it.

A run is known by its row number `rid`: its id as a signed 64-bit number that keeps the order of
ids, so that prefixes are ranges. The values lie in `vals`, clustered by key: reading one metric of
all runs touches nothing else. `clock` is repeated there because it settles ties.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from gitexp.documents import DOCUMENT_SCHEMA
from gitexp.ids import RUN_ID_LENGTH, RunId
from gitexp.model import Command, Outcome
from gitexp.query import ATTRIBUTES, TAG
from gitexp.query_syntax import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Constant,
    Containment,
    Field,
    Membership,
    Not,
    Operator,
    Presence,
    Query,
)

SCHEMA: Final = f"1.{DOCUMENT_SCHEMA}"
"""Changes with the tables or with what is kept in them; an index of another schema is rebuilt."""

COLUMNS: Final = {name: f"r.{name}" for name in ATTRIBUTES} | {"commit": "r.code_commit"}
"""Where the attributes of queries lie in the table `runs r`."""

NUMERIC: Final = frozenset({"duration_s", "exit_code", "dirty"})

TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (
    rid INTEGER, path TEXT, kind TEXT, oid TEXT, clock INTEGER, PRIMARY KEY (rid, path)
) WITHOUT ROWID;
CREATE TABLE runs (
    rid INTEGER PRIMARY KEY, clock INTEGER, id TEXT, name TEXT, outcome TEXT, started TEXT,
    duration_s, author TEXT, origin TEXT, reason TEXT, decision TEXT, code_commit TEXT,
    branch TEXT, dirty INTEGER, fingerprint TEXT, parent TEXT, reproduces TEXT, source TEXT,
    exit_code INTEGER, snapshot TEXT, path TEXT, series INTEGER, rivals INTEGER, program TEXT
);
CREATE TABLE docs (rid INTEGER PRIMARY KEY, doc TEXT, checksum INTEGER);
CREATE TABLE keys (key INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE vals (
    key INTEGER, rid INTEGER, num, text TEXT, clock INTEGER, PRIMARY KEY (key, rid)
) WITHOUT ROWID;
CREATE TABLE tags (tag TEXT, rid INTEGER, PRIMARY KEY (tag, rid)) WITHOUT ROWID;
CREATE TABLE produced (
    program TEXT, path TEXT, rid INTEGER, PRIMARY KEY (program, path, rid)
) WITHOUT ROWID;
CREATE TABLE broken (rid INTEGER, path TEXT, why TEXT, PRIMARY KEY (rid, path)) WITHOUT ROWID;
"""

INDEXES: Final = """
CREATE INDEX files_clock ON files (clock);
CREATE INDEX runs_order ON runs (clock);
CREATE INDEX runs_running ON runs (rid) WHERE outcome = 'running';
CREATE INDEX runs_name ON runs (name);
CREATE INDEX runs_commit ON runs (code_commit);
CREATE INDEX runs_snapshot ON runs (snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX runs_fingerprint ON runs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX runs_source ON runs (source) WHERE source IS NOT NULL;
CREATE INDEX runs_rivals ON runs (rid) WHERE rivals > 0;
CREATE INDEX tags_rid ON tags (rid);
"""
"""Made after a fill from nothing, when it is quickest."""

_SHIFT: Final = 1 << 63


def row_of(run: str) -> int:
    """The row number of a run."""
    return int(run, 16) - _SHIFT


def run_of(rid: int) -> RunId:
    """The run of a row number."""
    return RunId(f"{rid + _SHIFT:016x}")


def rows_of_prefix(prefix: str) -> tuple[int, int]:
    """First and last row number whose run id starts with the hex digits."""
    return row_of(prefix.ljust(RUN_ID_LENGTH, "0")), row_of(prefix.ljust(RUN_ID_LENGTH, "f"))


def program(command: Command) -> str:
    """What a command runs: its program, and the first argument that looks like a file."""
    if not command.argv:
        return ""
    first = PurePosixPath(command.argv[0]).name
    for argument in command.argv[1:]:
        if not argument.startswith("-") and ("." in argument or "/" in argument):
            return f"{first} {argument}"
    return first


# --- queries --------------------------------------------------------------------------------------

_SIGNS: Final = {
    Operator.EQ: "=",
    Operator.NE: "<>",
    Operator.LT: "<",
    Operator.LE: "<=",
    Operator.GT: ">",
    Operator.GE: ">=",
}

_Pair = tuple[str, str]
"""SQL for the number form and the text form of a value; `NULL` where there is none."""

NUMBERS: Final = "num IS NOT NULL"
TEXTS: Final = "(num IS NULL AND text <> 'NaN')"
"""What can be ordered. NaN has no place in an order: it counts as missing."""


class Compiler:
    """Turns one query into a condition over `runs r`; `values` are bound by their names."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def bind(self, value: object) -> str:
        """The placeholder of a value."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def key(self, name: str) -> str:
        """The number of a key; NULL, which no row has, when no run has the key any more."""
        return f"(SELECT key FROM keys WHERE name = {self.bind(name)})"

    def where(self, query: Query | None) -> str:
        """The condition of a resolved query; true for no query."""
        return "1" if query is None else self._condition(query.root)

    def matching(self, query: Query | None) -> str:
        """A statement that selects the rows of `runs r` that match."""
        return f"SELECT r.rid FROM runs r WHERE {self.where(query)}"

    def eligible(self, table: str, *, sealed: bool, before: RunId | None) -> list[str]:
        """Terms over the `rid` and `clock` of a table: sealed, and older than a run."""
        terms = ["1"]
        if sealed:
            running = f"SELECT rid FROM runs WHERE outcome = '{Outcome.RUNNING.value}'"
            terms.append(f"{table}.rid NOT IN ({running})")
        if before is not None:
            rid = self.bind(row_of(before))
            clock = f"(SELECT clock FROM runs WHERE rid = {rid})"
            terms.append(f"({table}.clock, {table}.rid) < ({clock}, {rid})")
        return terms

    def _condition(self, term: Condition) -> str:
        match term:
            case AllOf(terms):
                return "(" + " AND ".join(self._condition(t) for t in terms) + ")"
            case AnyOf(terms):
                return "(" + " OR ".join(self._condition(t) for t in terms) + ")"
            case Not(inner):
                return f"(NOT {self._condition(inner)})"
            case _ if term.field.key == TAG:
                return self._tags(term)
            case Comparison(field, op, Field() as other):
                return self._compare(self._looked_up(field), op, self._looked_up(other))
            case _:
                return self._in_field(term.field, term)

    def _in_field(self, field: Field, term: Condition) -> str:
        """A condition on one field alone: over its column, or over the rows of its key."""
        if field.key in COLUMNS:
            return self._on_value(_column(field.key), term)
        condition = self._on_value(("num", "text"), term)
        return (
            f"(r.rid IN (SELECT rid FROM vals WHERE key = {self.key(field.key)} AND {condition}))"
        )

    def _on_value(self, pair: _Pair, term: Condition) -> str:
        match term:
            case Comparison(_, op, Constant() as constant):
                return self._compare(pair, op, self._constant(constant))
            case Membership(_, values, negated):
                found = self._equal_one(pair, values)
                return f"({_present(pair)} AND NOT {found})" if negated else found
            case Containment(text, _, negated):
                found = f"IFNULL(instr({pair[1]}, {self.bind(text)}) > 0, 0)"
                return f"({_present(pair)} AND NOT {found})" if negated else found
            case Presence():
                return _present(pair)
            case _:
                number, text = pair
                truth = f"CASE WHEN {number} IS NULL THEN {text} <> '' ELSE {number} <> 0 END"
                return f"IFNULL({truth}, 0)"

    def _looked_up(self, field: Field) -> _Pair:
        if field.key in COLUMNS:
            return _column(field.key)
        at = f"FROM vals WHERE key = {self.key(field.key)} AND rid = r.rid)"
        return f"(SELECT num {at}", f"(SELECT text {at}"

    def _constant(self, constant: Constant) -> _Pair:
        forms = constant.forms
        return (
            "NULL" if forms.number is None else self.bind(forms.number),
            "NULL" if forms.text is None else self.bind(forms.text),
        )

    def _compare(self, left: _Pair, op: Operator, right: _Pair) -> str:
        cases = [
            f"WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN {a} {_SIGNS[op]} {b}"
            for a, b in zip(left, right, strict=True)
            if "NULL" not in (a, b)
        ]
        rest = f"{_present(left)} AND {_present(right)}" if op is Operator.NE else "0"
        return f"(CASE {' '.join(cases)} ELSE {rest} END)" if cases else f"({rest})"

    def _equal_one(self, pair: _Pair, values: Iterable[Constant]) -> str:
        forms = [value.forms for value in values]
        numbers = [f.number for f in forms if f.number is not None]
        only_texts = [f.text for f in forms if f.number is None]
        both = [f.text for f in forms if f.number is not None and f.text is not None]
        return (
            f"(IFNULL({pair[0]} IN ({self._list(numbers)}), 0)"
            f" OR IFNULL({pair[1]} IN ({self._list(only_texts)}), 0)"
            f" OR ({pair[0]} IS NULL AND IFNULL({pair[1]} IN ({self._list(both)}), 0)))"
        )

    def _list(self, values: Iterable[object]) -> str:
        return ", ".join(self.bind(value) for value in values)

    def _tags(self, term: Condition) -> str:
        negated = False
        match term:
            case Comparison(_, op, Constant() as constant):
                negated = op is Operator.NE
                shown = Operator.EQ if negated else op
                condition = self._compare(("NULL", "tag"), shown, self._constant(constant))
            case Membership(_, values, negated):
                condition = self._equal_one(("NULL", "tag"), values)
            case Containment(text, _, negated):
                condition = f"tag = {self.bind(text)}"
            case _:
                condition = "1"
        found = f"r.rid IN (SELECT rid FROM tags WHERE {condition})"
        return f"(NOT {found})" if negated else f"({found})"


def _column(name: str) -> _Pair:
    column = COLUMNS[name]
    if name == "dirty":
        return column, f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    return (column, "NULL") if name in NUMERIC else ("NULL", column)


def _present(pair: _Pair) -> str:
    found = [f"{part} IS NOT NULL" for part in pair if part != "NULL"]
    return "(" + " OR ".join(found or ["0"]) + ")"
