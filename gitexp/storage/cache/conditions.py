# ruff: noqa: S608 - see `sql`
"""Compile filters to SQL over the tables of the cache.

`core.query.matching.matches` defines the meaning of a query; the SQL must agree with it. The
functions bind every value through the `Compiler` that they receive.
"""

from collections.abc import Iterable
from typing import Final

from gitexp.core.query.names import TAG
from gitexp.core.query.parse import (
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
)
from gitexp.storage.cache.sql import BOOLEAN, COLUMNS, TEXTUAL, Compiler

_SIGNS: Final = {
    Operator.EQ: "=",
    Operator.NE: "<>",
    Operator.LT: "<",
    Operator.LE: "<=",
    Operator.GT: ">",
    Operator.GE: ">=",
}

_Pair = tuple[str, str]
"""SQL for the number form and the text form of a value; `NULL` for a form that it lacks."""


def condition(sql: Compiler, term: Condition) -> str:
    """Compile one term to a condition over `runs r`."""
    match term:
        case AllOf(terms):
            return "(" + " AND ".join(condition(sql, t) for t in terms) + ")"
        case AnyOf(terms):
            return "(" + " OR ".join(condition(sql, t) for t in terms) + ")"
        case Not(inner):
            return f"(NOT {condition(sql, inner)})"
        case _ if term.field.key == TAG:
            return _tags(sql, term)
        case Comparison(field, op, Field() as other):
            return _compare(_looked_up(sql, field), op, _looked_up(sql, other))
        case _:
            return _in_field(sql, term.field, term)


def _in_field(sql: Compiler, field: Field, term: Condition) -> str:
    """Compile a condition on a single field: over its column, or over the rows of its key."""
    if field.key in COLUMNS:
        sql.needs_runs = True
        return _on_value(sql, _column(field.key), term)
    condition = _in_order(sql, term) or _on_value(sql, ("num", "text"), term)
    key = sql.key(field.key)
    selection = f"SELECT rid FROM vals WHERE key = {key} AND {condition}"
    if sql.matches_many(selection):
        return (
            f"(EXISTS (SELECT 1 FROM vals c WHERE c.key = {key} AND c.rid = r.rid AND {condition}))"
        )
    return f"(r.rid IN ({selection}))"


def _in_order(sql: Compiler, term: Condition) -> str | None:
    """Compile a comparison with a plain number so that the index `vals_order` serves it."""
    match term:
        case Comparison(_, op, Constant(forms)) if forms.text is None and op is not Operator.NE:
            return f"num {_SIGNS[op]} {sql.bind(forms.number)}"
        case _:
            return None


def _on_value(sql: Compiler, pair: _Pair, term: Condition) -> str:
    match term:
        case Comparison(_, op, Constant() as constant):
            return _compare(pair, op, _constant(sql, constant))
        case Membership(_, values, negated):
            found = _equal_one(sql, pair, values)
            return f"({_present(pair)} AND NOT {found})" if negated else found
        case Containment(text, _, negated):
            found = f"IFNULL(instr({pair[1]}, {sql.bind(text)}) > 0, 0)"
            return f"({_present(pair)} AND NOT {found})" if negated else found
        case Presence():
            return _present(pair)
        case _:
            number, text = pair
            truth = f"CASE WHEN {number} IS NULL THEN {text} <> '' ELSE {number} <> 0 END"
            return f"IFNULL({truth}, 0)"


def _looked_up(sql: Compiler, field: Field) -> _Pair:
    if field.key in COLUMNS:
        sql.needs_runs = True
        return _column(field.key)
    at = f"FROM vals WHERE key = {sql.key(field.key)} AND rid = r.rid)"
    return f"(SELECT num {at}", f"(SELECT text {at}"


def _constant(sql: Compiler, constant: Constant) -> _Pair:
    forms = constant.forms
    return (
        "NULL" if forms.number is None else sql.bind(forms.number),
        "NULL" if forms.text is None else sql.bind(forms.text),
    )


def _compare(left: _Pair, op: Operator, right: _Pair) -> str:
    cases = [
        f"WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN {a} {_SIGNS[op]} {b}"
        for a, b in zip(left, right, strict=True)
        if "NULL" not in (a, b)
    ]
    rest = f"{_present(left)} AND {_present(right)}" if op is Operator.NE else "0"
    return f"(CASE {' '.join(cases)} ELSE {rest} END)" if cases else f"({rest})"


def _equal_one(sql: Compiler, pair: _Pair, values: Iterable[Constant]) -> str:
    forms = [value.forms for value in values]
    numbers = [f.number for f in forms if f.number is not None]
    only_texts = [f.text for f in forms if f.number is None]
    both = [f.text for f in forms if f.number is not None and f.text is not None]
    return (
        f"(IFNULL({pair[0]} IN ({_list(sql, numbers)}), 0)"
        f" OR IFNULL({pair[1]} IN ({_list(sql, only_texts)}), 0)"
        f" OR ({pair[0]} IS NULL AND IFNULL({pair[1]} IN ({_list(sql, both)}), 0)))"
    )


def _list(sql: Compiler, values: Iterable[object]) -> str:
    return ", ".join(sql.bind(value) for value in values)


def _tags(sql: Compiler, term: Condition) -> str:
    negated = False
    match term:
        case Comparison(_, op, Constant() as constant):
            negated = op is Operator.NE
            shown = Operator.EQ if negated else op
            condition = _compare(("NULL", "tag"), shown, _constant(sql, constant))
        case Membership(_, values, negated):
            condition = _equal_one(sql, ("NULL", "tag"), values)
        case Containment(text, _, negated):
            condition = f"tag = {sql.bind(text)}"
        case _:
            condition = "1"
    found = f"r.rid IN (SELECT rid FROM tags WHERE {condition})"
    return f"(NOT {found})" if negated else f"({found})"


def _column(name: str) -> _Pair:
    column = COLUMNS[name]
    if name in BOOLEAN:
        return column, f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    return ("NULL", column) if name in TEXTUAL else (column, "NULL")


def _present(pair: _Pair) -> str:
    found = [f"{part} IS NOT NULL" for part in pair if part != "NULL"]
    return "(" + " OR ".join(found or ["0"]) + ")"
