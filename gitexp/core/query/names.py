"""Names in queries and sort keys: resolve a short name to its full one.

Separate from `parse`, because sorting by a plain name needs no parser.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from gitexp.core.errors import InvalidQuery
from gitexp.core.schema.fields import filters

NAMESPACES: Final = ("metrics", "params", "env")
"""First words of full key names; bare names are searched in the first two."""

TAG: Final = "tag"
"""Only attribute with many values: `tag == "x"` is true if any tag is `x`."""


ATTRIBUTES: Final = filters()
"""Names without a namespace, with the place of their values; `tag` is the only other one."""

_ALIASES: Final = {TAG: TAG, "tags": TAG}


def parse_sort(text: str, known_keys: Iterable[str]) -> str:
    """Return the full name of one sort key. Raises `InvalidQuery`."""
    known = frozenset(known_keys)
    name = text.strip()
    if name in known or name in ATTRIBUTES:
        return name
    if _candidates(NAMESPACES[:2], (name,), known):
        key = full_name((name,), known)
    else:
        from gitexp.core.query.parse import parse_name

        field = parse_name(text)
        key = full_name(field.parts, known, field.position)
    if key == TAG:
        raise InvalidQuery("cannot sort by tag", why="a run has many of them")
    return key


def full_name(parts: tuple[str, ...], known: frozenset[str], position: int = 0) -> str:
    """Return the full name of a field, which must be an attribute or one of the known keys.

    `position` is its column in the text. Raises `InvalidQuery` with near names.
    """
    first, rest = parts[0], parts[1:]
    if not rest:
        if first in ATTRIBUTES:
            return first
        if first in _ALIASES:
            return _ALIASES[first]
        if first in NAMESPACES:
            raise InvalidQuery(
                f"'{first}' is a group of names, not a name",
                position=position,
                hints=[f"write `{first}.NAME`"],
            )
    if first in NAMESPACES:
        found = _candidates((first,), rest, known)
    else:
        found = _candidates(NAMESPACES[:2], parts, known)
    if len(found) == 1:
        return found[0]
    name = ".".join(parts)
    if found:
        raise InvalidQuery(
            f"'{name}' is ambiguous",
            position=position,
            why="it could be " + " or ".join(found),
            hints=[f"write `{found[0]}`"],
        )
    raise InvalidQuery(f"no run has '{name}'", position=position, hints=_near_hints(name, known))


def _candidates(spaces: Sequence[str], parts: tuple[str, ...], known: frozenset[str]) -> list[str]:
    """Return the known keys that the parts can mean; `metrics["a.b"]` equals `metrics.a.b`."""
    return [key for space in spaces if (key := ".".join((space, *parts))) in known]


def _near_hints(name: str, known: frozenset[str]) -> list[str]:
    import difflib

    short: dict[str, str] = {name: name for name in ATTRIBUTES}
    for key in sorted(known, reverse=True):
        short[key] = short[key.split(".", 1)[1]] = short[key.rpartition(".")[2]] = key
    near = [short[word] for word in difflib.get_close_matches(name, short, 3)]
    near += [key for key in sorted(known) if key.endswith("." + name)][:3]
    unique = list(dict.fromkeys(near))[:4]
    if unique:
        return [f"did you mean {', '.join(f'`{key}`' for key in unique)}?"]
    return ["`git exp list --json -n 1` shows the names that a run has"] if known else []
