"""Rules of the package that no tool checks: layers, sizes, names and docstrings.

Parses the source without importing it. Each test lists all faults at once.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2] / "gitexp"

ROOMS = (
    "core.errors",
    "core.model",
    "core.schema",
    "core.inputs",
    "core.query",
    "core.analysis",
    "core.brief",
    "core.render",
    "adapters.system",
    "adapters.git",
    "adapters.journal",
    "adapters.trackers",
    "adapters.inject",
    "adapters.engines",
    "storage.settings",
    "storage.branch",
    "storage.cache",
    "storage.merge",
    "storage.sessions",
    "storage.workspace",
    "features.runs",
    "features.harvest",
    "features.recording",
    "features.trials",
    "features.execution",
    "features.sync",
    "features.doctor",
    "features.bridges",
    "features.sweeps",
    "features.report",
    "api",
    "cli",
)
"""Rooms of the package in the order of imports: a module imports from its own and earlier rooms.

A room is a directory or a single module.
"""

FACE = ("", "__main__", "optuna")
"""`gitexp` and `gitexp.optuna` offer names of `api`, imported when used; `__main__` calls `cli`."""

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50

BANNED_WORDS = set(
    "util utils helper helpers common misc manager handler service data info base".split()
)
GITS_WORDS = re.compile("common_(dir|ancestor)|merge_base")
"""git's own terms, which gitexp uses for git's objects."""


def name_of(path: Path) -> str:
    """Return the dotted name below `gitexp`; empty for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {
    name_of(path): (path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
    for path in sorted(ROOT.rglob("*.py"))
}
"""Path and syntax tree of each module by its dotted name."""

NODES = {name: list(ast.walk(tree)) for name, (_, tree) in TREES.items()}
"""All nodes of each module's tree."""


def place_of(name: str, line: int = 1) -> str:
    """Return file and line of a module, as an editor opens them."""
    return f"{TREES[name][0].relative_to(ROOT.parent)}:{line}"


def room_of(name: str) -> str | None:
    """Return the room of a module; `None` for `gitexp`, a layer's package, and unknown names."""
    parts = name.split(".")
    prefixes = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((prefix for prefix in prefixes if prefix in ROOMS), None)


def imports_of(nodes: Sequence[ast.AST], *, with_types: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name (below `gitexp`) of every own import, also inside functions.

    `with_types` includes imports only for type checkers.
    """
    skipped = {
        id(inner)
        for node in nodes
        if not with_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in nodes:
        if isinstance(node, ast.Import) and id(node) not in skipped:
            for alias in node.names:
                if alias.name.partition(".")[0] == "gitexp":
                    yield node.lineno, alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            package, _, inside = (node.module or "").partition(".")
            if package == "gitexp":
                for alias in node.names:
                    full = f"{inside}.{alias.name}".removeprefix(".")
                    yield node.lineno, full if full in TREES else inside


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of the body, without the parameters: a command has one for each option."""
    return (node.end_lineno or node.lineno) - node.body[0].lineno + 1


def wrong_import(name: str, target: str) -> str:
    """Return the fault of an import between two modules; empty if it is allowed."""
    own, other = room_of(name), room_of(target)
    if name in FACE or own is None or target == "":
        return ""
    if other is None:
        return f"{target} is in no room"
    if ROOMS.index(other) > ROOMS.index(own):
        return f"room {own} comes before {other}, so it may not import from it"
    return ""


def test_every_module_is_in_a_room() -> None:
    packages = {room.partition(".")[0] for room in ROOMS}
    faults = [
        f"{place_of(name)}: it is in no room: add its directory to ROOMS in {__file__}"
        for name in TREES
        if name not in FACE and name not in packages and room_of(name) is None
    ]
    faults += [f"there is no room {room}: remove it" for room in ROOMS if room not in TREES]
    assert not faults, "\n".join(faults)


def test_modules_import_only_rooms_before_their_own() -> None:
    faults = [
        f"{place_of(name, line)}: {name} imports {target}: {fault}"
        for name, nodes in NODES.items()
        for line, target in imports_of(nodes)
        if (fault := wrong_import(name, target))
    ]
    faults += [
        f"{place_of(name, node.lineno)}: write the import in full, not relative"
        for name, nodes in NODES.items()
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not faults, "\n".join(faults)


def test_no_import_cycles() -> None:
    edges = {
        name: {
            target: line
            for line, target in imports_of(nodes, with_types=False)
            if target in TREES and target not in (name, *FACE)
        }
        for name, nodes in NODES.items()
    }
    faults = []
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            cycle = " -> ".join([*trail[trail.index(name) :], name])
            faults.append(f"{place_of(trail[-1], edges[trail[-1]][name])}: {cycle}")
        elif name not in done:
            for target in sorted(edges[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())
    assert not faults, "move what both need to a module below them:\n" + "\n".join(faults)


def test_packages_hold_no_code() -> None:
    faults = [
        f"{place_of(name)}: a package has a docstring and nothing else: move the rest to a module"
        for name, (path, tree) in TREES.items()
        if name and path.name == "__init__.py" and len(tree.body) != 1
    ]
    assert not faults, "\n".join(faults)


def test_modules_and_functions_stay_small() -> None:
    faults = []
    for name, (path, _) in TREES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_MODULE_LINES:
            faults.append(f"{place_of(name)}: {lines} lines, at most {MAX_MODULE_LINES}: split it")
        faults += [
            f"{place_of(name, node.lineno)}: {node.name} has {length} lines,"
            f" at most {MAX_FUNCTION_LINES}: split it"
            for node in NODES[name]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := length_of(node)) > MAX_FUNCTION_LINES
        ]
    assert not faults, "\n".join(faults)


def test_public_names_have_a_docstring() -> None:
    faults = []

    def look(body: list[ast.stmt], module: str, prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not node.name.startswith("_"):
                if not ast.get_docstring(node) and not is_overload(node):
                    faults.append(f"{place_of(module, node.lineno)}: {prefix}{node.name}")
                if isinstance(node, ast.ClassDef):
                    look(node.body, module, f"{prefix}{node.name}.")

    for name, (_, tree) in TREES.items():
        if not ast.get_docstring(tree):
            faults.append(f"{place_of(name)}: the module")
        look(tree.body, name, "")
    assert not faults, "say what it means in a docstring:\n" + "\n".join(faults)


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(d).endswith("overload") for d in node.decorator_list)


def test_no_name_has_a_vague_word() -> None:
    faults = []
    for module, nodes in NODES.items():
        named = [(part, 1) for part in module.split(".") if part]
        named += [
            (node.name, node.lineno)
            for node in nodes
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        faults += [
            f"{place_of(module, line)}: `{name}` has the word '{word}':"
            " name it for what it holds or does"
            for name, line in named
            for word in words_of(GITS_WORDS.sub("", name))
            if word in BANNED_WORDS
        ]
    assert not faults, "\n".join(faults)


def words_of(name: str) -> list[str]:
    """`EntryManager` and `entry_manager` both contain the words entry and manager."""
    return [word.lower() for word in re.split(r"_|(?<=[a-z0-9])(?=[A-Z])", name) if word]


# --- the rules themselves can fail ----------------------------------------------------------------


def test_import_inside_a_function_is_found() -> None:
    source = (
        "import gitexp.storage\n"
        "def f():\n"
        "    from gitexp.cli.app import main\n"
        "    from gitexp.features.sync import sync\n"
        "if TYPE_CHECKING:\n"
        "    from gitexp.api.runs import runs\n"
    )
    nodes = list(ast.walk(ast.parse(source)))
    seen = [(1, "storage"), (3, "cli.app"), (4, "features.sync.sync")]
    assert sorted(imports_of(nodes)) == [*seen, (6, "api.runs")]
    assert sorted(imports_of(nodes, with_types=False)) == seen


def test_rooms_are_found_by_the_path() -> None:
    names = ("core.errors", "core.model.run", "cli.output.tables", "core", "nothing.here", "")
    assert [room_of(n) for n in names] == ["core.errors", "core.model", "cli", None, None, None]
    assert len(ROOMS) == len(set(ROOMS))


def test_an_import_to_a_later_room_is_a_fault() -> None:
    assert wrong_import("core.model.run", "adapters.git.repository")
    assert wrong_import("features.runs.judge", "features.sync.sync")
    assert not wrong_import("features.sync.sync", "features.runs.judge")
    assert not wrong_import("features.sync.sync", "")
    assert wrong_import("cli.app", "nothing.here")


def test_vague_words_are_found_in_both_spellings() -> None:
    assert words_of("EntryManager") == ["entry", "manager"]
    assert words_of("_load_data") == ["load", "data"]
    assert words_of(GITS_WORDS.sub("", "_common_dir")) == []
    assert words_of("database") == ["database"]
