"""Fixtures for all tests: an isolated environment, and a builder of real repositories."""

import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pytest

from tests.dask_cluster import Cluster

LEFT_ALONE = (
    *("GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_TRACE2_EVENT"),
    *("GIT_DEFAULT_REF_FORMAT", "GIT_DEFAULT_HASH"),
)
"""Git variables about the git program, not about a repository."""

REMOVED = (
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "LESS"),
    *("EMAIL", "SSH_ASKPASS", "XDG_RUNTIME_DIR", "VIRTUAL_ENV", "CDPATH"),
)


SLOW_DIRECTORIES = frozenset({"browser", "campaigns", "cli", "docs", "e2e", "report", "storage"})
"""Directories whose tests start commands, browsers and many git processes."""

FAST_FILES = frozenset({"test_first_contact.py", "test_bad_input.py"})
"""Files of these directories in the fast tier, with a few real commands."""


FAST = "not slow"
"""Value of `-m` for the fast tier."""

sys.dont_write_bytecode = False
"""pytest keeps its form of the tests: making it takes 20 s, in each process of each run."""


def pytest_configure(config: pytest.Config) -> None:
    """Let examples of a property take their time, and draw fewer of them in the fast tier."""
    from hypothesis import HealthCheck, settings

    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("whole", patient)
    settings.register_profile("fast", patient, max_examples=20)
    settings.load_profile("fast" if config.getoption("markexpr") == FAST else "whole")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read the files that the fast tier leaves out as a whole."""
    if config.getoption("markexpr") != FAST or collection_path.suffix != ".py":
        return None
    if not in_slow_directory(collection_path) or collection_path.name in FAST_FILES:
        return None
    return True


def in_slow_directory(path: Path) -> bool:
    """Return whether all tests of a file are slow, apart from those of `FAST_FILES`."""
    return not SLOW_DIRECTORIES.isdisjoint(path.relative_to(Path(__file__).parent).parts)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that `-m "not slow"` is the fast tier.

    Slow are some directories, tests with a repository, and campaigns.
    """
    for item in items:
        has_repository = "make_repo" in getattr(item, "fixturenames", ())
        is_campaign = any(item.get_closest_marker(name) for name in ("long", "newest_git"))
        is_slow = in_slow_directory(item.path) or has_repository
        if is_campaign or (is_slow and item.path.name not in FAST_FILES):
            item.add_marker(pytest.mark.slow)


_NUMBERS = itertools.count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pytest's own, which looks through the directories of all earlier tests for a number."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    return tmp_path_factory.mktemp(f"{name}{next(_NUMBERS)}", numbered=False)


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide the machine's own configuration; `python` is the one that runs the tests.

    Returns the home directory.
    """
    home = tmp_path_factory.mktemp(f"home{next(_NUMBERS)}", numbered=False)
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITEXP_", "LC_", "PYTHON")) and name not in LEFT_ALONE:
            monkeypatch.delenv(name)
    for name in REMOVED:
        monkeypatch.delenv(name, raising=False)
    config = home / "gitconfig"
    config.write_text(
        "[user]\n\tname = Ada Test\n\temail = ada@example.org\n"
        "[init]\n\tdefaultBranch = main\n"
        "[commit]\n\tgpgSign = false\n"
    )
    settings = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "EDITOR": "false",
        "VISUAL": "false",
        "PAGER": "false",
        "BROWSER": "false",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture(autouse=True)
def _no_flush(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync: most tests would wait for the disk only. Campaigns cut the power, and flush."""
    if "campaigns" in request.path.parts:
        return
    monkeypatch.setenv("GIT_TEST_FSYNC", "0")
    monkeypatch.setattr(os, "fsync", os.fstat)  # still fails for what is no open file


@pytest.fixture(autouse=True, scope="session")
def _signals() -> None:
    """As in a foreground shell, also if the tests run in the background of one."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _inside_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@dataclass
class RepoBuilder:
    """Builder of a real repository. Commits are a minute apart, so ids are stable."""

    path: Path
    _ticks: int = field(default=0, repr=False)

    def git(
        self,
        *args: str,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> str:
        """Return the output of git without the last newline. Fails the test if git fails."""
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env={**os.environ, **self._dates(), **(env or {})},
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def write(self, path: str, text: str | bytes) -> Path:
        """Write a file into the work tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def commit(
        self, files: Mapping[str, str | bytes] | None = None, message: str = "a change"
    ) -> str:
        """Write, add and commit the files. Return the commit's id."""
        self._ticks += 1
        for path, text in (files or {}).items():
            self.write(path, text)
        if files:
            self.git("add", "--force", "--", *files)
        options = ("--quiet", "--no-verify", "--allow-empty", "--message", message)
        self.git("-c", "maintenance.auto=false", "commit", *options)
        return self.head

    def branch(self, name: str) -> None:
        """Create a branch and switch to it."""
        self.git("checkout", "--quiet", "-b", name)

    @property
    def head(self) -> str:
        """Id of the checked out commit, from the files of git where they hold it."""
        git_dir = self.path / ".git"
        try:
            ref = (git_dir / "HEAD").read_text().removeprefix("ref: ").strip()
            return (git_dir / ref).read_text().strip()
        except OSError:  # a linked work tree, packed refs, a reftable, a detached HEAD
            return self.git("rev-parse", "HEAD")

    def _dates(self) -> dict[str, str]:
        date = f"{1_790_000_000 + 60 * self._ticks} +0000"
        return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


@dataclass(frozen=True)
class Template:
    """All files of a repository. Writing them is cheaper than the git processes that made them."""

    folders: tuple[str, ...]
    files: tuple[tuple[str, bytes, int], ...]
    """Path, content and mode of each file."""

    @staticmethod
    def of(folder: Path) -> "Template":
        """Read a repository, without the sample hooks of git."""
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix != ".sample"]
        return Template(
            tuple(str(path.relative_to(folder)) for path in paths if path.is_dir()),
            tuple(
                (str(path.relative_to(folder)), path.read_bytes(), path.stat().st_mode & 0o777)
                for path in paths
                if path.is_file()
            ),
        )

    def write(self, folder: Path) -> None:
        """Write the repository into an empty directory."""
        for name in self.folders:
            (folder / name).mkdir()
        for name, content, mode in self.files:
            file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.write(file, content)
            os.close(file)


_TEMPLATES: dict[Hashable, Template] = {}
"""Repositories that a test of this process has made."""


def copied(repo: RepoBuilder, kind: Hashable, build: Callable[[], object]) -> None:
    """Make a repository as `build` does, which git does once for all tests of a process.

    The content depends on `kind` and on the settings of git only.
    """
    config = os.environ.get("GIT_CONFIG_GLOBAL", os.devnull)
    variables = sorted((k, v) for k, v in os.environ.items() if k.startswith(("GIT_", "PATH")))
    key = (kind, *(pair for pair in variables if pair[1] != config), Path(config).read_bytes())
    if key not in _TEMPLATES:
        build()
        _TEMPLATES[key] = Template.of(repo.path)
        return
    _TEMPLATES[key].write(repo.path)
    if (repo.path / ".git/index").exists():
        repo.git("update-index", "-q", "--refresh")  # it holds times and inodes of the files


FIRST = MappingProxyType({"train.py": "print('hello')\n"})
"""Files of the first commit."""


class MakeRepo(Protocol):
    """Function that creates a repository below the test's directory."""

    def __call__(
        self,
        name: str = ...,
        *,
        sha256: bool = ...,
        bare: bool = ...,
        empty: bool = ...,
        second: Mapping[str, str] = ...,
    ) -> RepoBuilder: ...


@pytest.fixture
def make_repo(tmp_path: Path) -> MakeRepo:
    """A function that creates repositories, with a first commit unless bare or empty.

    `second` are the files of a second commit.
    """

    def make(
        name: str = "repo",
        *,
        sha256: bool = False,
        bare: bool = False,
        empty: bool = False,
        second: Mapping[str, str] = MappingProxyType({}),
    ) -> RepoBuilder:
        commits = [] if bare or empty else [FIRST, *([second] if second else [])]
        path = tmp_path / name
        path.mkdir(parents=True)
        made = RepoBuilder(path, _ticks=len(commits))

        def build() -> None:
            form = f"--object-format={'sha256' if sha256 else 'sha1'}"
            first = RepoBuilder(path)
            first.git("init", "--quiet", form, *(["--bare"] if bare else []))
            for files in commits:
                first.commit(files, "the first commit" if files is FIRST else "a training")

        copied(made, (sha256, bare, tuple(tuple(files.items()) for files in commits)), build)
        return made

    return make


@pytest.fixture
def repo(make_repo: MakeRepo) -> RepoBuilder:
    """A repository with one commit that holds `train.py`."""
    return make_repo()


@pytest.fixture(scope="module")
def place() -> Iterator[RepoBuilder]:
    """One empty repository for all examples of a module's properties."""
    with tempfile.TemporaryDirectory() as folder:
        repo = RepoBuilder(Path(folder))
        repo.git("init", "--quiet")
        yield repo


def some_daily(values: Iterable[Any], count: int) -> list[Any]:
    """Return parameters of which the first `count` run daily; the others are marked long."""
    return [
        value if number < count else pytest.param(value, marks=pytest.mark.long)
        for number, value in enumerate(values)
    ]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler, to which tests add workers."""
    made = Cluster(tmp_path / "cluster")
    made.start_scheduler()
    try:
        yield made
    finally:
        made.close()
