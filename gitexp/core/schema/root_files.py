"""Files at the top of the run branch: a README for people and the format for programs."""

import re
from contextlib import suppress
from typing import Final

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.schema.layout import FORMAT, FORMAT_PATH, README_PATH
from gitexp.core.schema.toml_codec import decode_table, encode_table

CODE_IDENTITY: Final = "gitexp <gitexp@localhost>"
"""Author of code commits, unless the run branch names another."""

_IDENTITY = re.compile(r"[^<>\0\r\n]+ <[^<>\0\r\n ]+>")


def format_file(identity: str = CODE_IDENTITY) -> bytes:
    """Return the content of `format.toml`. Raises `InvalidInput` if git rejects the identity."""
    if not _IDENTITY.fullmatch(identity):
        raise InvalidInput(
            f"cannot use identity '{identity}'", hints=["write it as `Name <mail@example.org>`"]
        )
    return encode_table({"format": FORMAT, "identity": identity, "tool": "gitexp"})


def code_identity(form: bytes | None) -> str:
    """Return the author of code commits that a `format.toml` names, else the default."""
    with suppress(UnreadableRecord):
        identity = decode_table(form or b"").get("identity")
        if isinstance(identity, str) and _IDENTITY.fullmatch(identity):
            return identity
    return CODE_IDENTITY


FORMAT_FILE: Final = format_file()

README_FILE: Final = b"""\
# Runs recorded by gitexp

This branch holds no code. It is the record of experiments made in this repository: one TOML file
for each run, written by `git exp` (gitexp). Please do not merge it into other branches, and do not
edit it by hand.

| path | what it is |
|---|---|
| `runs/<year-month>/<xx>/<id>.toml` | a run: parameters, metrics, code commit, outcome |
| `series/.../<id>.csv` | the metrics of a run, step by step |
| `annotations/.../<id>/` | decisions, notes, tags and reproductions, added later |
| `environments/<hash>.toml` | installed packages, once for each distinct set |

`git log <this branch>` tells the history; `git exp list` compares. The branch `<this branch>-code`
keeps the code of every run and needs no attention.
"""

ROOT_FILES: Final = ((README_PATH, README_FILE), (FORMAT_PATH, FORMAT_FILE))
"""Paths and contents."""
