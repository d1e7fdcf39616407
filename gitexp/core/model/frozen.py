"""Frozen dataclasses that take little time at the start of a process.

`dataclass` compiles six methods of each class in each process: 0.7 ms a class, and a command uses
twenty to forty classes. Here it only collects the fields, and all classes share their methods,
which takes a tenth of that. `replace` and `fields` of `dataclasses` work as usual.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class a frozen dataclass with slots. With `kw_only`, its fields are given by name."""

    def make(cls: type[Any]) -> type[Any]:
        made = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        for name in _SHARED:
            setattr(made, name, _Methods.__dict__[name])
        made._steps = [(f.name, made.__dict__[f.name].__set__, f) for f in fields(made)]
        return made

    return make if cls is None else make(cls)


class _Methods:
    """The methods that all frozen classes share."""

    __match_args__: ClassVar[tuple[str, ...]]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _steps: ClassVar[list[tuple[str, Callable[[Any, object], None], Field[Any]]]]
    """Name of each field, the setter of its slot, and its default."""

    def __init__(self, /, *args: object, **given: object) -> None:
        """Set the fields. Raises `TypeError` for other arguments."""
        if args:
            names = self.__match_args__[: len(args)]
            if len(names) < len(args) or not given.keys().isdisjoint(names):
                raise TypeError(f"{type(self).__name__}() got too many arguments")
            given.update(zip(names, args, strict=True))
        for name, put, described in self._steps:
            if name in given:
                put(self, given.pop(name))
            elif described.default is not MISSING:
                put(self, described.default)
            elif described.default_factory is not MISSING:
                put(self, described.default_factory())
            else:
                raise TypeError(f"{type(self).__name__}() has no argument '{name}'")
        if given:
            raise TypeError(f"{type(self).__name__}() got the argument '{next(iter(given))}'")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field '{name}'")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field '{name}'")

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:
        """Set the fields of a copy, for `copy` and `pickle`."""
        for name, value in state[1].items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        told = (f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
        return f"{type(self).__qualname__}({', '.join(told)})"


def _values(made: Any) -> tuple[object, ...]:
    return tuple([getattr(made, name) for name in made.__dataclass_fields__])


_SHARED = tuple(name for name, member in vars(_Methods).items() if callable(member))
