"""Runs trials on another machine: takes code by commit id, runs the command, keeps the result.

Engines send this file as text, and the kit, the files of `kit.py`, with the first code. All import
only the standard library: workers need git and Python 3.9 or newer. Arguments and results are
texts, bytes, numbers, lists and dicts. A result is JSON; it stays in the outbox until the
coordinator says that it is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import IO, Any

MAX_AGE_S = 30 * 86400.0
"""Seconds for which results wait for their coordinator, and unused work trees stay."""

_GIT = (
    *("git", "-c", "gc.auto=0", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "core.autocrlf=false", "-c", "advice.detachedHead=false"),
)

PYTHONS = ("python", "python3")
"""A command that begins with one of these runs with the Python of the worker."""

RUNNING: dict[str, dict[str, Any]] = globals().get("RUNNING") or {}
"""The trials of this process by run; kept when the module is loaded again."""
STOPPED: dict[str, int] = globals().get("STOPPED") or {}
"""How often each run was asked to end."""
_MARKS: dict[str, dict[str, tuple[int, ...]]] = globals().get("_MARKS") or {}
_PARTS: dict[tuple[str, str], ModuleType] = globals().get("_PARTS") or {}
_FACTS: dict[str, Any] = {}


def folder() -> str:
    """Return where this machine keeps code, work trees and results."""
    named = os.environ.get("GITEXP_WORKER_CACHE")
    if not named:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        named = os.path.join(cache, "gitexp-worker", os.uname().nodename)
    os.makedirs(named, mode=0o700, exist_ok=True)
    return named


def hello() -> dict[str, Any]:
    """Describe this worker: its host, its git, its Python, and the code that it has."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["git", "--version"], capture_output=True, check=True)
        found = {"git": done.stdout.decode().strip(), **_facts(), "code": []}
        for name in ("code-sha1.git", "code-sha256.git"):
            refs = os.path.join(folder(), name, "refs/gitexp/code")
            with contextlib.suppress(OSError):
                times = {n: os.stat(os.path.join(refs, n)).st_mtime for n in os.listdir(refs)}
                found["code"] += sorted(times, key=times.__getitem__, reverse=True)[:20]
        return found
    return {"git": None, **_facts(), "code": []}


def _facts() -> dict[str, Any]:
    """Describe the machine and the Python that runs this, with its packages; read once."""
    if _FACTS:
        return _FACTS
    system = os.uname()
    packages: dict[str, str] = {}
    from importlib.metadata import distributions

    for each in distributions():
        name = re.sub(r"[-_.]+", "-", each.metadata["Name"] or "").lower()
        packages.setdefault(name, each.version)
    listing = "".join(f"{name}=={packages[name]}\n" for name in sorted(packages))
    facts = {
        "platform": f"{system.sysname} {system.release}",
        "machine": system.machine,
        "host": system.nodename.partition(".")[0],
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "python_implementation": sys.implementation.name,
        "packages": hashlib.sha256(listing.encode(errors="replace")).hexdigest(),
    }
    _FACTS.update(facts=facts, packages={name: packages[name] for name in sorted(packages)})
    return _FACTS


def _facts_of(task: dict[str, Any]) -> dict[str, Any]:
    """Return the facts for a record; those about Python only when it ran the command."""
    facts: dict[str, Any] = _facts()["facts"]
    if task["argv"][0] in PYTHONS:
        return facts
    return {name: facts[name] for name in ("platform", "machine", "host", "cpus", "memory_bytes")}


# --- code -----------------------------------------------------------------------------------------


def _git(*words: str, input: bytes = b"") -> bytes:  # noqa: A002 - as `subprocess` calls it
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env.update(HOME=folder(), XDG_CONFIG_HOME=folder(), GIT_CONFIG_NOSYSTEM="1", LC_ALL="C")
    done = subprocess.run([*_GIT, *words], capture_output=True, env=env, check=False, input=input)
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip() or f"git ended with {done.returncode}"
        raise OSError(0, text.splitlines()[-1])
    return done.stdout


def _store(commit: str) -> str:
    return os.path.join(folder(), "code-sha256.git" if len(commit) == 64 else "code-sha1.git")


def _kit(digest: str) -> str:
    return os.path.join(folder(), f"kit-{digest}")


def _has(commit: str, kit: str) -> bool:
    ref = os.path.join(_store(commit), "refs/gitexp/code", commit)
    return os.path.exists(ref) and os.path.isdir(_kit(kit))


async def take_code(bundle: dict[str, Any]) -> str | None:
    """Store a commit and the files that trials need beside it, in a thread. Returns a fault."""
    return await asyncio.get_running_loop().run_in_executor(None, put, bundle)


def put(bundle: dict[str, Any]) -> str | None:
    """Store a commit and the kit; harmless when they are there, and look for the declared data.

    Returns why this worker cannot run trials of the sweep, if it cannot.
    """
    try:
        with _locked(os.path.join(folder(), "lock")):
            _put_kit(bundle["kit"], bundle["files"])
            commit, branch = bundle["commit"], _store(bundle["commit"])
            if not _has(commit, bundle["kit"]):
                if not os.path.isdir(branch):
                    kind = "sha256" if len(commit) == 64 else "sha1"
                    _git("init", "-q", "--bare", f"--object-format={kind}", branch)
                _git("-C", branch, "index-pack", "--stdin", "--fix-thin", input=bundle["pack"])
                _git("-C", branch, "update-ref", f"refs/gitexp/code/{commit}", commit)
            _remove_old()
        wanted = {n: d for n, d in bundle["inputs"].items() if not _is_in_code(branch, commit, n)}
        faults = _part(bundle["kit"], "worker_files").find_faults(wanted)
    except (OSError, subprocess.SubprocessError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return f"{os.uname().nodename} cannot take the code: {why}"
    return f"{os.uname().nodename}: {', '.join(faults)}" if faults else None


def _is_in_code(branch: str, commit: str, path: str) -> bool:
    try:
        _git("-C", branch, "cat-file", "-e", f"{commit}:{path}")
    except OSError:
        return False
    return True


def _put_kit(digest: str, files: dict[str, str]) -> None:
    if os.path.isdir(_kit(digest)):
        return
    aside = tempfile.mkdtemp(dir=folder(), prefix="new-")
    for name, text in files.items():
        path = os.path.join(aside, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    os.rename(aside, _kit(digest))


def _remove_old() -> None:
    """Remove results that no coordinator took, and unused work trees, after `MAX_AGE_S`."""
    until_s = time.time() - MAX_AGE_S
    for place in ("outbox", "pool"):
        for path, _, names in os.walk(os.path.join(folder(), place)):
            for name in names if place == "outbox" else [n for n in names if n.endswith(".lock")]:
                full = os.path.join(path, name)
                with contextlib.suppress(OSError):
                    if os.stat(full).st_mtime < until_s:
                        if place == "pool":
                            _remove_tree(full[: -len(".lock")])
                        os.unlink(full)
            if place == "pool":
                break


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- work trees -----------------------------------------------------------------------------------


def _take_tree(commit: str, data: ModuleType) -> tuple[str, IO[bytes]]:
    """Return a work tree with the code of a commit, and the open lock that holds it."""
    pool = os.path.join(folder(), "pool")
    os.makedirs(pool, exist_ok=True)
    for number in range(10000):
        path = os.path.join(pool, f"{commit}-{number}")
        lock = open(path + ".lock", "a+b", buffering=0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        lock.seek(0)
        is_new = bool(lock.read()) or not os.path.isdir(path)  # or its last user was killed
        lock.write(b"in use")
        if is_new:
            _make_tree(path, commit)
        if path not in _MARKS:
            _MARKS[path] = data.scan(path)
        return path, lock
    raise OSError(0, "all work trees are in use")


def _give_back(path: str, lock: IO[bytes], data: ModuleType) -> None:
    """Make a work tree as new for the next trial, or remove it."""
    with lock:
        if data.restore(path, _MARKS[path]):
            lock.truncate(0)
        else:
            _remove_tree(path)


def _make_tree(path: str, commit: str) -> None:
    _remove_tree(path)
    branch = _store(commit)
    _git("-C", branch, "worktree", "add", "-q", "--detach", path, commit)


def _remove_tree(path: str) -> None:
    _MARKS.pop(path, None)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.isdir(path):
        for place, _, _ in os.walk(path):
            os.chmod(place, stat.S_IRWXU)
        shutil.rmtree(path)
    for branch in ("code-sha1.git", "code-sha256.git"):
        entry = os.path.join(folder(), branch, "worktrees", os.path.basename(path))
        shutil.rmtree(entry, ignore_errors=True)


# --- trials ---------------------------------------------------------------------------------------


def _part(kit: str, name: str) -> ModuleType:
    """Load a module of the kit."""
    if (kit, name) not in _PARTS:
        path = os.path.join(_kit(kit), name + ".py")
        spec = importlib.util.spec_from_file_location(f"gitexp_{name}_{kit}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _PARTS[kit, name] = module
    return _PARTS[kit, name]


def run_trial(task: dict[str, Any]) -> bytes:
    """Run a trial and return its result as JSON, once in the outbox.

    A worker that lacks the code answers `need`; one that lacks the data, `not_run` with the reason.
    """
    run = task["run"]
    box = os.path.join(folder(), "outbox", task["owner"])
    kept = os.path.join(box, run + ".json")
    if os.path.exists(kept):  # the scheduler asks again: its worker was lost with the first answer
        with open(kept, "rb") as file:
            return file.read()
    result = {"run": run, "worker": _address(), "host": os.uname().nodename}
    if not _has(task["commit"], task["kit"]):
        return _encoded({**result, "need": True})
    RUNNING[run] = {"owner": task["owner"], "wake": None}
    try:
        result.update(_run(task))
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return _encoded({**result, "not_run": f"{result['host']} cannot prepare it: {why}"})
    else:
        if "not_run" not in result:
            _keep(box, kept, result)
        return _encoded(result)
    finally:
        RUNNING.pop(run, None)
        STOPPED.pop(run, None)


def _run(task: dict[str, Any]) -> dict[str, Any]:
    data, command = _part(task["kit"], "worker_files"), _part(task["kit"], "worker_command")
    path, lock = _take_tree(task["commit"], data)
    links, faults = data.link_inputs(task["inputs"], path)
    if faults:
        _give_back(path, lock, data)
        return {"not_run": f"{os.uname().nodename}: {', '.join(faults)}"}
    private = tempfile.mkdtemp(dir=folder(), prefix="trial-")
    try:
        guardian = _part(task["kit"], "guardian")
        settings = (_kit(task["kit"]), RUNNING, STOPPED, guardian, _sender(task))
        found: dict[str, Any] = command.run(task, path, private, *settings)
        now, before = data.scan(path), _MARKS[path]
        changed = sorted(p for p, mark in now.items() if mark and before.get(p) != mark)
        changed = [name for name in changed if name not in links]
        found.update(data.brought(task, path, private, changed))
        found["facts"] = _facts_of(task)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    _give_back(path, lock, data)
    return found


def _keep(box: str, path: str, result: dict[str, Any]) -> None:
    os.makedirs(box, exist_ok=True)
    with open(path + ".part", "wb") as file:
        file.write(_encoded(result))
    os.rename(path + ".part", path)


def _encoded(result: dict[str, Any]) -> bytes:
    return json.dumps(result).encode()


def _address() -> str:
    """Return the address of this Dask worker; empty outside of one."""
    with contextlib.suppress(Exception):
        return str(sys.modules["distributed"].get_worker().address)
    return ""


def _sender(task: dict[str, Any]) -> Callable[[list[Any]], None] | None:
    """Return a function that sends what a trial prints while it runs."""
    if not task.get("topic"):
        return None
    worker = sys.modules["distributed"].get_worker()
    return lambda chunks: worker.log_event(task["topic"], {"run": task["run"], "chunks": chunks})


# --- what the coordinator asks --------------------------------------------------------------------


async def stop(run: str, times: int) -> None:
    """Ask a trial to end, also one that has not started here; a second time, end it now."""
    STOPPED[run] = max(times, STOPPED.get(run, 0))
    wake = RUNNING.get(run, {}).get("wake")
    if wake is not None:
        with contextlib.suppress(OSError):
            os.write(wake, b"x")


async def outbox(owner: str) -> dict[str, Any]:
    """Return the results that wait here for a sweep, and which of its trials still run."""
    return await asyncio.get_running_loop().run_in_executor(None, _outbox, owner)


def _outbox(owner: str) -> dict[str, Any]:
    box, ended = os.path.join(folder(), "outbox", owner), []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(box)):
            if name.endswith(".json"):
                with open(os.path.join(box, name), "rb") as file:
                    ended.append(file.read())
    running = [run for run, state in list(RUNNING.items()) if state["owner"] == owner]
    return {"ended": ended, "running": running}


async def forget(owner: str, runs: list[str]) -> None:
    """Remove results that are recorded."""
    for run in runs:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder(), "outbox", owner, run + ".json"))
