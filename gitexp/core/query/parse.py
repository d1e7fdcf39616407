"""Parse the text of a filter or sort key into a small tree of frozen values.

Uses Python's own parser. Only the node types named here are allowed; others are refused with their
column. `core.query.matching` defines the meaning of the tree. Its nodes are named tuples, because
creating as many dataclasses costs every filter 8 ms.
"""

import ast
import warnings
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from gitexp.core.errors import InvalidQuery
from gitexp.core.query.values import QueryValue, query_value
from gitexp.core.schema.limits import INT_MAX, INT_MIN

MAX_LENGTH: Final = 10_000
"""Maximum characters of a filter."""

MAX_DEPTH: Final = 16
"""Maximum nesting of `and`, `or`, `not`; SQLite's parser has a stack of 100."""

MAX_PARTS: Final = 50
"""Maximum parts of a dotted name."""

MAX_CONDITIONS: Final = 200
MAX_VALUES: Final = 500
"""Maximum literals in a filter; with the other limits, its SQL stays within SQLite's own limits."""

# --- the tree -------------------------------------------------------------------------------------


class Operator(StrEnum):
    """Comparison operators."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class Field(NamedTuple):
    """Name in a query."""

    parts: tuple[str, ...]
    """Parts as typed, split at the dots."""
    position: int = 0
    """0-based column."""
    key: str = ""
    """Full name (`metrics.accuracy`) or attribute (`outcome`); empty until resolved."""


class Constant(NamedTuple):
    """Literal in a query."""

    forms: QueryValue


Operand: TypeAlias = Field | Constant


class Comparison(NamedTuple):
    """Field compared with a literal or another field."""

    field: Field
    operator: Operator
    other: Operand


class Membership(NamedTuple):
    """True if the field equals one of the values; negated: if it is present and equals none."""

    field: Field
    values: tuple[Constant, ...]
    negated: bool


class Containment(NamedTuple):
    """True if the field contains the text, or a tag equals it; negated: if present and not so."""

    text: str
    field: Field
    negated: bool


class Presence(NamedTuple):
    """True if the field has a value."""

    field: Field


class Truth(NamedTuple):
    """Field without comparison: true if it is present, and neither 0 nor empty text."""

    field: Field


class Not(NamedTuple):
    """True if the term is false."""

    term: "Condition"


class AllOf(NamedTuple):
    """True if every term is true."""

    terms: tuple["Condition", ...]


class AnyOf(NamedTuple):
    """True if at least one term is true."""

    terms: tuple["Condition", ...]


Condition: TypeAlias = (
    Comparison | Membership | Containment | Presence | Truth | Not | AllOf | AnyOf
)


class Query(NamedTuple):
    """Parsed filter."""

    text: str
    root: Condition


# --- text to tree ---------------------------------------------------------------------------------

_OPERATORS: Final[dict[type[ast.cmpop], Operator]] = {
    ast.Eq: Operator.EQ,
    ast.NotEq: Operator.NE,
    ast.Lt: Operator.LT,
    ast.LtE: Operator.LE,
    ast.Gt: Operator.GT,
    ast.GtE: Operator.GE,
}

_MIRRORED: Final = {
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}

_NEGATIONS: Final = (ast.NotIn, ast.NotEq, ast.IsNot)

_HINTS: Final[dict[type[ast.AST], str]] = {
    ast.BinOp: 'write `and`, `or` for `&`, `|`, and odd names as `metrics["top-1"]`; '
    "there is no arithmetic",
    ast.Call: 'there are no functions; `"text" in name` finds a part of a text',
    ast.NamedExpr: "write `==` to compare",
    ast.JoinedStr: "write a plain text in quotes",
}


def parse_query(text: str) -> Query:
    """Parse a filter. Raises `InvalidQuery` with the column of the error."""
    return Query(text, _Parser(text, "filter").condition())


def parse_name(text: str) -> Field:
    """Parse one name for sorting. Raises `InvalidQuery`."""
    return _Parser(text, "sort key").name()


class _Parser:
    """Parser of one text; counts conditions and values."""

    def __init__(self, text: str, noun: str) -> None:
        self._noun = noun
        if len(text) > MAX_LENGTH:
            raise InvalidQuery(
                f"the {noun} is too long", why=f"it has more than {MAX_LENGTH:,} characters"
            )
        stripped = text.lstrip()
        self._shift = len(text) - len(stripped)
        self._text = stripped.rstrip().replace("\n", " ").replace("\r", " ").replace("\f", " ")
        if not self._text:
            raise InvalidQuery(
                f"the {noun} is empty", hints=["write for example `metrics.accuracy > 0.8`"]
            )
        self._conditions = 0
        self._values = 0
        self._root = self._parse()

    def _parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self._text, mode="eval").body
        except SyntaxError as error:
            position = None if not error.offset else min(error.offset - 1, len(self._text))
            raise InvalidQuery(
                f"cannot read the {self._noun}",
                position=None if position is None else position + self._shift,
                why=error.msg,
                hints=_syntax_hints(self._text, position or 0),
            ) from error
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            deep = isinstance(error, RecursionError | MemoryError)
            why = "it is nested too deeply" if deep else str(error)
            raise InvalidQuery(f"cannot read the {self._noun}", why=why) from error

    def condition(self) -> Condition:
        return self._condition(self._root, 1)

    def name(self) -> Field:
        return self._field(self._root)

    def _condition(self, node: ast.expr, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self._fault(node, f"the filter is nested deeper than {MAX_DEPTH} levels")
        match node:
            case ast.BoolOp(op=op, values=values):
                terms = tuple(self._condition(value, depth + 1) for value in values)
                return AllOf(terms) if isinstance(op, ast.And) else AnyOf(terms)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self._condition(operand, depth + 1))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                lefts = [left, *rights[:-1]]
                pairs = tuple(
                    self._compare(a, op, b) for a, op, b in zip(lefts, ops, rights, strict=True)
                )
                return pairs[0] if len(pairs) == 1 else AllOf(pairs)
            case _ if _is_name(node):
                self._count(node)
                return Truth(self._field(node))
        raise self._refuse(node, "a condition")

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
        self._count(left)
        negated = isinstance(op, _NEGATIONS)
        if _is_none(right) or _is_none(left):
            if isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
                presence = Presence(self._field(left if _is_none(right) else right))
                return presence if negated else Not(presence)
            raise self._fault(right, "None has no order", hint="write `is None` or `is not None`")
        if isinstance(op, ast.In | ast.NotIn):
            return self._membership(left, right, negated=negated)
        if type(op) not in _OPERATORS:
            raise self._fault(left, "`is` is only for None", hint="write `==` to compare")
        sides = self._operand(left), self._operand(right)
        operator = _OPERATORS[type(op)]
        if isinstance(sides[0], Field):
            return Comparison(sides[0], operator, sides[1])
        if isinstance(sides[1], Field):
            return Comparison(sides[1], _MIRRORED.get(operator, operator), sides[0])
        raise self._fault(left, "a comparison needs a name on one side")

    def _membership(self, left: ast.expr, right: ast.expr, *, negated: bool) -> Condition:
        if isinstance(right, ast.Tuple | ast.List):
            values = tuple(self._constant(item) for item in right.elts)
            return Membership(self._field(left), values, negated)
        if isinstance(left, ast.Constant) and isinstance(left.value, str):
            return Containment(self._constant(left).forms.text or "", self._field(right), negated)
        raise self._fault(
            right,
            "the meaning of `in` is unclear here",
            hint='write `name in ("a", "b")`, `"tag" in tags` or `"part" in name`',
        )

    def _operand(self, node: ast.expr) -> Operand:
        return self._field(node) if _is_name(node) else self._constant(node)

    def _field(self, node: ast.expr) -> Field:
        """Return a name, also one with slashes: `val/loss`, which Python parses as a division."""
        pieces: list[ast.expr] = []
        inner = node
        while isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div):
            if len(pieces) >= MAX_PARTS:
                raise self._fault(node, f"the name has more than {MAX_PARTS} parts")
            pieces.append(inner.right)
            inner = inner.left
        parts = self._parts(inner)
        for piece in reversed(pieces):
            first, *rest = self._parts(piece)
            parts = [*parts[:-1], f"{parts[-1]}/{first}", *rest]
        return Field(tuple(parts), self._column(node))

    def _parts(self, node: ast.expr) -> list[str]:
        """Return the parts of a name without slashes."""
        parts: list[str] = []
        inner = node
        while not isinstance(inner, ast.Name):
            match inner:
                case ast.Attribute(value=value, attr=attr):
                    parts.append(attr)
                case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
                    parts.append(key)
                case _:
                    raise self._refuse(inner, "a name")
            inner = value
            if len(parts) >= MAX_PARTS:
                raise self._fault(node, f"the name has more than {MAX_PARTS} parts")
        return [inner.id, *reversed(parts)]

    def _constant(self, node: ast.expr) -> Constant:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._fault(node, f"the filter has more than {MAX_VALUES} values")
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                value: object = -number
            case ast.UnaryOp(op=ast.UAdd(), operand=ast.Constant(value=int() | float() as number)):
                value = +number
            case ast.Constant(value=value):
                pass
            case _:
                raise self._refuse(node, "a value")
        if isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value):
            return Constant(query_value(value))
        if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            raise self._fault(node, "the number has more than 64 bits")
        if isinstance(value, bool | int | float):
            return Constant(query_value(value))
        raise self._fault(node, "a value is a number, a text, True or False")

    def _count(self, node: ast.expr) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise self._fault(node, f"the filter has more than {MAX_CONDITIONS} conditions")

    def _column(self, node: ast.expr) -> int:
        before = self._text.encode()[: node.col_offset]
        return self._shift + len(before.decode(errors="ignore"))

    def _fault(self, node: ast.expr, what: str, *, hint: str | None = None) -> InvalidQuery:
        hints = [] if hint is None else [hint]
        return InvalidQuery(what, position=self._column(node), hints=hints)

    def _refuse(self, node: ast.expr, expected: str) -> InvalidQuery:
        shown = ast.get_source_segment(self._text, node) or type(node).__name__
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        return self._fault(node, f"'{shown}' is not {expected}", hint=_HINTS.get(type(node)))


def _is_name(node: ast.expr) -> bool:
    """Return whether a node is a name, or names with slashes between them; there is no division."""
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        if not isinstance(node.right, ast.Name | ast.Attribute | ast.Subscript):
            return False
        node = node.left
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _syntax_hints(text: str, position: int) -> list[str]:
    import keyword
    import re

    if "&&" in text or "||" in text:
        return ["write `and`, `or` instead of `&&`, `||`"]
    if re.search(r"[^=!<>]=[^=]", text):
        return ["write `==` to compare"]
    for word in re.findall(r"\.(\w+)", text):
        if keyword.iskeyword(word):
            return [f'`{word}` is a Python keyword: write `["{word}"]` instead of `.{word}`']
    if text[position : position + 1] == "-" or re.search(r"\.\d", text):
        return ['put odd names in quotes: `metrics["top-1"]`']
    return []
