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
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

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
    """Return whether the code and the kit are here, and mark the code as used now."""
    try:
        os.utime(os.path.join(_store(commit), "refs/gitexp/code", commit))
    except OSError:
        return False
    return os.path.isdir(_kit(kit))


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
            _part(bundle["kit"], "worker_cache").clean(folder(), commit, _git)
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


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


def run_trial(order: str) -> bytes:
    """Run a trial, ordered as JSON, and return its result as JSON, once in the outbox.

    A worker that lacks the code answers `need`; one that lacks the data, `not_run` with the reason.
    """
    task = json.loads(order)
    run = task["run"]
    box = os.path.join(folder(), "outbox", task["owner"])
    kept = os.path.join(box, run + ".json")
    if os.path.exists(kept):  # the scheduler asks again: its worker was lost with the first answer
        with open(kept, "rb") as file:
            return file.read()
    attempt, host = os.urandom(4).hex(), os.uname().nodename
    result = {"run": run, "attempt": attempt, "worker": _address(), "host": host}
    if not _has(task["commit"], task["kit"]):
        return _encoded({**result, "need": True})
    RUNNING[run] = {"owner": task["owner"], "wake": None}
    begun = os.path.join(box, f"{run}-{attempt}.begun")
    try:
        os.makedirs(box, exist_ok=True)
        open(begun, "wb").close()
        result.update(_run(task, attempt))
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return _encoded({**result, "not_run": f"{host} cannot prepare it: {why}"})
    else:
        if "not_run" not in result:
            _keep(kept, result)
        return _encoded(result)
    finally:
        _unlink(begun)
        RUNNING.pop(run, None)
        STOPPED.pop(run, None)


def _run(task: dict[str, Any], attempt: str) -> dict[str, Any]:
    data, command = _part(task["kit"], "worker_files"), _part(task["kit"], "worker_command")
    cache, commit = _part(task["kit"], "worker_cache"), task["commit"]
    path, lock, before = cache.take_tree(folder(), _store(commit), commit, _git, data.scan)
    links, faults = data.link_inputs(task["inputs"], path)
    if faults:
        cache.give_back(path, lock, data.restore(path, before))
        return {"not_run": f"{os.uname().nodename}: {', '.join(faults)}"}
    private = tempfile.mkdtemp(dir=folder(), prefix="trial-")
    try:
        guardian = _part(task["kit"], "guardian")
        settings = (_kit(task["kit"]), RUNNING, STOPPED, guardian, _sender(task, attempt))
        found: dict[str, Any] = command.run(task, path, private, *settings)
        now = data.scan(path)
        changed = sorted(p for p, mark in now.items() if mark and before.get(p) != mark)
        changed = [name for name in changed if name not in links]
        found.update(data.brought(task, path, private, changed))
        found["facts"] = _facts_of(task)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    cache.give_back(path, lock, data.restore(path, before, now))
    return found


def _keep(path: str, result: dict[str, Any]) -> None:
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


def _sender(task: dict[str, Any], attempt: str) -> Callable[[list[Any]], None] | None:
    """Return a function that sends what a trial prints while it runs."""
    if not task.get("topic"):
        return None
    worker = sys.modules["distributed"].get_worker()
    about = {"run": task["run"], "attempt": attempt}
    return lambda chunks: worker.log_event(task["topic"], {**about, "chunks": chunks})


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


async def unfinished(owner: str, run: str) -> list[str]:
    """Return the attempts at a trial whose worker died, as far as this machine knows."""
    with contextlib.suppress(OSError):
        names = os.listdir(os.path.join(folder(), "outbox", owner))
        return [name for name in names if name.startswith(run + "-")]
    return []


async def forget(owner: str, runs: list[str]) -> None:
    """Remove what is kept of runs that are recorded."""
    box = os.path.join(folder(), "outbox", owner)
    for name in os.listdir(box) if os.path.isdir(box) else ():
        if re.split("[-.]", name)[0] in runs:
            _unlink(os.path.join(box, name))


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
