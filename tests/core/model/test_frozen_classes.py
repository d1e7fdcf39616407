"""Classes made by `frozen` behave as those of `dataclass(frozen=True, slots=True)`."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from gitexp.core.model.frozen import frozen


@frozen
class Ours:
    """A class with all kinds of fields."""

    name: str
    count: int = 3
    table: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Theirs:
    """The same class, made by the standard library."""

    name: str
    count: int = 3
    table: dict[str, int] = field(default_factory=dict)


@frozen(kw_only=True)
class Named:
    """A class whose fields are given by name."""

    count: int = 3
    name: str


BOTH = pytest.mark.parametrize("made", [Ours, Theirs])


@BOTH
@pytest.mark.parametrize(
    ("args", "given"),
    [
        ((), {}),
        (("a", 1, {}, 2), {}),
        (("a",), {"name": "b"}),
        (("a",), {"size": 1}),
    ],
    ids=["missing", "too many", "twice", "unknown"],
)
def test_other_arguments_are_refused(made: Any, args: tuple[Any, ...], given: Any) -> None:
    with pytest.raises(TypeError):
        made(*args, **given)


@BOTH
def test_fields_are_set_from_arguments_and_defaults(made: Any) -> None:
    one = made("a", table={"x": 1})
    assert (one.name, one.count, one.table) == ("a", 3, {"x": 1})
    assert made("a").table is not made("a").table
    assert [f.name for f in fields(made)] == ["name", "count", "table"]
    assert repr(one) == f"{made.__name__}(name='a', count=3, table={{'x': 1}})"


@BOTH
def test_no_field_changes(made: Any) -> None:
    one = made("a")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name
    assert not hasattr(one, "__dict__")


@BOTH
@pytest.mark.parametrize("change", [replace, copy.copy, copy.deepcopy])
def test_copies_are_equal(made: Any, change: Callable[[Any], Any]) -> None:
    one = made("a", 4, {"x": 1})
    assert change(one) == one
    assert pickle.loads(pickle.dumps(one)) == one
    assert replace(one, count=5) == made("a", 5, {"x": 1}) != one


@BOTH
def test_equal_values_have_one_hash(made: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(made("a"))
    assert hash(made("a", 1, ())) == hash(made("a", 1, ()))
    assert made("a") != ("a", 3, {})


def test_named_fields_take_no_positions() -> None:
    assert Named(name="a") == Named(count=3, name="a")
    with pytest.raises(TypeError):
        Named("a")  # type: ignore[arg-type, call-arg]
    match Ours("a", 5):
        case Ours(name, count):
            assert (name, count) == ("a", 5)
