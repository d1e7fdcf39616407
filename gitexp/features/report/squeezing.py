"""Programs and styles without what only people need: comments, indents, spaces, long names.

The page has to be small, and nobody has to install a bundler for that. Texts and regular
expressions stay as they are. Names of functions and constants are shortened where no property has
the same name. The readable program is `static/`.
"""

import re
from collections.abc import Callable, Iterator
from itertools import count, product
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>(?:\s+|//[^\n]*|/\*.*?\*/)+)"""
    r"""|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<template>`)"""
    r"""|(?P<word>[\w$]+)"""
    r"""|(?P<slash>/)"""
    r"""|(?P<sign>[^\s\w$"'`/])""",
    re.DOTALL,
)
_EXPRESSION: Final = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_PLAIN: Final = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_BEFORE_EXPRESSION: Final = frozenset("(,=:[!&|?{};+-*%<>~^")
_KEYWORDS: Final = frozenset({"return", "typeof", "case", "in", "of", "delete", "void", "await"})
_OPEN: Final = frozenset("{([,;:?=&|<>*%.")
"""A line end after one of these means nothing."""
_CLOSE: Final = frozenset("})],;:?=&|<>*%.")
_DECLARED: Final = re.compile(
    r"^(?:async )?(?:function|const|let|class) ([A-Za-z]\w+)", re.MULTILINE
)

Token = tuple[str, str]
"""Kind and text."""

_LISTED: Final = frozenset({("sign", "{"), ("sign", ","), ("sign", "}")})


def squeeze_program(text: str) -> str:
    """A program that does the same."""
    tokens = list(_tokens(text))
    names = _short_names(text, tokens)
    parts: list[str] = []
    last = ""
    for place, (kind, part) in enumerate(tokens):
        shown = part
        if kind == "space":
            after = tokens[place + 1][1][0] if place + 1 < len(tokens) else "}"
            shown = _kept_space(part, last, after) if last else ""
        elif kind == "word":
            shown = "let" if part == "const" else names.get(part, part)
        if shown:
            parts.append(shown)
            last = shown[-1]
    return "".join(parts)


def _tokens(text: str) -> Iterator[Token]:
    at, last, holes = 0, "", [0]
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"cannot read the program at {text[at : at + 30]!r}")
        kind, part = str(found.lastgroup), found[0]
        if kind == "slash" and (not last or last[-1] in _BEFORE_EXPRESSION or last in _KEYWORDS):
            expression = _EXPRESSION.match(text, at)
            kind, part = "text", part if expression is None else expression[0]
        if part == "{":
            holes[-1] += 1
        elif part == "}":
            holes[-1] -= 1
        is_end_of_hole = len(holes) > 1 and holes[-1] < 0
        if kind == "template" or is_end_of_hole:
            if is_end_of_hole:
                holes.pop()
            plain = _PLAIN.match(text, at + 1)
            end = at + 1 if plain is None else plain.end()
            if text.startswith("${", end):
                holes.append(0)
                end += 1
            kind, part = "template", text[at : end + 1]
        yield kind, part
        at += len(part)
        if kind != "space":
            last = part if kind != "template" or part.endswith("${") else "`"


def _short_names(text: str, tokens: list[Token]) -> dict[str, str]:
    """Short names for what is declared for the whole program and is the name of nothing else."""
    declared = set(_DECLARED.findall(text))
    code = [token for token in tokens if token[0] != "space"]
    words = {part for kind, part in code if kind == "word"}
    uses: dict[str, int] = {}
    taken: set[str] = set()
    for place, (kind, part) in enumerate(code):
        if kind == "word" and part in declared:
            before, after = code[place - 1], code[place + 1]
            is_short_for_property = before in _LISTED and after in _LISTED
            if before[1] == "." or after[1] == ":" or is_short_for_property:
                taken.add(part)
            uses[part] = uses.get(part, 0) + 1
    free = declared - taken
    short = (name for name in _letters() if name not in words)
    ordered = sorted(free, key=lambda name: -uses.get(name, 0) * len(name))
    return {
        name: other for name, other in zip(ordered, short, strict=False) if len(other) < len(name)
    }


def _letters() -> Iterator[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for length in count(1):
        yield from ("$" + "".join(name) for name in product(letters, repeat=length))


def _kept_space(space: str, before: str, after: str) -> str:
    """What must stay between two letters: a line end, a space, or nothing."""
    if "\n" in space:
        return "" if before in _OPEN or after in _CLOSE else "\n"
    is_between_words = _is_word(before) and _is_word(after)
    return " " if is_between_words or before + after in ("++", "--", "+-", "-+", "//") else ""


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter in "_$"


def squeeze_style(text: str) -> str:
    """A style sheet that means the same."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    kept: Callable[[re.Match[str]], str] = lambda found: found[1] or ":"  # noqa: E731
    return re.sub(r" ?([{};,]) ?|(?<=[\w-]): ", kept, text).replace(";}", "}")
