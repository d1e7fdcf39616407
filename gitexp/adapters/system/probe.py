"""Hashes of files, and the environment of a command.

Starts no process. Of the environment variables it keeps only `VARIABLES`. The environment is best
effort: unknown facts are absent. Hashing is exact, and raises.
"""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from gitexp.adapters.system.python_environment import (
    find_interpreter,
    list_packages,
    python_version,
)
from gitexp.core.model.run import FileState, Table, Value

# --- files --------------------------------------------------------------------------------------


def hash_path(path: Path) -> FileState:
    """Return the state of a file or directory that the user named; follow links.

    Raises `OSError`.
    """
    real = path.resolve(strict=True)
    return hash_tree(real) if real.is_dir() else hash_file(real)


def hash_file(path: Path) -> FileState:
    """Return SHA-256 and size of a file; for a link, those of its text. Raises `OSError`."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = os.fsencode(path.readlink())
        return FileState(sha256=hashlib.sha256(target).hexdigest(), bytes=len(target))
    if not stat.S_ISREG(mode):
        raise OSError(0, "it is neither a file nor a folder", str(path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileState(sha256=digest, bytes=file.tell())


def hash_tree(folder: Path) -> FileState:
    """Return the state of a directory: a hash over its sorted files, and their total size.

    Raises `OSError`. Does not follow links. Ignores `.git` directories, empty directories, sockets
    and pipes, and also times, owners and permissions.
    """
    total_bytes = 0
    listing = hashlib.sha256()
    for name, path in sorted(_files(folder, b"")):
        state = hash_file(path)
        total_bytes += state.bytes
        kind = b"link" if path.is_symlink() else b"file"
        listing.update(b"%b %b %b\0" % (kind, state.sha256.encode(), name))
    return FileState(sha256=listing.hexdigest(), bytes=total_bytes)


def _files(folder: Path, prefix: bytes) -> Iterator[tuple[bytes, Path]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name != ".git":
                    yield from _files(Path(entry.path), name + b"/")
            elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                yield name, Path(entry.path)


_LOCK_FILE = re.compile(
    r"(?:(?:uv|poetry|pdm|pixi)\.lock|pylock[^/]*\.toml|conda-lock\.yml|requirements[^/]*\.txt)\Z"
)


def lock_files(top: Path) -> dict[str, str]:
    """Return the lock files of package tools at the top of a work tree, each with its SHA-256."""
    found = {}
    for name in sorted(_try(lambda: os.listdir(top)) or []):  # noqa: PTH208 - names only
        if _LOCK_FILE.match(name):
            with contextlib.suppress(OSError):
                found[name] = hash_path(top / name).sha256
    return found


# --- environment --------------------------------------------------------------------------------


def probe_environment(
    argv: Sequence[str], *, directory: Path, env: Mapping[str, str]
) -> tuple[Table, dict[str, str]]:
    """Return the facts of a command's environment, and its Python packages by name and version.

    The facts describe the machine and the Python; `packages` among them is a hash of the package
    list. Without a known Python there are no packages. Never raises.
    """
    facts = dict(_machine())
    packages: dict[str, str] = {}
    interpreter = _try(lambda: find_interpreter(argv, directory, env))
    if interpreter is not None:
        facts.update(_try(lambda: python_version(interpreter)) or {})
        packages, editable = _try(lambda: list_packages(interpreter, env)) or ({}, [])
        facts["editable"] = [*editable]
    variables: dict[str, Value] = {n: env[n][:200] for n in VARIABLES if env.get(n)}
    if variables:
        facts["variables"] = variables
    if packages:
        listing = "".join(f"{name}=={version}\n" for name, version in packages.items())
        facts["packages"] = hashlib.sha256(listing.encode(errors="replace")).hexdigest()
    return {key: value for key, value in facts.items() if value not in (None, "", [])}, packages


VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "KERAS_BACKEND",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS",
)
"""Recorded environment variables: they may change a result and hold no secret."""

MACHINE_FACTS = frozenset(
    ("platform", "machine", "host", "cpu", "cpus", "memory_bytes", "gpus", "gpu_driver")
)
"""Facts about the machine in `probe_environment`; the others are about Python."""


def kept_facts(facts: Table, packages: Mapping[str, Value], extent: str) -> tuple[Table, Table]:
    """Select the recorded facts and packages: `full`, `basic` (without the machine) or `none`."""
    if extent == "none":
        return {}, {}
    if extent == "basic":
        facts = {name: value for name, value in facts.items() if name not in MACHINE_FACTS}
    return facts, dict(packages)


def _machine() -> Iterator[tuple[str, "Value | None"]]:
    system = os.uname()
    yield "platform", f"{system.sysname} {system.release}"
    yield "machine", system.machine
    yield "host", system.nodename.partition(".")[0]
    yield "cpu", _try(_cpu)
    yield "cpus", _try(_cpus)
    yield (
        "memory_bytes",
        _try(lambda: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    )
    yield "gpus", _try(_gpus)
    yield "gpu_driver", _try(_gpu_driver)


def _cpu() -> str | None:
    with Path("/proc/cpuinfo").open(errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "cpu model"):
                return value.strip()
    return None


def _cpus() -> int | None:
    """Return the processors that this process may use; a container or scheduler may limit them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _gpus() -> list[Value]:
    sheets = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    texts = [sheet.read_text(errors="replace") for sheet in sheets]
    found = [re.search(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE) for text in texts]
    return [model[1] for model in found if model]


def _gpu_driver() -> str | None:
    text = Path("/proc/driver/nvidia/version").read_text(errors="replace")
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return found[1] if found else None


T = TypeVar("T")


def _try(look: Callable[[], T]) -> T | None:
    """Return the result, or `None` on an error: a missing fact must not cost a run."""
    try:
        return look()
    except (OSError, ValueError, LookupError, AttributeError):
        return None
