"""Launcher of git: all plumbing and porcelain of gitexp goes through it.

There are two ways. Short plumbing commands with pipes start directly, because the import of
GitPython costs more than most commands take. Long porcelain commands, which use a network or a work
tree, start through GitPython: its time limit kills the whole process tree. Both use argument lists
without a shell, the C locale, and an environment without the variables of a surrounding hook.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from gitexp.core.errors import CommandFailed, GitexpError

LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
"""The variables of `git rev-parse --local-env-vars`, except the configuration of `git -c`."""

_PIPE_BYTES = 1 << 18
"""Buffer size: with small reads, listing thousands of records takes a tenth longer."""

_ALWAYS = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}

UNTRUSTED = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.protectNTFS=true",
    "-c",
    "core.protectHFS=true",
    "-c",
    "submodule.recurse=false",
    "-c",
    "protocol.ext.allow=never",
    # Git 2.54 reads hooks from the configuration. `core.hooksPath` does not turn them off, and
    # their command may be a file of the revision that is checked out.
    "-c",
    "hook.post-checkout.enabled=false",
    "-c",
    "hook.post-index-change.enabled=false",
    "-c",
    "hook.reference-transaction.enabled=false",
    "-c",
    "advice.detachedHead=false",
)
"""Options for commands that write recorded files into a work tree: git executes none of them."""


FSYNC = ("-c", "core.fsync=committed,loose-object,reference", "-c", "core.fsyncMethod=fsync")
"""Options of a durable git command. Git before 2.36 does not know them and does not sync."""


_LIMITED = 'trap "" XFSZ; ulimit -f "$0" && exec "$@"'
"""POSIX shell script; a limit set in this process would apply to all its threads."""
_BLOCK_BYTES = 512


class GitResult(NamedTuple):
    """Result of a git command that has ended."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become surrogates."""
        return self.stdout.decode(errors="surrogateescape")


class GitRunner(NamedTuple):
    """A launcher of git in one directory for one repository."""

    directory: Path
    variables: Mapping[str, str]
    """Set for every command: `GIT_DIR` and the other variables that fix the repository."""

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a git command."""
        env = {k: v for k, v in os.environ.items() if k not in LOCAL_VARIABLES}
        return {**env, **_ALWAYS, **self.variables, **(extra or {})}

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> GitResult:
        """Run plumbing to its end. Raises `CommandFailed` when `check` and the status is not 0."""
        source = subprocess.PIPE if stdin else subprocess.DEVNULL
        process = self.open(*args, env=env, stdin=source, stderr=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(stdin or None)
        except BaseException:
            process.terminate()  # not kill: git deletes its lock files on SIGTERM
            process.communicate()
            raise
        completed = GitResult(process.returncode, stdout, stderr.decode(errors="replace"))
        if check and completed.status != 0:
            raise CommandFailed(args, completed.status, completed.stderr)
        return completed

    def open(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
        stderr: IO[bytes] | int = subprocess.DEVNULL,
    ) -> "subprocess.Popen[bytes]":
        """Start plumbing with pipes on standard input and output. The caller ends the process."""
        with _translated_errors(args):
            return subprocess.Popen(
                ["git", *args],
                bufsize=_PIPE_BYTES,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.directory,
                env=self.environment(env),
            )

    def porcelain(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        max_file_bytes: int | None = None,
        check: bool = True,
    ) -> GitResult:
        """Run porcelain through GitPython; after `timeout_s`, kill it with its children.

        `max_file_bytes` limits each file that git writes. Beyond it the command fails, and
        git prints "File too large".

        Raises `CommandFailed` when `check` and the status is not 0. The status is negative after a
        timeout.
        """
        from git.cmd import Git as Launcher  # 80 ms, only when needed

        given = {**_ALWAYS, **self.variables, **(env or {})}
        foreign = [n for n in LOCAL_VARIABLES if n in os.environ and n not in given]
        unset = [word for name in foreign for word in ("-u", name)]
        argv = ["env", *unset, "git", *args] if unset else ["git", *args]
        if max_file_bytes is not None:
            argv = ["sh", "-c", _LIMITED, str(max(max_file_bytes // _BLOCK_BYTES, 1)), *argv]
        with _translated_errors(args):
            status, stdout, stderr = Launcher(str(self.directory)).execute(
                argv,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=timeout_s,
                env=given,
            )
        out = stdout if isinstance(stdout, bytes) else str(stdout).encode()
        completed = GitResult(int(status), out, str(stderr))
        if check and completed.status != 0:
            raise CommandFailed(args, completed.status, completed.stderr)
        return completed

    def run_shell(self, script: str, *args: str, stdin: bytes, env: Mapping[str, str]) -> GitResult:
        """Run a script of gitexp with the system's shell; the first of `args` is its `$0`."""
        with _translated_errors(args):
            done = subprocess.run(
                ["sh", "-c", script, *args],
                input=stdin,
                capture_output=True,
                cwd=self.directory,
                env={**self.environment(), **env},
                check=False,
            )
        return GitResult(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def detach(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        """Start a process of gitexp that outlives this one; append its output to `log`."""
        import threading

        with log.open("ab") as sink:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=self.directory,
                env={**self.environment(), **env},
                start_new_session=True,
            )
        # Reap it if it ends first; otherwise it stays a zombie until this process ends.
        threading.Thread(target=process.wait, daemon=True).start()


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Kill a read-only process. Closing its input is not enough: a fork may hold the pipe open."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()


class _translated_errors:  # noqa: N801 - read as `with _translated_errors(args)`
    """Convert a missing git or a missing directory into gitexp's errors."""

    def __init__(self, args: Sequence[str]) -> None:
        self.args = args

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError | ImportError):
            raise GitexpError(
                "cannot start git", why=str(error), hints=["install git and put it on PATH"]
            ) from error
        if isinstance(error, OSError | ValueError):
            raise CommandFailed(self.args, -1, str(error)) from error
