"""The files that a worker on another machine gets: as text, by a digest of them all."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from gitexp.adapters import inject

_HERE: Final = Path(__file__).parent

WORKER_FILE: Final = _HERE / "worker.py"
"""The module that an engine loads on a worker."""

PARTS: Final = ("guardian.py", "worker_cache.py", "worker_command.py", "worker_files.py")
"""Modules that the worker loads; with `WORKER_FILE` they import only the standard library."""


@cache
def kit_files() -> dict[str, str]:
    """Return the texts of the kit by their paths in it."""
    files = {name: (_HERE / name).read_text(encoding="utf-8") for name in PARTS}
    top = Path(inject.__file__).parent
    for path in sorted(top.rglob("*.py")):
        name = f"inject/{path.relative_to(top).as_posix()}"
        files[name] = path.read_text(encoding="utf-8")
    return files


def digest_of(files: dict[str, str]) -> str:
    """Return 12 hex digits that name a set of files."""
    joined = "\0".join(f"{name}\0{text}" for name, text in sorted(files.items()))
    return hashlib.sha256(joined.encode()).hexdigest()[:12]
