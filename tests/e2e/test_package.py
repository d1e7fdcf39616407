"""The wheel as a user installs it: files, version, and commands in an empty environment."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gitexp
from gitexp.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, without the network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("gitexp", "hooks", "docs", "README.md", "LICENSE", "pyproject.toml"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    command += ["-w", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> Iterator[frozenset[str]]:
    """Return every file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        yield frozenset(archive.namelist())


def test_wheel_has_the_version_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"gitexp-{gitexp.__version__}-py3-none-any.whl"


def test_wheel_holds_the_manual_the_completions_and_the_types(names: frozenset[str]) -> None:
    share = f"gitexp-{gitexp.__version__}.data/data/share"
    expected = {
        *(f"{share}/man/man1/git-exp-{name}.1" for name in COMMANDS),
        f"{share}/man/man1/git-exp.1",
        f"{share}/bash-completion/completions/git-exp",
        f"{share}/zsh/site-functions/_git-exp",
        f"{share}/fish/vendor_completions.d/git-exp.fish",
        "gitexp/py.typed",
        "gitexp/shims/pre-push",
        "gitexp/cli/manual/overview.md",
    }
    assert expected - names == set()


def test_wheel_holds_every_file_of_the_package_and_no_test(names: frozenset[str]) -> None:
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gitexp").rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert package - names == set()
    assert {name.partition("/")[0] for name in names} == {
        "gitexp",
        f"gitexp-{gitexp.__version__}.data",
        f"gitexp-{gitexp.__version__}.dist-info",
    }
    assert [name for name in names if "test" in name] == []


def test_installed_wheel_runs_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from this environment; only the package comes from the wheel."""
    installed = tmp_path / "installed"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(installed),
    ]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    script = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); import gitexp.cli.app as app; "
        f"assert app.__file__.startswith({str(installed)!r}), app.__file__; "
        "sys.exit(app.run(sys.argv[1:]))"
    )

    def exp(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-I", "-c", script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    assert gitexp.__version__ in exp("--version")
    exp("run", "-q", "--", "python", "-c", "print('METRIC loss=0.5')")
    assert "loss" in exp("list")
