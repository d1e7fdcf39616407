"""What lies at the top of the run branch: what it is, for people and for programs.

Floor 3, pure.
"""

from typing import Final

from gitexp.records.codec import encode_table
from gitexp.refs import FORMAT, FORMAT_PATH, README_PATH

FORMAT_FILE: Final = encode_table({"format": FORMAT, "tool": "gitexp"})

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
keeps the code of every run alive and needs no attention.
"""

ROOT_FILES: Final = ((README_PATH, README_FILE), (FORMAT_PATH, FORMAT_FILE))
"""Paths and contents."""
