"""The house rules that no tool checks for us: floors, budgets, names and docstrings.

Only the syntax is read; nothing is imported.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "gitexp"

FLOORS: dict[int, set[str]] = {
    0: {"annotations", "errors", "ids", "model", "names", "nesting", "rules"},
    1: {"briefing", "comparison", "fingerprint", "formats", "privacy", "query", "records", "refs"},
    2: {"inject", "journal", "machine", "repo"},
    3: {"index", "metric_settings", "sessions", "settings", "store"},
    4: {
        *("harvest", "importing", "judgement", "main_metric", "running", "selector"),
        *("sharing", "standings", "sweeps", "trials", "upkeep", "workspace"),
    },
    5: {"render", "report"},
    6: {"__main__", "api", "cli", "completion", "demo", "manual", "tracker"},
}
"""Which floor a module or package stands on; imports go down or stay on the floor."""

RENDER_SEES = 1
"""`render` turns values into text, so it imports nothing above this floor but itself."""

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
LONG_MODULES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
"""Exceptions with their present length: they may shrink and go, never grow or be joined."""

BANNED_WORDS = set(
    "util utils helper helpers common misc manager handler service data info base".split()
)
GITS_WORDS = re.compile("common_(dir|ancestor)|merge_base")
"""What git itself calls things is said in git's words."""

MODULES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name below `gitexp`; empty for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def floor_of(name: str) -> int | None:
    """The floor of a dotted name below `gitexp`; `None` for the package itself."""
    top = name.partition(".")[0]
    return next((floor for floor, names in FLOORS.items() if top in names), None)


def imports_of(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name (below `gitexp`) of every import of ours, in functions as well.

    Imports for type checkers only are left out: they bind nothing when the program runs.
    """
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "gitexp":
                    yield node.lineno, alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full, not relative"
            package, _, inside = (node.module or "").partition(".")
            if package == "gitexp":
                for alias in node.names:
                    yield node.lineno, inside or alias.name


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function and method with its qualified name."""

    def walk(
        node: ast.AST, prefix: str
    ) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    return walk(tree, "")


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body: a command has as many parameters as it has options."""
    return (node.end_lineno or node.lineno) - node.body[0].lineno + 1


def by_module(path: Path) -> str:
    return name_of(path) or "gitexp"


@pytest.mark.parametrize("path", MODULES, ids=by_module)
def test_every_module_stands_on_a_floor(path: Path) -> None:
    name = name_of(path)
    assert not name or floor_of(name) is not None, (
        f"gitexp/{path.relative_to(ROOT)} stands on no floor: add it to FLOORS in {__file__}"
    )


@pytest.mark.parametrize("path", MODULES, ids=by_module)
def test_imports_only_go_down(path: Path) -> None:
    name = name_of(path)
    floor = floor_of(name)
    if floor is None:
        return
    faults = []
    for line, target in imports_of(path, tree_of(path)):
        below = floor_of(target)
        if below is None:
            # `from gitexp import __version__`: the package itself holds nothing else of ours.
            continue
        edge = f"{path.relative_to(ROOT.parent)}:{line}: {name} -> {target}"
        if below > floor:
            faults.append(f"{edge}: floor {floor} imports from floor {below}; imports only go down")
        elif name.startswith("render") and not target.startswith("render") and below > RENDER_SEES:
            faults.append(f"{edge}: render imports only floors 0 and 1, this is floor {below}")
    assert not faults, "\n".join(faults)


def test_no_two_modules_import_each_other() -> None:
    names = {name_of(path) for path in MODULES}
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        targets = {target for _, target in imports_of(path, tree_of(path))}
        edges[name_of(path)] = {
            ".".join(t.split(".")[:n]) for t in targets for n in (1, 2, 3)
        } & names - {name_of(path), ""}
        if path.name != "__init__.py":
            # A module may import from its own package's other modules, not from the package.
            edges[name_of(path)] -= {name_of(path).rpartition(".")[0]}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, (
            f"these modules import each other in a circle: {' -> '.join([*trail, name])}; "
            "move what both need to a module below them"
        )
        if name not in done:
            for target in sorted(edges[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=by_module)
def test_modules_and_functions_stay_small(path: Path) -> None:
    name = by_module(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    allowed = LONG_MODULES.get(name, MAX_MODULE_LINES)
    faults = [] if lines <= allowed else [f"{name} has {lines} lines, at most {allowed}: split it"]
    for function, node in functions_of(tree_of(path)):
        length = length_of(node)
        most = LONG_FUNCTIONS.get(f"{name}.{function}", MAX_FUNCTION_LINES)
        if length > most:
            faults.append(f"{name}.{function} has {length} lines, at most {most}: split it")
    assert not faults, "\n".join(faults)


def test_the_exceptions_only_shrink() -> None:
    lengths = {
        f"{by_module(path)}.{function}": length_of(node)
        for path in MODULES
        for function, node in functions_of(tree_of(path))
    }
    modules = {by_module(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    for listed, found, limit in (
        (LONG_FUNCTIONS, lengths, MAX_FUNCTION_LINES),
        (LONG_MODULES, modules, MAX_MODULE_LINES),
    ):
        for name, allowed in listed.items():
            now = found.get(name, 0)
            assert now > limit, f"{name} is no exception any more: take it off the list"
            assert now == allowed, f"{name} has {now} lines, the list says {allowed}: lower it"


@pytest.mark.parametrize("path", MODULES, ids=by_module)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    tree = tree_of(path)
    name = by_module(path)
    missing = [] if ast.get_docstring(tree) else [f"{name} (the module)"]

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not node.name.startswith("_"):
                if not ast.get_docstring(node) and not is_overload(node):
                    missing.append(f"{prefix}{node.name}")
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{prefix}{node.name}.")

    look(tree.body, f"{name}.")
    assert not missing, f"say what it means in a docstring: {', '.join(missing)}"


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(d).endswith("overload") for d in node.decorator_list)


@pytest.mark.parametrize("path", MODULES, ids=by_module)
def test_no_name_says_nothing(path: Path) -> None:
    named = [(part, "module") for part in name_of(path).split(".") if part]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            named.append((node.name, f"line {node.lineno}"))
    faults = [
        f"{by_module(path)}, {where}: `{name}` has the word '{word}', which says nothing; "
        "name it for what it holds or does"
        for name, where in named
        for word in words_of(GITS_WORDS.sub("", name))
        if word in BANNED_WORDS
    ]
    assert not faults, "\n".join(faults)


def words_of(name: str) -> list[str]:
    """`EntryManager` and `entry_manager` both have the words entry and manager."""
    return [word.lower() for word in re.split(r"_|(?<=[a-z0-9])(?=[A-Z])", name) if word]


# --- the rules themselves can fail ----------------------------------------------------------------


def test_an_import_inside_a_function_is_seen() -> None:
    tree = ast.parse(
        "import gitexp.store\n"
        "def f():\n"
        "    from gitexp.cli.app import main\n"
        "    from gitexp import sync\n"
        "if TYPE_CHECKING:\n"
        "    from gitexp.api import runs\n"
    )
    assert sorted(imports_of(Path("x.py"), tree)) == [(1, "store"), (3, "cli.app"), (4, "sync")]


def test_floors_are_told_apart() -> None:
    assert [floor_of(n) for n in ("model", "render.text", "cli.app", "nothing", "")] == [
        0,
        5,
        6,
        None,
        None,
    ]
    every = [name for names in FLOORS.values() for name in names]
    assert len(every) == len(set(every))


def test_words_are_found_in_both_spellings() -> None:
    assert words_of("EntryManager") == ["entry", "manager"]
    assert words_of("_load_data") == ["load", "data"]
    assert words_of(GITS_WORDS.sub("", "_common_dir")) == []
    assert words_of("database") == ["database"]
