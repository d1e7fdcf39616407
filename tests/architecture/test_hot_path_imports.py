"""Modules that a short command must not import.

Each command runs in a child process that reports its imported modules. A new import on the hot path
fails here; move it to the function that needs it.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = frozenset(
    "asyncio concurrent.futures csv difflib email git gitdb hashlib hmac http logging"
    " multiprocessing numpy pandas pickle pkg_resources platform pydoc random secrets sklearn"
    " socket ssl statistics tabulate tempfile tomli_w tomllib toml_rs unittest urllib.request"
    " uuid xml yaml".split()
)
"""Each costs a millisecond or more; GitPython costs a hundred."""

OF_CLICK = frozenset("difflib uuid".split())
"""Modules that some versions of click import."""

WRITING = frozenset(
    "adapters.git.loose_objects adapters.git.steps adapters.git.transaction"
    " adapters.git.fast_import adapters.git.stale_locks adapters.git.transport"
    " adapters.git.worktree adapters.journal"
    " adapters.system.command adapters.system.file_lock adapters.system.output_pump"
    " adapters.system.probe adapters.system.python_environment adapters.trackers"
    " core.inputs.files core.schema.toml_codec features.bridges features.doctor"
    " features.execution features.harvest features.recording features.sync storage.branch"
    " storage.merge".split()
)
"""Modules of gitexp that only recording or syncing needs."""

NOT_FOR_A_PLAIN_LIST = frozenset(
    "core.analysis.verdicts core.query.matching core.query.parse core.render.run_detail"
    " features.runs.judge features.runs.select storage.cache.fill storage.cache.rows".split()
)

TELL = """
import json, sys
from gitexp.cli.app import run
sys.stdout.flush()
code = run(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a few runs and a current index."""
    path = tmp_path_factory.mktemp("hot")
    for argv in (
        ["git", "init", "--quiet"],
        ["git", "config", "user.name", "Ada"],
        ["git", "config", "user.email", "ada@example.org"],
        ["git", "commit", "--quiet", "--allow-empty", "-m", "code"],
    ):
        subprocess.run(argv, cwd=path, check=True)
    script = (
        "from gitexp.api.tracker import Tracker\n"
        "for n in range(3):\n"
        "    Tracker().log({'params': {'lr': n / 10}, 'metrics': {'accuracy': n / 4}})\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=path, check=True)
    modules_after(path, "list")
    return path


def modules_after(path: Path, *args: str) -> frozenset[str]:
    """Return every module that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", TELL, *args], cwd=path, capture_output=True, text=True, check=False
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code in (0, 1, 125), done.stderr
    return frozenset(modules)


def imported_by_click() -> frozenset[str]:
    done = subprocess.run(
        [sys.executable, "-c", "import click, sqlite3, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(done.stdout.split()) | OF_CLICK


LOOKING = {
    "a sorted list": ["list", "-n", "20", "--sort-by", "accuracy"],
    "a list as JSON": ["list", "--json"],
    "a filtered list": ["list", "--where", "accuracy > 0.1 and lr < 0.2"],
    "the log": ["log", "-n", "20"],
    "a run": ["show", "last"],
    "a comparison": ["compare"],
    "the best": ["best", "accuracy"],
}
PLAIN_LISTS = ("a sorted list", "a list as JSON")
"""They parse no query and judge nothing."""


def test_reading_commands_import_only_what_they_need(folder: Path) -> None:
    named = {f"gitexp.{name}" for name in WRITING | NOT_FOR_A_PLAIN_LIST}
    faults = [f"{name}: no such module: remove it" for name in sorted(named) if not exists(name)]
    click = imported_by_click()
    for what, argv in LOOKING.items():
        banned = (HEAVY - click) | {f"gitexp.{name}" for name in WRITING}
        if what in PLAIN_LISTS:
            banned |= {f"gitexp.{name}" for name in NOT_FOR_A_PLAIN_LIST}
        faults += [
            f"git exp {' '.join(argv)}: imports {name}: do it in the function that needs it"
            for name in sorted(modules_after(folder, *argv) & banned)
        ]
    assert not faults, "\n".join(faults)


def exists(name: str) -> bool:
    """Return whether there is a module of this name."""
    return importlib.util.find_spec(name) is not None


def test_importing_gitexp_imports_only_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, gitexp; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [name for name in done.stdout.split() if name.startswith("gitexp")] == ["gitexp"]


def test_heavy_import_is_detected(folder: Path) -> None:
    found = modules_after(folder, "list", "--md")
    assert "tabulate" in found & HEAVY


def test_the_hook_before_a_push_needs_no_click(folder: Path) -> None:
    """A push waits for it, and importing click is most of a short command's time."""
    script = (
        "import sys\n"
        "from gitexp.cli.script import main\n"
        "sys.argv = ['git-exp', 'hook', 'pre-push', 'origin', '/nowhere']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    asked = 'gitexp.features.sync.pre_push' in sys.modules\n"
        "    print(end.code, 'click' in sys.modules, asked)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "False", "True"], done.stderr
