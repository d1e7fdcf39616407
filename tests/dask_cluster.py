"""A real Dask cluster for tests: scheduler and workers as processes, each in a directory and a home
of its own, with nothing of gitexp on their path."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 120.0


@dataclass
class Cluster:
    """A scheduler and its workers."""

    folder: Path
    port: int = 0
    scheduler: "subprocess.Popen[bytes] | None" = None
    workers: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def address(self) -> str:
        """What goes after `--executor`."""
        return f"dask://127.0.0.1:{self.port}"

    def start(self, *workers: str, nanny: bool = False) -> "Cluster":
        """Start the scheduler, then workers; returns when all have connected."""
        self.start_scheduler()
        for name in workers:
            self.start_worker(name, nanny=nanny)
        for name in workers:
            self.await_line(name, b"Registered to:")
        return self

    def start_scheduler(self) -> None:
        """Start the scheduler, on the port that it had if it ran before."""
        words = ("dask", "scheduler", "--host", "127.0.0.1", "--no-dashboard")
        self.scheduler = self._popen("scheduler", *words, "--port", str(self.port))
        line = self.await_line("scheduler", rb"Scheduler at: +tcp://127.0.0.1:(\d+)")
        self.port = int(line.group(1))

    def start_worker(
        self, name: str, *, nanny: bool = False, path: str | None = None, **env: str
    ) -> None:
        """Start a worker; with `nanny`, one that starts again when it is killed."""
        words = ("dask", "worker", f"tcp://127.0.0.1:{self.port}", "--nthreads", "1")
        more = ("--no-dashboard", "--name", name, "--local-directory", "scratch")
        keeper = "--nanny" if nanny else "--no-nanny"
        self.workers[name] = self._popen(name, *words, *more, keeper, path=path, **env)

    def home(self, name: str) -> Path:
        """The directory and home of a worker."""
        return self.folder / name

    def _popen(
        self, name: str, *argv: str, path: str | None = None, **more: str
    ) -> "subprocess.Popen[bytes]":
        home = self.home(name)
        blocked = home / "blocked"
        blocked.mkdir(parents=True, exist_ok=True)
        (blocked / "gitexp.py").write_text("raise ImportError('workers have no gitexp')")
        tools = Path(sys.executable).parent
        env = {
            "HOME": str(home),
            "PATH": path or "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(blocked),
            "GITEXP_DATA": str(home / "data"),
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
            **more,
        }
        with (home / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, str(tools / argv[0]), *argv[1:]],
                cwd=home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_line(self, name: str, pattern: bytes) -> "re.Match[bytes]":
        """Wait until a process has printed something."""
        end = time.monotonic() + PATIENCE_S
        while True:
            text = (self.home(name) / "log").read_bytes()
            found = re.search(pattern, text)
            if found is not None:
                return found
            assert time.monotonic() < end, f"{name}: {text.decode(errors='replace')}"
            time.sleep(0.05)

    def close(self) -> None:
        """Kill everything."""
        for process in (*self.workers.values(), self.scheduler):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
