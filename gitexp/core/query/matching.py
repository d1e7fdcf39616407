"""Evaluate filters and orders over runs: `metrics.accuracy > 0.8 and tag == "x"`.

Parses the Python-like text into a tree of frozen values, resolves names among the known keys, and
defines the meaning of a query (`matches`). The cache compiles the same tree to SQL and must give
the same answers; this module contains no SQL.

Comparisons: a value has a number form, a text form, or both (`QueryValue`). Two values are compared
as numbers if both have one, else as text if both have one. A missing value makes every comparison
false, including `!=` and `not in`; only `is None` finds it. Present values of different kinds are
unequal and have no order.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from gitexp.core.errors import InvalidQuery
from gitexp.core.model.run import RecordedRun
from gitexp.core.query.names import ATTRIBUTES, NAMESPACES, TAG, full_name, parse_sort
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
    Operand,
    Operator,
    Presence,
    Query,
    Truth,
    parse_query,
)
from gitexp.core.query.values import QueryValue, keyed_values, query_value
from gitexp.core.schema.fields import Derived
from gitexp.core.schema.json_codec import entry_document

__all__ = [
    "ATTRIBUTES",
    "NAMESPACES",
    "TAG",
    "Query",
    "attribute_forms",
    "compare",
    "keyed_values",
    "matches",
    "parse_query",
    "parse_sort",
    "query_value",
    "resolve",
]

# --- names ----------------------------------------------------------------------------------------


def resolve(query: Query, known_keys: Iterable[str]) -> Query:
    """Give every field its full name. Raises `InvalidQuery` with near names or all candidates."""
    return Query(query.text, _resolve_condition(query.root, frozenset(known_keys)))


def _resolve_condition(term: Condition, known: frozenset[str]) -> Condition:
    match term:
        case Comparison():
            return _resolve_comparison(term, known)
        case Not(inner):
            return Not(_resolve_condition(inner, known))
        case AllOf(terms) | AnyOf(terms):
            return type(term)(tuple(_resolve_condition(t, known) for t in terms))
        case _:
            return term._replace(field=_resolve_field(term.field, known))


def _resolve_comparison(term: Comparison, known: frozenset[str]) -> Comparison:
    field, other = _resolve_field(term.field, known), term.other
    if isinstance(other, Field):
        other = _resolve_field(other, known)
        if TAG in (field.key, other.key):
            raise InvalidQuery("tags compare only with a text", position=field.position)
    return Comparison(field, term.operator, other)


def _resolve_field(field: Field, known: frozenset[str]) -> Field:
    return Field(field.parts, field.position, full_name(field.parts, known, field.position))


# --- values ---------------------------------------------------------------------------------------


def attribute_forms(value: str | float | None) -> QueryValue | None:
    """Return an attribute for queries; `None` if missing. Texts stay texts."""
    if value is None:
        return None
    if isinstance(value, bool):
        return query_value(value)
    return QueryValue(text=value) if isinstance(value, str) else QueryValue(value)


# --- meaning --------------------------------------------------------------------------------------

_COMPARE: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}


def matches(query: Query, entry: RecordedRun) -> bool:
    """Evaluate a resolved query in Python; the cache must agree with it."""
    values = {key: query_value(value) for key, value in keyed_values(entry)}
    document = entry_document(entry)
    for name, attribute in ATTRIBUTES.items():
        value = attribute.read(document) if isinstance(attribute, Derived) else attribute(entry)
        forms = attribute_forms(value)
        if forms is not None:
            values[name] = forms
    return _holds(query.root, values, [QueryValue(text=tag) for tag in entry.tags])


def _holds(term: Condition, values: dict[str, QueryValue], tags: list[QueryValue]) -> bool:
    match term:
        case AllOf(terms):
            return all(_holds(t, values, tags) for t in terms)
        case AnyOf(terms):
            return any(_holds(t, values, tags) for t in terms)
        case Not(inner):
            return not _holds(inner, values, tags)
        case Comparison(field, op, other):
            return _compared(field, op, other, values, tags)
        case _:
            of_tags = term.field.key == TAG
            return (
                _tags_hold(term, tags)
                if of_tags
                else _field_holds(term, values.get(term.field.key))
            )


def _compared(
    field: Field,
    op: Operator,
    right: Operand,
    values: dict[str, QueryValue],
    tags: list[QueryValue],
) -> bool:
    other = right.forms if isinstance(right, Constant) else values.get(right.key)
    if other is None:
        return False
    if field.key == TAG:
        if op is Operator.NE:
            return not any(compare(tag, Operator.EQ, other) for tag in tags)
        return any(compare(tag, op, other) for tag in tags)
    forms = values.get(field.key)
    return forms is not None and compare(forms, op, other)


def compare(left: QueryValue, op: Operator, right: QueryValue) -> bool:
    """Compare two present values; the docstring of the module defines how."""
    if left.number is not None and right.number is not None:
        return _COMPARE[op](left.number, right.number)
    if left.text is not None and right.text is not None:
        return _COMPARE[op](left.text, right.text)
    return op is Operator.NE


def _tags_hold(term: Membership | Containment | Presence | Truth, tags: list[QueryValue]) -> bool:
    match term:
        case Membership(_, values, negated):
            found = any(compare(t, Operator.EQ, v.forms) for t in tags for v in values)
            return found is not negated
        case Containment(text, _, negated):
            return any(tag.text == text for tag in tags) is not negated
        case _:
            return bool(tags)


def _field_holds(
    term: Membership | Containment | Presence | Truth, forms: QueryValue | None
) -> bool:
    if forms is None:
        return False
    match term:
        case Membership(_, values, negated):
            return any(compare(forms, Operator.EQ, v.forms) for v in values) is not negated
        case Containment(text, _, negated):
            return (forms.text is not None and text in forms.text) is not negated
        case Truth():
            return bool(forms.text if forms.number is None else forms.number)
        case _:
            return True
