"""Convert the Markdown subset of gitexp's own texts to roff, the format of `man`.

The subset: sections, paragraphs, lists, terms with their meaning, indented code; within a line
`code`, **bold** and *emphasis*. Everything else is escaped as plain text.
"""

import re

_ESCAPES = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
    '"': "\\(dq",
    "…": "\\&...",
}
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*")


def escape(text: str) -> str:
    """Escape plain text so that roff prints it literally."""
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in text)
    return "\\&" + escaped if escaped.startswith((".", "\\(aq")) else escaped


def line(text: str) -> str:
    """Convert one line with its code, bold and emphasis."""
    parts = []
    end = 0
    for found in _INLINE.finditer(text):
        parts.append(escape(text[end : found.start()]))
        strong = found[1] or found[2]
        parts.append(f"\\fB{escape(strong)}\\fR" if strong else f"\\fI{escape(found[3])}\\fR")
        end = found.end()
    parts.append(escape(text[end:]))
    return "".join(parts)


def code(lines: list[str]) -> list[str]:
    """Return roff that prints lines literally, indented."""
    return [".PP", ".RS 4", ".nf", *(escape(text) or "\\&" for text in lines), ".fi", ".RE"]


def term(name: str, meaning: str) -> list[str]:
    """Return roff of a term and its meaning; `name` is roff already."""
    return [".TP", name, line(" ".join(meaning.split()))]


def format_roff(text: str) -> list[str]:
    """Convert a text to lines of roff."""
    made: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        made += _block(block.splitlines())
    return made


def _block(lines: list[str]) -> list[str]:
    if lines[0].startswith("## "):
        return [f".SH {escape(lines[0][3:].upper())}"]
    if lines[0].startswith("### "):
        return [f'.SS "{escape(lines[0][4:])}"']
    if all(text.startswith("    ") for text in lines):
        return code([text[4:] for text in lines])
    if lines[0].startswith("- "):
        items = "\n".join(lines)[2:].split("\n- ")
        return [part for item in items for part in (".IP \\(bu 2", line(" ".join(item.split())))]
    if len(lines) > 1 and lines[1].startswith(": "):
        return term(line(lines[0]), " ".join(lines[1:])[2:])
    return [".PP", line(" ".join(text.strip() for text in lines))]
