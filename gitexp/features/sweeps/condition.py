"""Conditions on points: `depth * width <= 512 and opt != "sgd"`.

Pure. The syntax is that of Python's arithmetic and comparisons; nothing is called but `abs`, `min`,
`max` and `log`, and nothing is looked up but parameters.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gitexp.core.model.run import Value
from gitexp.features.sweeps.space import Condition, UnusableSpace

_ARITHMETIC: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_CALLS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "log": math.log,
}
_CONSTANTS: Final = {"true": True, "false": False}
_FAULTS: Final = (TypeError, ValueError, ArithmeticError)
MAX_LENGTH: Final = 10_000


def parse_conditions(texts: Sequence[str], names: Sequence[str]) -> Condition | None:
    """Read the expressions after `--where`; all must hold. `names` are the parameters of a point.

    `None` when there is none. Raises `UnusableSpace` for an expression that cannot be read or names
    another parameter.
    """
    conditions = [_parse(text, names) for text in texts]
    if not conditions:
        return None
    return lambda point: all(condition(point) for condition in conditions)


def _parse(text: str, names: Sequence[str]) -> Condition:
    try:
        if len(text) > MAX_LENGTH:
            raise ValueError("it is too long")
        tree = ast.parse(text.strip(), mode="eval").body
        found = _names_of(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise _unreadable(text, why) from error
    unknown = next((name for name in found if name not in names), None)
    if unknown is not None:
        raise UnusableSpace(
            f"--where names '{unknown}', which the sweep does not vary",
            hints=[f'it varies {", ".join(names)}; text stands in quotes: `opt == "adam"`'],
        )

    def holds(point: Mapping[str, Value]) -> bool:
        try:
            return bool(_value(tree, point))
        except KeyError:
            return True  # a row of a table that lacks the parameter
        except _FAULTS as error:
            raise UnusableSpace(f"cannot work out --where '{text}'", why=str(error)) from error

    return holds


def _unreadable(text: str, why: str) -> UnusableSpace:
    return UnusableSpace(
        f"cannot read --where '{text[:80]}'",
        why=why,
        hints=["write it like `--where 'depth * width <= 512'`"],
    )


def _names_of(node: ast.expr) -> list[str]:
    """The parameters that an expression names. Raises `ValueError` for what it must not hold."""
    name = _dotted(node)
    if name is not None:
        return [] if name in _CONSTANTS else [name]
    return [found for child in _children(node) for found in _names_of(child)]


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        below = _dotted(node.value)
        return None if below is None else f"{below}.{node.attr}"
    return None


def _children(node: ast.expr) -> list[ast.expr]:  # noqa: PLR0911 - one line a form
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return []
        case ast.BoolOp(values=values):
            return list(values)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            return [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC or isinstance(
            op, ast.Pow
        ):
            return [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            return [left, *others]
        case ast.Tuple(elts=members) | ast.List(elts=members):
            return list(members)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS:
            return list(args)
    raise ValueError(f"'{ast.unparse(node)[:60]}' is not allowed here")


def _value(node: ast.expr, point: Mapping[str, Value]) -> Any:  # noqa: PLR0911 - see above
    name = _dotted(node)
    if name is not None:
        return _CONSTANTS[name] if name in _CONSTANTS else point[name]
    match node:
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=op, values=values):
            wanted = isinstance(op, ast.Or)
            found = next((v for v in values if bool(_value(v, point)) is wanted), None)
            return wanted if found is not None else not wanted
        case ast.UnaryOp(op=op, operand=operand):
            inner = _value(operand, point)
            return not inner if isinstance(op, ast.Not) else _signed(op, inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(op, _value(left, point), _value(right, point))
        case ast.Tuple(elts=members) | ast.List(elts=members):
            return [_value(member, point) for member in members]
        case ast.Call(func=ast.Name(id=called), args=args):
            return _CALLS[called](*(_value(arg, point) for arg in args))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compare(_value(left, point), ops, [_value(o, point) for o in others])
    raise TypeError("it cannot be worked out")


def _signed(op: ast.unaryop, value: Any) -> Any:
    return -value if isinstance(op, ast.USub) else +value


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    if not all(isinstance(side, int | float) for side in (left, right)):
        raise TypeError(f"{left!r} and {right!r} are not both numbers")
    if isinstance(op, ast.Pow):
        return float(left) ** right
    return _ARITHMETIC[type(op)](left, right)


def _compare(left: Any, ops: Sequence[ast.cmpop], others: Sequence[Any]) -> bool:
    for op, right in zip(ops, others, strict=True):
        if not _COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True
