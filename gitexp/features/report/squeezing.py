"""Programs and styles without what only people need: comments, indents, spaces, long names.

The page has to be small, without a bundler to install. Texts and regular
expressions stay as they are. Names that the program declares are shortened where no property has
the same name. The readable program is `static/`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, product
from string import ascii_letters
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

_LISTED: Final = frozenset({("sign", "{"), ("sign", ",")})
_SHORTHAND_ENDS: Final = frozenset({("sign", ","), ("sign", "}"), ("sign", "=")})
_SHORTER: Final = {"const": "let", "true": "!0", "false": "!1", "undefined": "void 0"}
"""Words with a shorter form that means the same."""
_RESERVED: Final = frozenset("as do if in of for let new try var get set".split())
"""Words of the language of up to three letters."""
_STATEMENTS: Final = frozenset({"if", "for", "while", "switch"})
_GLOBALS: Final = frozenset(
    "close document event find focus history length location name navigator open origin parent"
    " print scroll scrollX scrollY self status stop top valueOf window".split()
)
"""Names that the browser gives a meaning where the program declares none."""


def squeeze_program(text: str) -> str:
    """Return a shorter program that does the same."""
    tokens = list(_tokens(text))
    names = _short_names(text, tokens)
    dropped = set(_needless(tokens))
    parts: list[str] = []
    last = ""
    for place, (kind, part) in enumerate(tokens):
        shown = part
        if kind == "space":
            after = tokens[place + 1][1][0] if place + 1 < len(tokens) else "}"
            shown = _kept_space(part, last, after) if last else ""
        elif place in dropped:
            shown = ""
        elif kind == "word":
            shown = names.get(part, _SHORTER.get(part, part))
        if shown:
            parts.append(shown)
            last = shown[-1]
    return "".join(parts)


def _needless(tokens: Sequence[Token]) -> Iterator[int]:
    """Yield places of tokens without a meaning.

    These are `;` at the end of a block, `,` at the end of a list, brackets of one parameter, and
    the zero of 0.5.

    The program has no statement that is only a semicolon.
    """
    places = [place for place, (kind, _) in enumerate(tokens) if kind != "space"]
    parts = [tokens[place][1] for place in places]
    for n, part in enumerate(parts[:-2]):
        is_last_comma = part == "," and parts[n + 1] in ")]}" and parts[n - 1] not in "[,"
        is_zero = part == "0" and parts[n + 1] == "." and parts[n + 2].isdigit()
        if is_last_comma or is_zero or (part == ";" and parts[n + 1] == "}"):
            yield places[n]
        is_one = part == "(" and parts[n + 2 : n + 5] == [")", "=", ">"]
        if is_one and n and tokens[places[n - 1]][0] == "sign" and _is_word(parts[n + 1][-1]):
            yield from (places[n], places[n + 2])


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
    """Return short names for declared names that no property has.

    A name gets the same short one everywhere, so that scopes stay what they are.
    """
    code = [token for token in tokens if token[0] != "space"]
    pairs = _pairs(code)
    declared = set(_DECLARED.findall(text)) | set(_locals(code, pairs))
    words = {part for kind, part in code if kind == "word"}
    uses: dict[str, int] = {}
    taken: set[str] = set(_GLOBALS)
    inner = _innermost(code)
    for place, (kind, part) in enumerate(code):
        if kind == "word" and part in declared:
            before, after = code[place - 1], code[place + 1]
            is_short_for_property = before in _LISTED and after in _SHORTHAND_ENDS
            if before[1] == "." and code[place - 2][1] != ".":
                taken.add(part)
            if after[1] == ":" or (is_short_for_property and inner[place] == "{"):
                taken.add(part)
            uses[part] = uses.get(part, 0) + 1
    free = declared - taken
    short = (name for name in _letters() if name not in words)
    ordered = sorted(free, key=lambda name: (-uses.get(name, 0) * len(name), name))
    return {
        name: other for name, other in zip(ordered, short, strict=False) if len(other) < len(name)
    }


def _pairs(code: Sequence[Token]) -> dict[int, int]:
    """Return the place of each closing round or square bracket by that of its opening one."""
    found, opened = {}, []
    for place, (kind, part) in enumerate(code):
        if kind == "sign" and part in "([":
            opened.append(place)
        elif kind == "sign" and part in ")]":
            found[opened.pop()] = place
    return found


def _innermost(code: Sequence[Token]) -> list[str]:
    """Return the innermost bracket around each token."""
    found, opened = [], [""]
    for kind, part in code:
        found.append(opened[-1])
        if (kind == "sign" and part in "([{") or (kind == "template" and part.endswith("${")):
            if kind == "template" and part.startswith("}"):
                opened.pop()
            opened.append(part[-1] if kind == "sign" else "$")
        elif (kind == "sign" and part in ")]}") or (kind == "template" and part.startswith("}")):
            opened.pop()
    return found


def _locals(code: Sequence[Token], pairs: Mapping[int, int]) -> Iterator[str]:
    """Yield names of parameters, and of constants and variables within functions."""
    for place, (_, part) in enumerate(code[:-1]):
        if part in ("const", "let"):
            following = place + 1
            if code[following][0] == "word":
                yield code[following][1]
            elif code[following][1] == "[":
                yield from _listed(code, following, pairs[following])
        elif part == "(":
            end = pairs[place]
            is_arrow = code[end + 1 : end + 3] == [("sign", "="), ("sign", ">")]
            is_body = code[end + 1][1] == "{" and code[place - 1][0] == "word"
            if is_arrow or (is_body and code[place - 1][1] not in _STATEMENTS):
                yield from _listed(code, place, end)
        elif code[place][0] == "word" and [t[1] for t in code[place + 1 : place + 3]] == ["=", ">"]:
            yield part


def _listed(code: Sequence[Token], start: int, end: int) -> Iterator[str]:
    """Yield names in a list of parameters or an array pattern."""
    for place in range(start + 1, end):
        kind, part = code[place]
        if kind == "word" and code[place - 1][1] in "([,." and code[place + 1][1] in ")],=":
            yield part


def _letters() -> Iterator[str]:
    for length in count(1):
        names = ("".join(name) for name in product(ascii_letters, repeat=length))
        yield from (name for name in names if name not in _RESERVED)


def _kept_space(space: str, before: str, after: str) -> str:
    """Return the space that must stay between two characters: a line end, a space, or nothing."""
    if "\n" in space:
        return "" if before in _OPEN or before == "}" or after in _CLOSE else "\n"
    is_between_words = _is_word(before) and _is_word(after)
    return " " if is_between_words or before + after in ("++", "--", "+-", "-+", "//") else ""


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter in "_$"


def squeeze_style(text: str) -> str:
    """Return a shorter style sheet that means the same."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    kept: Callable[[re.Match[str]], str] = lambda found: found[1] or ":"  # noqa: E731
    return re.sub(r" ?([{};,>]) ?|(?<=[\w-]): ", kept, text).replace(";}", "}")
