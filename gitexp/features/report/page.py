"""The page in one file: program, style and data, under a policy that allows nothing else.

The program is the files of `static/` in one order; each may use the names of those before it. The
policy names the programs by their hashes, so nothing that comes with the data can run.
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

LIVE_PROGRAM: Final = (*PROGRAM[:-1], "dialogs", "live", PROGRAM[-1])
"""The same with those that follow a server."""

_IMPORT: Final = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)
_COMPRESSION: Final = 4
"""Most of a large report are digits, which no level makes shorter."""


def build_page(payload: Mapping[str, Any], *, title: str) -> bytes:
    """Return the file for a payload."""
    return _fill(title, pack(payload), _policy())


def build_live_page(*, title: str) -> tuple[bytes, str]:
    """Return the page that asks its server for data, and the policy to send with it."""
    policy = f"{_policy(is_live=True)}; connect-src 'self'"
    return _fill(title, "", policy, is_live=True), f"{policy}; frame-ancestors 'none'"


def _policy(*, is_live: bool = False) -> str:
    programs = (read_static("uplot/uPlot.js"), read_program(is_live=is_live))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src " + " ".join(f"'{_hash(program)}'" for program in programs),
            f"style-src '{_hash(read_style(is_live=is_live))}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _fill(title: str, packed: str, policy: str, *, is_live: bool = False) -> bytes:
    parts = {
        "policy": policy,
        "title": html.escape(title, quote=True),
        "style": read_style(is_live=is_live),
        "licence": read_static("uplot/LICENSE"),
        "charts": read_static("uplot/uPlot.js"),
        "program": read_program(is_live=is_live),
        "payload": packed,
    }
    template = read_static("page.html")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template).encode()


def pack(payload: Mapping[str, Any]) -> str:
    """Return the data as base64 of gzip: no character of it means anything in HTML."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = gzip.compress(text.encode(errors="replace"), _COMPRESSION, mtime=0)
    return base64.b64encode(packed).decode()


@cache
def read_program(*, is_live: bool = False) -> str:
    """Return the modules joined into one program, squeezed."""
    modules = (read_static(f"{name}.js") for name in (LIVE_PROGRAM if is_live else PROGRAM))
    return squeeze_program("".join(_EXPORT.sub("", _IMPORT.sub("", m)) for m in modules))


@cache
def read_style(*, is_live: bool = False) -> str:
    """Return the style of the page and that of the charts."""
    own = read_static("page.css") + (read_static("live.css") if is_live else "")
    return read_static("uplot/uPlot.css") + squeeze_style(own)


def read_static(name: str) -> str:
    """Return a file of `static/`."""
    text = files(__package__).joinpath("static", name).read_text(encoding="utf-8")
    if name.endswith(".js") and re.search(r"</script|<!--", text, re.IGNORECASE):
        raise ValueError(f"{name} would end the page's script")
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
