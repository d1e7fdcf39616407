"""Parse the values of settings. Each function raises `ValueError` with what it expected.

A value is what TOML holds, or the text of git config or of an environment variable.
"""

import os
import re
from collections.abc import Callable


def parse_text(value: object) -> str:
    """Parse a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected text")
    return value


def parse_branch(value: object) -> str:
    """Parse the name of a branch."""
    name = parse_text(value)
    parts = name.split("/")
    if re.search(_NO_BRANCH, name) or any(p.startswith(".") or p.endswith(".lock") for p in parts):
        raise ValueError("git rejects this branch name")
    return name


_NO_BRANCH = r"[\0-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|^/|//|[/.]\Z"
"""Parts of a name that `git help check-ref-format` forbids, and text that is not UTF-8."""


def choice_of(*words: str) -> Callable[[object], str]:
    """Return a parser for one of some words."""

    def parse(value: object) -> str:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return str(value)

    return parse


def parse_flag(value: object) -> bool:
    """Parse true or false, also in the words of git."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "on": True, "1": True, "": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError("expected true or false")
    return words[str(value).lower()]


def parse_size(value: object) -> int:
    """Parse a number of bytes, with git's suffixes k, m and g."""
    text = str(value).strip().lower()
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(text[-1:], 1)
    size = float(text[:-1] if factor > 1 else text) * factor
    if not 0 <= size < float("inf"):
        raise ValueError("expected a size of 0 or more")
    return int(size)


def parse_number(value: object) -> float:
    """Parse a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number")
    return float(value)


def parse_seconds(value: object) -> float:
    """Parse a time limit in seconds."""
    seconds = parse_number(value)
    if not 0 < seconds < float("inf"):
        raise ValueError("expected seconds, more than 0")
    return seconds


def parse_texts(value: object) -> tuple[str, ...]:
    """Parse texts; a single text has several, separated as in PATH."""
    if isinstance(value, str):
        return tuple(part for part in value.split(os.pathsep) if part)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of texts")
    return tuple(value)


def parse_lines(value: object) -> tuple[str, ...]:
    """Parse texts; a single text, as in an environment variable, has one on each line."""
    return parse_texts(value.splitlines() if isinstance(value, str) else value)


HARVEST_ALL = "all"
HARVEST_KINDS = (
    *("lightning", "huggingface", "dvclive", "ultralytics", "mlflow", "wandb", "tensorboard"),
    *("csv", "jsonl", "pytest-benchmark", "criterion", "hyperfine", "google-benchmark"),
)
"""Frameworks and file formats from which gitexp can collect values."""


def parse_harvest(value: object) -> tuple[str, ...]:
    """Parse kinds of sources: all, none, or a list, which a text separates with commas."""
    if isinstance(value, bool) or str(value).strip().lower() in ("true", "yes", "on", "1", ""):
        return () if value is False else (HARVEST_ALL,)
    if str(value).strip().lower() in ("false", "no", "off", "0", "none"):
        return ()
    kinds = value.split(",") if isinstance(value, str) else parse_texts(value)
    kinds = tuple(kind.strip() for kind in kinds)
    unknown = [kind for kind in kinds if kind not in (HARVEST_ALL, *HARVEST_KINDS)]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is none of {', '.join(HARVEST_KINDS)}")
    return kinds
