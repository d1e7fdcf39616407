"""T15: repositories of every shape. A command works there, or gives one clear error.

`docs/reliability.md` has the results. The user's index, HEAD, refs and files stay the same.
"""

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gitexp.cli.app import run
from gitexp.core.errors import ExitCode
from tests.conftest import MakeRepo, RepoBuilder, some_daily

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
CODE, EDITED = "print('METRIC loss=0.5')\n", "print('METRIC loss=0.4')\n"
UNTRIED = "not tried"
"""Cell of a shape that the git of the page's figures lacks."""

CODE_PATH = "code/train.py"
NAMES = ("run", "record", "list", "show", "compare", "decide", "reproduce", "sync", "doctor")
MESSAGE = re.compile(r"error: ([^\n]+)\n(?:because: ([^\n]+)\n)?(?:hint: [^\n]+\n)+")
VOLATILE = re.compile(r"\b(?:[0-9a-f]{16}|[0-9a-f]{10}|[0-9a-f]{7})\b")


@dataclass
class Ground:
    """Environment in which a shape is created, and the user's directory in it."""

    make_repo: MakeRepo
    tmp_path: Path
    monkeypatch: pytest.MonkeyPatch
    cleanup: ExitStack
    untouched: list[Path] = field(default_factory=list)
    """Further directories that must not change."""

    def hub(self, *, sha256: bool = False) -> RepoBuilder:
        """Create a bare repository with two commits of code, to clone from."""
        hub = self.make_repo("hub.git", bare=True, sha256=sha256)
        hub.git("config", "uploadpack.allowFilter", "true")
        seed = self.make_repo("seed", sha256=sha256)
        seed.commit({"data/big.txt": "0\n", CODE_PATH: CODE}, "the second commit")
        seed.git("push", "--quiet", str(hub.path), "HEAD:refs/heads/main")
        return hub

    def clone(self, *words: str, name: str = "clone", hub: RepoBuilder | None = None) -> Path:
        """Clone a remote by its URL, so that git uses the full protocol."""
        hub = hub or self.hub()
        path = self.tmp_path / name
        hub.git("clone", "--quiet", *words, hub.path.as_uri(), str(path))
        return path


def _unborn(ground: Ground) -> Path:
    return ground.clone(hub=ground.make_repo("hub.git", bare=True))


def _bare(ground: Ground) -> Path:
    hub = ground.hub()
    other = ground.clone(name="other", hub=hub)
    assert _exp(other, *_commands([])["run"]) == _exp(other, "sync") == 0
    return ground.clone("--bare", name="bare.git", hub=hub)


def _linked(ground: Ground) -> Path:
    main = RepoBuilder(ground.clone())
    main.git("worktree", "add", "--quiet", "-b", "side", str(ground.tmp_path / "linked"))
    ground.untouched.append(main.path)
    return ground.tmp_path / "linked"


def _submodule(ground: Ground) -> Path:
    hub = ground.hub()
    outer = ground.make_repo("outer")
    outer.git("remote", "add", "origin", str(ground.make_repo("outer.git", bare=True).path))
    allow = ("-c", "protocol.file.allow=always")
    outer.git(*allow, "submodule", "--quiet", "add", hub.path.as_uri(), "inner")
    outer.commit(message="a submodule")
    outer.git("push", "--quiet", "origin", "HEAD")
    ground.untouched.append(outer.path)
    return outer.path / "inner"


def _around_submodule(ground: Ground) -> Path:
    inner = _submodule(ground)
    RepoBuilder(inner).commit({CODE_PATH: CODE + "\n"}, "moved on")
    return inner.parent


def _shallow(ground: Ground) -> Path:
    return ground.clone("--depth=1")


def _partial(ground: Ground) -> Path:
    return ground.clone("--filter=blob:none")


def _alternates(ground: Ground) -> Path:
    hub = ground.hub()
    return ground.clone("--reference", str(hub.path), hub=hub)


def _sparse(ground: Ground) -> Path:
    path = ground.clone()
    RepoBuilder(path).git("sparse-checkout", "set", "code")
    return path


def _detached(ground: Ground) -> Path:
    path = ground.clone()
    RepoBuilder(path).git("checkout", "--quiet", "--detach")
    return path


def _read_only(ground: Ground) -> Path:
    path = ground.clone()
    git_dir = path / ".git"
    assert _exp(path, *_commands([])["run"]) == 0
    if os.geteuid() != 0:
        _do("chmod", "-R", "a-w", str(git_dir))
        ground.cleanup.callback(_do, "chmod", "-R", "u+w", str(git_dir))
    elif _do("mount", "--bind", str(git_dir), str(git_dir)):
        ground.cleanup.callback(_do, "umount", "--lazy", str(git_dir))  # we hold its index open
        assert _do("mount", "-o", "remount,ro,bind", str(git_dir))
    else:
        pytest.skip("root may write everywhere, and nothing can be mounted here")
    return path


def _do(*argv: str) -> bool:
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def _foreign(ground: Ground) -> Path:
    path = ground.clone()
    ground.monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    return path


def _sha256(ground: Ground) -> Path:
    return ground.clone(hub=ground.hub(sha256=True))


def _reftable(ground: Ground) -> Path:
    hub = ground.hub()
    path = ground.tmp_path / "clone"
    if not _do("git", "clone", "-q", "--ref-format=reftable", hub.path.as_uri(), str(path)):
        pytest.skip("this git has no reftable")
    return path


def _subfolder(ground: Ground) -> Path:
    return ground.clone() / "code"


def _separate(ground: Ground) -> Path:
    path = ground.clone()
    git_dir = ground.tmp_path / "apart.git"
    (path / ".git").rename(git_dir)
    subprocess.run(["git", "--git-dir", git_dir, "config", "core.worktree", path], check=True)
    ground.monkeypatch.setenv("GIT_DIR", str(git_dir))
    return path


def _named_by_environment(ground: Ground) -> Path:
    path = ground.clone()
    ground.monkeypatch.setenv("GIT_DIR", str(path / ".git"))
    ground.monkeypatch.setenv("GIT_WORK_TREE", str(path))
    return path / "code"


def _symlinked(ground: Ground) -> Path:
    (ground.tmp_path / "way").symlink_to(ground.clone())
    return ground.tmp_path / "way" / "code"


SHAPES: dict[str, Callable[[Ground], Path]] = {
    "no commit yet": _unborn,
    "bare": _bare,
    "linked work tree": _linked,
    "inside a submodule": _submodule,
    "around a changed submodule": _around_submodule,
    "shallow clone": _shallow,
    "partial clone": _partial,
    "objects borrowed from another (alternates)": _alternates,
    "sparse checkout": _sparse,
    "detached HEAD": _detached,
    "read-only git directory": _read_only,
    "owned by another user (`safe.directory`)": _foreign,
    "SHA-256": _sha256,
    "reftable": _reftable,
    "from a subfolder": _subfolder,
    "`GIT_DIR` with `core.worktree`": _separate,
    "`GIT_DIR` and `GIT_WORK_TREE`": _named_by_environment,
    "reached by a symbolic link": _symlinked,
}


def _exp(directory: Path, *words: str) -> int:
    before = Path.cwd()
    os.chdir(directory)
    try:
        return run(words)
    finally:
        os.chdir(before)


def _commands(ids: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the commands in order; the first run is the one to reproduce."""
    first = ids[0] if ids else "last"
    return {
        "run": ("run", "--", "echo", "METRIC loss=0.5"),
        "record": ("record", "-q", "-M", "loss=0.4"),
        "list": ("list",),
        "show": ("show", "last"),
        "compare": ("compare", "last", first),
        "decide": ("decide", "last", "keep", "-m", "good"),
        "reproduce": ("reproduce", "--yes", first),
        "sync": ("sync",),
        "doctor": ("doctor",),
    }


def _runs(directory: Path) -> list[str]:
    words = ["git", "log", "--reverse", "--format=%(trailers:key=Run-Id,valueonly)", "gitexp", "--"]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    return list(dict.fromkeys(done.stdout.split()))


def _edit(directory: Path) -> None:
    """Change the code without a commit, if there is a work tree with code."""
    code = next((p for p in (directory / "train.py", directory / CODE_PATH) if p.exists()), None)
    if code is not None:
        code.write_text(EDITED)


def _check_code(directory: Path, shown: str) -> None:
    """Check that the recorded code is all of HEAD with the edit, whatever is checked out."""
    git = RepoBuilder(directory).git
    run = next(run for run in json.loads(shown)["runs"] if run["origin"] == "run")
    snapshot = run["code"]["snapshot"]
    names = [git("ls-tree", "-r", "--full-tree", "--name-only", t) for t in (snapshot, "HEAD")]
    assert names[0] == names[1]
    assert EDITED.strip() in [
        git("show", f"{snapshot}:{name}")
        for name in names[0].splitlines()
        if name.endswith("train.py")
    ]


def _own_state(directory: Path, others: list[Path]) -> dict[str, object]:
    """Return the user's state: refs, HEAD, index, configuration and every file."""
    state: dict[str, object] = {}
    own = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TEST_ASSUME_DIFFERENT_OWNER": "0"}
    ask = ["git", "rev-parse", "--absolute-git-dir", "--git-common-dir"]
    asked = subprocess.run(
        ask, cwd=directory, capture_output=True, text=True, check=True, env={**os.environ, **own}
    )
    git_dir, common = (directory / line for line in asked.stdout.splitlines())
    for place in {git_dir, common}:
        for name in ("HEAD", "index", "config", "config.worktree", "FETCH_HEAD", "ORIG_HEAD"):
            file = place / name
            state[str(file)] = file.read_bytes() if file.exists() else None
    words = ["git", "for-each-ref", "--format=%(refname) %(objectname)"]
    listed = subprocess.run(
        words, cwd=directory, capture_output=True, text=True, check=True, env={**os.environ, **own}
    )
    state["refs"] = [line for line in listed.stdout.splitlines() if "gitexp" not in line]
    top = directory.parent if directory.name == "code" else directory
    for folder in (top, *others):
        for path in sorted(folder.resolve().rglob("*")):
            if ".git" in path.parts or git_dir == folder:
                continue
            mode = path.lstat().st_mode
            content = path.read_bytes() if stat.S_ISREG(mode) else b""
            state[str(path)] = (mode, content)
    return state


def _cell(name: str, code: int, err: str) -> str:
    """Return an empty text on success, else the error, which must be one sentence with a hint."""
    if code == 0:
        assert "error:" not in err
        return ""
    assert code in set(ExitCode) - {ExitCode.BUG, ExitCode.USAGE}, err
    said = MESSAGE.search(err)
    assert said, f"{name} ends with {code} and says: {err!r}"
    assert err.count("error:") == 1, err
    what, why = said.groups()
    said_once = f"{what}{f', because {why}' if why else ''} ({code})"
    return VOLATILE.sub("ID", said_once).replace("Permission denied", "Read-only file system")


def _row(shape: str, cells: dict[str, str]) -> str:
    works = ", ".join(f"`{name}`" for name in NAMES if not cells[name])
    said: dict[str, list[str]] = {}
    for name in NAMES:
        if cells[name]:
            said.setdefault(cells[name], []).append(f"`{name}`")
    refused = "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items())
    works = "all" if not refused else works or "—"
    return f"| {shape} | {works} | {refused} |".replace("  ", " ")


@pytest.fixture
def ground(
    make_repo: MakeRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    monkeypatch.delenv("PAGER")
    with ExitStack() as cleanup:
        yield Ground(make_repo, tmp_path, monkeypatch, cleanup)


@pytest.mark.parametrize("shape", some_daily(SHAPES, 6))
def test_every_command_works_or_says_why_not(
    shape: str, ground: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = SHAPES[shape](ground)
    _edit(directory)
    before = _own_state(directory, ground.untouched)
    cells = {}
    for name in NAMES:
        capfd.readouterr()
        code = _exp(directory, *_commands(_runs(directory))[name])
        cells[name] = _cell(name, code, capfd.readouterr().err.replace(str(ground.tmp_path), "…"))
    assert _own_state(directory, ground.untouched) == before
    if not cells["run"]:
        _exp(directory, "list", "--json")
        _check_code(directory, capfd.readouterr().out)
    row, told = _row(shape, cells), PAGE.read_text().splitlines()
    assert row in told or f"| {shape} | {UNTRIED} | |" in told, f"the page must say:\n{row}"


def test_page_lists_the_shapes_that_are_tested() -> None:
    told = PAGE.read_text().partition("## Shapes of repositories")[2].partition("\n## ")[0]
    rows = [line for line in told.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(SHAPES)
