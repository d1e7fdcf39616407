"""Colours by role.

The caller decides whether to colour; this module knows no terminal. Colour only repeats what the
words say.
"""

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["id", "good", "bad", "doubt", "heading", "quiet"]

_CODES: dict[Role, str] = {
    "id": "33",
    "good": "32",
    "bad": "31",
    "doubt": "35",
    "heading": "1",
    "quiet": "2",
}


def style(text: str, role: Role, *, enabled: bool) -> str:
    """Return the text in the colour of its role; `text` must be clean already."""
    return f"\x1b[{_CODES[role]}m{text}\x1b[0m" if enabled and text else text
