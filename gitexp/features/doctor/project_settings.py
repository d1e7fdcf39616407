"""Add to a list in the project's settings file, `gitexp.toml`.

The rest of the file, comments included, does not change. gitexp does this only on request.
"""

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.patterns import parse_patterns
from gitexp.storage.settings.options import OPTIONS, PROJECT_FILE, Option
from gitexp.storage.workspace import Workspace

_LISTS: Final = tuple(option for option in OPTIONS if option.is_list)


def add_to_project(workspace: Workspace, option: Option, values: Sequence[str]) -> Path:
    """Add values to a list setting in `gitexp.toml`, once each. Return the file.

    Raises `InvalidInput` when the setting is no list, a value is invalid, or the edit would change
    another part of the file. The file does not change then.
    """
    top = workspace.repo.top
    if top is None:
        raise InvalidInput("cannot write a settings file", why="the repository has no work tree")
    if option not in _LISTS:
        names = ", ".join(each.name for each in _LISTS)
        raise InvalidInput(
            f"cannot add to '{option.name}'",
            why="it holds one value, no list",
            hints=[f"set it: `git config {option.git_spelling} VALUE`", f"lists are {names}"],
        )
    if option.name == "metric-patterns":
        parse_patterns(values)
    path = top / PROJECT_FILE
    before = _read(path, top)
    table = _parse(before, path)
    present = table.get(option.name, [])
    if not isinstance(present, list):
        raise _not_editable(path, f"'{option.name}' is no list", option, values)
    wanted = [*present, *(v for v in dict.fromkeys(values) if v not in present)]
    after = _with_list(before, option.name, wanted)
    if after is None or _parse(after, path) != {**table, option.name: wanted}:
        raise _not_editable(path, "its form is not one that gitexp can edit", option, values)
    _write(path, after)
    return path


def _read(path: Path, top: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read '{path.name}'", why=str(error)) from error
    try:
        project = (top / "pyproject.toml").read_text(encoding="utf-8")
        tool = tomllib.loads(project).get("tool", {})
    except (OSError, ValueError):
        return ""
    if "gitexp" in tool:
        raise InvalidInput(
            f"cannot write '{path.name}'",
            why="the settings are in pyproject.toml, and would not be read beside that file",
            hints=["add the line to `[tool.gitexp]` in pyproject.toml by hand"],
        )
    return ""


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"cannot read '{path.name}'", why=str(error)) from error


def _with_list(text: str, name: str, values: Sequence[str]) -> str | None:
    """Return the text with the list in place of the former one, or before the first table."""
    lines = text.splitlines(keepends=True)
    written = _list_text(name, values)
    key = re.compile(rf"""\s*(?:"{name}"|'{name}'|{name})\s*=""")
    tables = (n for n, line in enumerate(lines) if line.lstrip().startswith("["))
    for start, line in enumerate(lines):
        if key.match(line):
            stop = _end_of_value(lines, start)
            return None if stop is None else "".join([*lines[:start], written, *lines[stop:]])
    first_table = next(tables, None)
    if first_table is None:
        if lines and not lines[-1].endswith("\n"):
            lines.append("\n")
        return "".join([*lines, written])
    return "".join([*lines[:first_table], written, "\n", *lines[first_table:]])


def _end_of_value(lines: Sequence[str], start: int) -> int | None:
    for stop in range(start + 1, len(lines) + 1):
        try:
            tomllib.loads("".join(lines[start:stop]))
        except ValueError:
            continue
        return stop
    return None


def _list_text(name: str, values: Sequence[str]) -> str:
    return f"{name} = [\n" + "".join(f"    {_text(value)},\n" for value in values) + "]\n"


def _text(value: str) -> str:
    if "'" not in value and value.isprintable():
        return f"'{value}'"  # literal: patterns are full of backslashes
    import json

    return json.dumps(value, ensure_ascii=True)


def _not_editable(path: Path, why: str, option: Option, values: Sequence[str]) -> InvalidInput:
    listed = ", ".join(map(_text, values))
    return InvalidInput(
        f"cannot add to '{option.name}' in '{path.name}'",
        why=why,
        hints=[f"add it by hand: `{option.name} = [{listed}]`"],
    )


def _write(path: Path, text: str) -> None:
    """Replace the file; write through a symbolic link."""
    try:
        if path.is_symlink():
            path.write_text(text, encoding="utf-8")
            return
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        if path.exists():
            aside.chmod(path.stat().st_mode & 0o777)
        aside.replace(path)
    except OSError as error:
        raise InvalidInput(f"cannot write '{path.name}'", why=error.strerror) from error
