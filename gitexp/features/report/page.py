"""The page as one file: program, style and data, under a policy that allows nothing else.

The program is the files of `static/` in one order; each may use what stands before it. The policy
names the programs by their hashes, so nothing that comes with the data can run.
"""

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from gitexp.features.report.squeezing import squeeze_program, squeeze_style

PROGRAM: Final = (
    *("elements", "numbers", "load", "filter", "student", "judge", "search", "state", "actions"),
    *("grid", "charts", "summary", "runs", "lines", "curves", "space", "compare", "ideas", "run"),
    *("lens", "main"),
)
"""The modules of the page, in the order in which they are joined."""

_IMPORT: Final = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)
_COMPRESSION: Final = 4
"""Most of a large report are digits, which no level makes shorter."""


def build_page(payload: Mapping[str, Any], *, title: str) -> bytes:
    """The file for a payload."""
    style = read_style()
    programs = (read_static("uplot/uPlot.js"), read_program())
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src " + " ".join(f"'{_hash(program)}'" for program in programs),
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    parts = {
        "policy": policy,
        "title": html.escape(title, quote=True),
        "style": style,
        "licence": read_static("uplot/LICENSE"),
        "charts": programs[0],
        "program": programs[1],
        "payload": pack(payload),
    }
    template = read_static("page.html")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template).encode()


def pack(payload: Mapping[str, Any]) -> str:
    """The data as text without any letter that HTML knows."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = gzip.compress(text.encode(errors="replace"), _COMPRESSION, mtime=0)
    return base64.b64encode(packed).decode()


@cache
def read_program() -> str:
    """The modules joined into one, in which every name is told once."""
    modules = (read_static(f"{name}.js") for name in PROGRAM)
    return squeeze_program("".join(_EXPORT.sub("", _IMPORT.sub("", m)) for m in modules))


@cache
def read_style() -> str:
    """The style of the page and that of the charts."""
    return read_static("uplot/uPlot.css") + squeeze_style(read_static("page.css"))


def read_static(name: str) -> str:
    """A file of the page."""
    text = files(__package__).joinpath("static", name).read_text(encoding="utf-8")
    if name.endswith(".js") and re.search(r"</script|<!--", text, re.IGNORECASE):
        raise ValueError(f"{name} would end the page's script")
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
