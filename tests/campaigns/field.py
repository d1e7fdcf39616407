"""Base of every campaign: a repository under attack, and a separate list of acknowledged runs.

A campaign works while faults happen, and checks after each fault: does plain git still find every
acknowledged run, is the repository complete, and does the next ordinary command work?
"""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RepoBuilder

BRANCH = "refs/heads/gitexp"
KEEP = "refs/heads/gitexp-code"
VICTIMS = (
    *("update-index", "write-tree", "hash-object", "update-ref"),
    *("gitexp: record", "fast-import"),
)
"""git commands that write; others such as `cat-file` change nothing.

The first `update-ref` of a run pins its snapshot. The one that moves the branches is recognized by
its message for the reflog.
"""
EXP = (sys.executable, "-m", "gitexp")

TIMEOUT_S = 120.0
"""Time limit of a command in seconds, far above what any needs."""

_STARTED = re.compile(r"^run ([0-9a-f]{7}) .*?: ", re.MULTILINE)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def started(self) -> list[str]:
        """Short ids of the runs whose start it reported."""
        return _STARTED.findall(self.err)


@dataclass
class Field:
    """A repository under attack."""

    repo: RepoBuilder
    acknowledged: dict[str, float] = field(default_factory=dict)
    """Recorded runs by id, with their expected metric."""
    started: set[str] = field(default_factory=set)
    """Short ids of runs that must never vanish."""
    slowest_s: float = 0.0
    """Longest time of an ordinary command after a fault, in seconds."""
    cleared: int = 0
    """Number of locks that faults left behind."""

    @classmethod
    def of(cls, repo: RepoBuilder, victim: str) -> "Field":
        """True if records need `fast-import`: in a shared repository."""
        if victim == "fast-import":
            repo.git("config", "core.sharedRepository", "group")
        return cls(repo)

    @property
    def state(self) -> Path:
        """Directory of gitexp's local state."""
        return self.repo.path / ".git" / "gitexp"

    def exp(
        self,
        *args: str,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Done:
        """Run a `git exp` command in its own process."""
        began_s = time.monotonic()
        done = subprocess.run(
            [*prefix, *EXP, *args],
            cwd=cwd or self.repo.path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        seconds = time.monotonic() - began_s
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Done(done.returncode, out, err, seconds)

    def record(self, value: float, **kwargs: Any) -> Done:
        """Record a run; an acknowledged run must stay readable."""
        done = self.exp("record", "-q", "-M", f"value={value}", **kwargs)
        if done.status == 0:
            self.acknowledged[done.out.strip()] = value
        self.started.update(done.started)
        return done

    def run(self, value: float, **kwargs: Any) -> Done:
        """Run changed code that prints a metric."""
        self.repo.write("train.py", f"# attempt {value}\n")
        done = self.exp("run", "--", "sh", "-c", f"echo METRIC value={value}", **kwargs)
        self.started.update(done.started)
        return done

    # --- checking -------------------------------------------------------------------------------

    def next_command_works(self) -> list[str]:
        """Run one ordinary command, which must recover without options. Return the ids it lists."""
        self.let_locks_age()
        listed = self.exp("list", "--name-only")
        self.slowest_s = max(self.slowest_s, listed.seconds)
        assert listed.status == 0, listed.err
        ids = listed.out.split()
        assert not {run for run in self.acknowledged if run not in ids}, "acknowledged, now lost"
        shown = {run[:7] for run in ids}
        assert self.started <= shown, f"started, now gone: {self.started - shown}\n{listed.err}"
        assert not list((self.state / "journal").glob("*.journal")), listed.err
        return ids

    def let_locks_age(self) -> None:
        """Age all locks by half a minute, so that stale ones are recognized."""
        for lock in (self.repo.path / ".git").rglob("*.lock"):
            self.cleared += 1
            make_old(lock, 30)

    def check(self) -> dict[str, dict[str, Any]]:
        """Check that the repository is complete and has every acknowledged run.

        Return all records.
        """
        self.check_whole()
        records = read_records(self.repo)
        for run, value in self.acknowledged.items():
            assert run in records, f"run {run} was acknowledged and is lost"
            assert records[run]["metrics"]["value"] == value
        return records

    def check_whole(self) -> None:
        """Check that `git fsck` reports nothing."""
        done = subprocess.run(
            ["git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"],
            cwd=self.repo.path,
            capture_output=True,
            text=True,
            check=False,
        )
        complaints = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if "unborn" not in line and not line.startswith("notice")
        ]
        assert done.returncode == 0 and not complaints, "\n".join(complaints[:10])


def read_records(repo: RepoBuilder) -> dict[str, dict[str, Any]]:
    """Return every record on the branch by run id, read by plain git."""
    if not repo.git("for-each-ref", BRANCH):
        return {}
    entries = repo.git("ls-tree", "-r", BRANCH, "--", "runs").splitlines()
    oids = [entry.split()[2] for entry in entries]
    answer = subprocess.run(
        ["git", "cat-file", "--batch"],
        cwd=repo.path,
        input="\n".join(oids).encode(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    records = {}
    while answer:
        head, _, rest = answer.partition(b"\n")
        size = int(head.split()[2])
        record = tomllib.loads(rest[:size].decode())
        records[record["id"]] = record
        answer = rest[size + 1 :]
    return records


def make_old(path: Path, age_s: float) -> None:
    """Set the age of a file."""
    then = time.time() - age_s
    os.utime(path, (then, then), follow_symlinks=False)


@contextmanager
def holding(path: Path) -> Iterator[int]:
    """Start a process that has the lock file open, like a git stopped in the middle."""
    code = "import sys; f = open(sys.argv[1], 'x'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()
    path.unlink(missing_ok=True)


# --- faults by strace -----------------------------------------------------------------------------

CHANGING = (
    "write,pwrite64,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "fsync,fdatasync,ftruncate,flock,fcntl,utimensat,vfork,clone,clone3,wait4,exit_group"
)
"""Calls that change what the next command finds."""

STORING = (
    "write,pwrite64,link,linkat,rename,renameat,renameat2,mkdir,mkdirat,fsync,openat,ftruncate"
)
"""Calls that a failing disk can make fail."""


def require_strace() -> None:
    """Skip the test without strace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run(
        ["strace", "-f", "-qq", "-o", os.devnull, "true"],
        capture_output=True,
        check=False,
    )
    if probe.returncode != 0:
        pytest.skip("strace may not trace here")


def require_root(why: str) -> None:
    """Skip the test if mounting is impossible."""
    if os.geteuid() != 0:
        pytest.skip(f"only root may {why}")


@dataclass(frozen=True)
class Injection:
    """Fault at the n-th of some system calls of one program."""

    victim: str
    """Word that identifies the git command, or `python` for gitexp's own process."""
    calls: str
    effect: str = ""
    """Fault in strace's syntax: `signal=SIGKILL`, `error=ENOSPC`; empty only counts calls."""
    n: int = 1
    lasting: bool = False
    """True if all later calls fail too, not only one."""
    children: bool = False

    def options(self, log: Path) -> list[str]:
        """Return the strace command of the injection."""
        when = f"{self.n}+" if self.lasting else str(self.n)
        follow = ["-f"] if self.children else []
        what = ["-e", f"inject={self.calls}:{self.effect}:when={when}"] if self.effect else []
        return ["strace", *follow, "-qq", "-o", str(log), "-e", f"trace={self.calls}", *what]


@dataclass(frozen=True)
class Fired:
    """Prefix and environment that run a command under an injection."""

    log: Path
    prefix: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def happened(self) -> bool:
        """Return whether the program reached the n-th call."""
        text = self.log.read_text(errors="replace")
        return "killed by SIGKILL" in text or "(INJECTED)" in text


@contextmanager
def injected(injection: Injection, folder: Path) -> Iterator[Fired]:
    """Yield the arguments for `Field.exp` that inject the fault, and report if it happened."""
    log = folder / "strace.log"
    log.write_text("")
    if injection.victim == "python":
        yield Fired(log, prefix=injection.options(log))
        return
    shim = folder / "shim"
    shim.mkdir(exist_ok=True)
    git = shutil.which("git")
    options = " ".join(f"'{word}'" for word in injection.options(log))
    (shim / "git").write_text(
        "#!/bin/sh\n"
        f'for word; do if [ "$word" = "{injection.victim}" ] && [ ! -s "{log}" ]; then\n'
        f'exec {options} {git} "$@"\n'
        "fi; done\n"
        f'exec {git} "$@"\n'
    )
    (shim / "git").chmod(0o755)
    yield Fired(log, env={"PATH": f"{shim}{os.pathsep}{os.environ['PATH']}"})


def find_points(
    injection: Injection, folder: Path, deed: Callable[[Fired], object]
) -> list[Injection]:
    """Return every point for a fault: each call of the program by kind and number.

    Runs the operation once without a fault.
    """
    with injected(replace(injection, effect=""), folder) as watched:
        deed(watched)
    counts: dict[str, dict[str, int]] = {}
    for line in watched.log.read_text(errors="replace").splitlines():
        if found := re.match(r"(?:(\d+) +)?(\w+)\(", line):
            process, name = found[1] or "", found[2]
            of_process = counts.setdefault(name, {})
            of_process[process] = of_process.get(process, 0) + 1
    return [
        replace(injection, calls=name, n=n)
        for name, of_process in sorted(counts.items())
        for n in range(1, max(of_process.values()) + 1)
    ]
