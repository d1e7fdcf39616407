"""Generate the tables in the documents from the code; the tests compare them.

`python tests/docs/generated.py` writes the tables and the manual.
"""

import ast
import importlib.util
import re
from pathlib import Path

import click

from gitexp.cli.app import GROUPS, context_of
from gitexp.cli.manual.pages import write as write_manual
from gitexp.core.errors import ExitCode
from gitexp.storage.settings.options import OPTIONS

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def rooms() -> tuple[str, ...]:
    """Rooms of the package in the order of imports, from the architecture test."""
    path = ROOT / "tests" / "architecture" / "test_layers.py"
    spec = importlib.util.spec_from_file_location("layers", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: tuple[str, ...] = module.ROOMS
    return found


def summary(room: str) -> str:
    """Return the first sentence of a room's docstring."""
    path = ROOT / "gitexp" / room.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".").replace("|", "\\|")


def room_table() -> str:
    """Return a table of the rooms and their content, in the order of imports."""
    rows = ["| layer | room | what it holds |", "|---|---|---|"]
    layer = ""
    for room in rooms():
        first, _, rest = room.partition(".")
        rows.append(
            f"| {'' if first == layer else f'**{first}**'} | `{rest or first}` | {summary(room)} |"
        )
        layer = first
    return "\n".join(rows)


def setting_table() -> str:
    """Return a table of the settings with their spellings."""
    rows = ["| setting | git config | environment | default | meaning |", "|---|---|---|---|---|"]
    for option in OPTIONS:
        spelled = f"`{option.name}` | `{option.git_spelling}` | `{option.variable}`"
        rows.append(f"| {spelled} | {_default(option.default)} | {option.meaning} |")
    return "\n".join(rows)


def _default(value: object) -> str:
    if value is None or value == ():
        return "—"
    if isinstance(value, tuple):
        return f"`{', '.join(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1 << 20:
        return f"`{value >> 20}m`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def exit_code_table() -> str:
    """Return a table of the exit codes with their docstrings."""
    said = dict(_said_of_codes())
    bisect = {0: "good", 1: "bad", 125: "skip"}
    rows = ["| code | name | meaning | `git bisect run` |", "|---|---|---|---|"]
    rows += [
        f"| {code.value} | {code.name} | {said[code.name]} | {bisect.get(code.value, 'stops')} |"
        for code in ExitCode
    ]
    return "\n".join(rows)


def _said_of_codes() -> list[tuple[str, str]]:
    tree = ast.parse((ROOT / "gitexp" / "core" / "errors.py").read_text())
    found = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "ExitCode")
    pairs = zip(found.body, found.body[1:], strict=False)
    return [
        (ast.unparse(node.targets[0]), str(text.value.value).rstrip("."))
        for node, text in pairs
        if isinstance(node, ast.Assign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    ]


def command_reference() -> str:
    """Return the help of every command, in the order of `git exp -h`."""
    parts = []
    for title, names in GROUPS.items():
        parts.append(f"## {title.capitalize()}")
        for name in names:
            parts.append(_help(name))
            command = context_of(name).command
            if isinstance(command, click.Group):
                parts += [_help(name, inner) for inner in command.commands]
    return "\n\n".join(parts)


def _help(*words: str) -> str:
    context = context_of(*words)
    context.max_content_width = context.terminal_width = 90
    text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"### git exp {' '.join(words)}\n\n```text\n{text}\n```"


TABLES = {
    "rooms": room_table,
    "settings": setting_table,
    "exit_codes": exit_code_table,
    "commands": command_reference,
}


def regenerated(text: str) -> str:
    """Return a document with its generated tables replaced."""
    return BLOCK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def write() -> None:
    """Write the tables of all documents, and the manual."""
    for document in (ROOT / "docs").glob("*.md"):
        document.write_text(regenerated(document.read_text()))
    write_manual(ROOT / "docs" / "man")


if __name__ == "__main__":
    write()
