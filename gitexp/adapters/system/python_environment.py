"""The Python that a command will use, and its packages, found without starting it.

An interpreter's start takes longer than a whole recording, so its directories are read instead. May
raise `OSError` or `ValueError`; `probe` catches them.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from gitexp.adapters.system import clock
from gitexp.adapters.system.command import which
from gitexp.core.model.frozen import frozen

_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)?t?)?(?:\.exe)?\Z")
_PROJECT_TOOLS = frozenset(("uv", "poetry", "pdm", "rye", "hatch", "pipenv"))
_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ksh", "fish", "make", "just"))


@frozen
class Interpreter:
    """A Python installation on disk."""

    path: Path
    """Path as called; in a virtual environment a link, whose directory is the environment's."""
    prefix: Path
    """The installation; for a virtual environment, the one it was created from."""
    venv: Path | None
    """The virtual environment, if it is one."""
    settings: Mapping[str, str]
    """Contents of `pyvenv.cfg`."""
    series: str | None
    """`3.11`; absent when unknown."""


# --- finding the interpreter --------------------------------------------------------------------


def find_interpreter(
    argv: Sequence[str], directory: Path, env: Mapping[str, str]
) -> Interpreter | None:
    """Find the Python that a command will run, from its words and its script."""
    path = _from_words(argv, directory, env)
    return None if path is None else _look_at(Path(os.path.normpath(path)))


def _from_words(argv: Sequence[str], directory: Path, env: Mapping[str, str]) -> Path | None:
    if not argv:
        return Path(sys.executable) if sys.executable else None
    program = os.path.basename(argv[0])  # noqa: PTH119 - a word, not a path
    if program in _PROJECT_TOOLS:
        return _project_python(directory)
    for word in argv:
        # This also finds it behind `nice`, `timeout 60`, `mpirun -n 4` and the like.
        if _PYTHON.match(os.path.basename(word)):  # noqa: PTH119
            found = which(word, directory, env)
            if found is not None and not _first_line(found).startswith(b"#!"):
                return found
    script = which(argv[0], directory, env)
    if script is not None and _PYTHON.match(script.name) is None:
        found = _from_script(script, directory, env)
        if found is not None:
            return found
    if program in _SHELLS or (script is not None and _is_shell_script(script)):
        return _python_on_path(directory, env)
    return None


def _python_on_path(directory: Path, env: Mapping[str, str]) -> Path | None:
    found = which("python", directory, env) or which("python3", directory, env)
    return None if found is None or _first_line(found).startswith(b"#!") else found


def _project_python(directory: Path) -> Path | None:
    """Return the Python of `uv run` and similar tools: the environment beside the project."""
    for folder in (directory, *directory.parents):
        candidate = folder / ".venv" / "bin" / "python"
        if candidate.exists():
            return candidate
    return None


def _from_script(script: Path, directory: Path, env: Mapping[str, str]) -> Path | None:
    """Return the Python of a script such as `pytest` or `torchrun`, from its first lines."""
    with script.open("rb") as file:
        lines = file.read(1024).split(b"\n")
    if not lines[0].startswith(b"#!"):
        return None
    words = os.fsdecode(lines[0][2:]).split()
    if words[1:] == [] and words[0].endswith("/sh") and lines[1].startswith(b"'''exec'"):
        words = [os.fsdecode(lines[1]).split("'''exec' ")[1].split('"$0"')[0].strip().strip('"')]
    for word in words:
        if _PYTHON.match(os.path.basename(word)):  # noqa: PTH119
            return which(word, directory, env)
    return None


def _is_shell_script(script: Path) -> bool:
    words = _first_line(script)[2:].split()
    return any(os.fsdecode(word).rpartition("/")[2] in _SHELLS for word in words)


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(256)
    return head.partition(b"\n")[0] if head.startswith(b"#!") else b""


# --- inspecting it ------------------------------------------------------------------------------


def _look_at(path: Path) -> Interpreter:
    venv = path.parent.parent
    settings = _read_settings(venv / "pyvenv.cfg")
    real = path.resolve()
    if not settings:
        place = path
        while not _libraries(place.parent.parent) and place.is_symlink():
            place = Path(os.path.normpath(place.parent / place.readlink()))
        prefix = place.parent.parent
    else:
        home = settings.get("home")
        prefix = Path(home).parent if home else real.parent.parent
    found = re.search(r"(\d+\.\d+)t?(?:\.exe)?\Z", real.name)
    series = found[1] if found else None
    if series is None:
        versions = {_LIBRARY.sub("", p.name) for p in _libraries(venv if settings else prefix)}
        series = versions.pop() if len(versions) == 1 else None
    return Interpreter(path, prefix, venv if settings else None, settings, series)


_LIBRARY = re.compile(r"(?:python|pypy)(?=3\.\d+t?\Z)")


def _libraries(prefix: Path) -> list[Path]:
    found = [*prefix.glob("lib/py*3.*"), *prefix.glob("lib64/py*3.*")]
    return sorted(path for path in found if _LIBRARY.match(path.name))


def _read_settings(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def python_version(interpreter: Interpreter) -> dict[str, str | None]:
    """Return `python` and `python_implementation`, as exactly as the files on disk allow."""
    if _is_ours(interpreter):
        ours = ".".join(str(part) for part in sys.version_info[:3])
        return {"python": ours, "python_implementation": sys.implementation.name}
    settings = interpreter.settings
    version = settings.get("version") or settings.get("version_info") or ""
    found = re.match(r"\d+\.\d+(?:\.\d+)?", version)
    name = settings.get("implementation", "pypy" if "pypy" in interpreter.path.name else "cpython")
    exact = found[0] if found else _conda_version(interpreter.prefix) or interpreter.series
    return {"python": exact, "python_implementation": name.lower()}


def _is_ours(interpreter: Interpreter) -> bool:
    own = getattr(sys, "_base_executable", sys.executable)
    with contextlib.suppress(OSError):
        return bool(own) and interpreter.path.samefile(own)
    return False


def _conda_version(prefix: Path) -> str | None:
    for path in prefix.glob("conda-meta/python-3.*.json"):
        return path.name.split("-")[1]
    return None


# --- packages -----------------------------------------------------------------------------------

_INSTALLED = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info\Z")
_LINKED = re.compile(r"(?:__editable__\.(?P<name>.+)-[^-]+\.pth|(?P<old_name>.+)\.egg-link)\Z")
_SEPARATORS = re.compile(r"[-_.]+")
_COMMIT = re.compile(rb'"commit_id"\s*:\s*"([0-9a-f]{7,64})"')
_EDITABLE = re.compile(rb'"editable"\s*:\s*true')


def list_packages(
    interpreter: Interpreter, env: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the installed packages, sorted by name, with versions, and the editable ones.

    The version of a package from version control ends with its commit.
    """
    folders = dict.fromkeys(map(str, _folders(interpreter, env)))
    times = [(folder, _changed_ns(folder)) for folder in folders]
    # The file system's clock may give two changes within one tick the same time.
    is_settled = max((ns for _, ns in times), default=0) < clock.now().timestamp() * 1e9 - _TICK_NS
    look = _look_through if is_settled else _look_through.__wrapped__
    versions, editable = look(*times)
    return {**versions}, [*editable]


_TICK_NS = 2 * 10**9


@lru_cache(maxsize=1)
def _look_through(*folders: tuple[str, int]) -> tuple[dict[str, str], list[str]]:
    """Return the installed distributions. Cached by directory mtime, which an install changes."""
    versions: dict[str, str] = {}
    editable: set[str] = set()
    for folder, _ in folders:
        for entry in _names(folder):
            if not entry.endswith("-info"):
                linked = _LINKED.match(entry)
                if linked:
                    editable.add(_normal(linked["name"] or linked["old_name"]))
                continue
            found = _INSTALLED.match(entry)
            name = _normal(found["name"]) if found else ""
            if found is None or name in versions:
                continue  # a package in an earlier directory hides it
            origin = _origin(f"{folder}/{entry}")
            commit = _COMMIT.search(origin)
            versions[name] = found["version"] + (f" @ {commit[1].decode()}" if commit else "")
            if _EDITABLE.search(origin):
                editable.add(name)
    return dict(sorted(versions.items())), sorted(editable)


def _changed_ns(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - a name, no `Path`
    except OSError:
        return 0


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - hundreds of names
    except OSError:
        return []


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _origin(folder: str) -> bytes:
    path = f"{folder}/direct_url.json"
    try:
        if os.access(path, os.R_OK):  # one of hundreds, and few have the file
            with open(path, "rb") as file:  # noqa: PTH123 - see above
                return file.read(4096)
    except OSError:
        pass
    return b""


def _folders(interpreter: Interpreter, env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the directories that Python searches for packages, in its order."""
    for entry in env.get("PYTHONPATH", "").split(os.pathsep):
        if entry:
            yield Path(entry)
    series = interpreter.series
    if interpreter.venv is not None:
        for library in _libraries(interpreter.venv):
            yield library / "site-packages"
        if interpreter.settings.get("include-system-site-packages", "").lower() != "true":
            return
    if series is None:
        return
    if "HOME" in env and not env.get("PYTHONNOUSERSITE"):
        yield Path(env["HOME"]) / f".local/lib/python{series}/site-packages"
    yield interpreter.prefix / f"local/lib/python{series}/dist-packages"
    for library in _libraries(interpreter.prefix):
        if series in library.name:
            yield library / "site-packages"
    yield interpreter.prefix / "lib/python3/dist-packages"
