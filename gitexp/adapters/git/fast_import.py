"""Git transactions through `git fast-import`: many objects, shared repositories, beside a gc.

Trees are edited by path, so the cost hardly grows with the branch. fast-import moves a ref only if
the new commit contains the old one; `transaction` checks before that no ref was set back.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from gitexp.adapters.git.code_commit import pack_commits, write_code_commit
from gitexp.adapters.git.fsync import directory_mtimes, fsync_directories
from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import (
    Barrier,
    Blob,
    CodeCommit,
    DropRef,
    MoveRef,
    NewCommit,
    Step,
    VerifyRef,
    read_refusal,
)
from gitexp.adapters.system import clock
from gitexp.core.model.ids import ObjectId

_LOOSE = ("-c", "fastimport.unpackLimit=100")
_PACKED = ("-c", "fastimport.unpackLimit=0")


def import_steps(
    repo: Repo, steps: Sequence[Step], *, durable: bool, packed: bool
) -> tuple[list[ObjectId], set[str]]:
    """Apply the steps. Return the commits' ids, and the names of the packs written for them.

    `packed` writes a pack whatever the number of objects. Raises as `transaction.apply`.
    """
    from tempfile import NamedTemporaryFile, TemporaryFile  # 3 ms, not needed for most records

    before = directory_mtimes(repo) if durable else {}
    _write_code(repo, steps, durable=durable, packed=packed)
    with TemporaryFile() as complaints, NamedTemporaryFile() as packs:
        process = repo.launcher.open(
            *(FSYNC if durable else ()),
            *(_PACKED if packed else _LOOSE),
            *("fast-import", "--quiet", "--done", "--date-format=raw"),
            f"--export-pack-edges={packs.name}",
            stderr=complaints,
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101
        marks = 0
        try:
            if packed:  # an extra object: an interrupted attempt may have used the pack's name
                process.stdin.write(b"blob\ndata <<.\n%b\n.\n" % clock.new_id().encode())
            for step in steps:
                marks += isinstance(step, NewCommit)
                process.stdin.writelines(_encode(step, marks, repo.null))
            process.stdin.writelines(b"get-mark :%d\n" % (n + 1) for n in range(marks))
            process.stdin.write(b"done\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # git ended early; its status and stderr say why
        finally:
            answer = process.stdout.read()
            process.stdout.close()
            status = process.wait()
        complaints.seek(0)
        stderr = complaints.read().decode(errors="replace")
        ours = {Path(line.partition(": ")[0]).name for line in _lines_of(Path(packs.name))}
    if status != 0:
        _remove_crash_report(repo, process.pid)
        raise read_refusal(status, stderr)
    if durable:
        fsync_directories(repo, before)
    return [ObjectId(line) for line in answer.decode().split()], ours


def _write_code(repo: Repo, steps: Iterable[Step], *, durable: bool, packed: bool) -> None:
    """Store the code commits of the steps: fast-import accepts only existing commits as parents."""
    codes = [
        write_code_commit(repo, step.tree, step.identity, durable=durable)
        for step in steps
        if isinstance(step, CodeCommit)
    ]
    if packed and codes:
        pack_commits(repo, codes)


def remove_orphans(repo: Repo) -> None:
    """Delete `.keep` files of packs that fast-import did not finish.

    The caller must hold the lock of gitexp's writers.
    """
    for keep in (repo.common_dir / "objects" / "pack").glob("*.keep"):
        with suppress(OSError):
            if not keep.with_suffix(".idx").exists() and keep.read_bytes() == b"fast-import":
                keep.unlink()


def _lines_of(file: Path) -> list[str]:
    return file.read_text(errors="surrogateescape").splitlines()


def _encode(step: Step, mark: int, null: str) -> Iterable[bytes]:
    if isinstance(step, VerifyRef | CodeCommit):
        return
    if isinstance(step, Barrier):
        yield b"checkpoint\n\n"
    elif isinstance(step, MoveRef):
        yield f"reset {step.ref}\nfrom {step.new}\n\n".encode()
    elif isinstance(step, DropRef):
        yield f"reset {step.ref}\nfrom {null}\n\n".encode()
    else:
        message = step.message.encode(errors="replace")
        who = step.signature
        yield f"commit {step.ref}\nmark :{mark}\nauthor {who}\ncommitter {who}\n".encode()
        yield b"data %d\n%s\n" % (len(message), message)
        for n, parent in enumerate(step.parents):
            yield f"{'merge' if n else 'from'} {parent}\n".encode()
        if step.clear:
            yield b"deleteall\n"
        for path, content in step.files:
            if content is None:
                yield f"D {path}\n".encode()
            elif isinstance(content, Blob):
                yield f"M 100644 {content.oid} {path}\n".encode()
            else:
                yield f"M 100644 inline {path}\ndata {len(content)}\n".encode()
                yield content
                yield b"\n"
        yield b"\n"


def _remove_crash_report(repo: Repo, pid: int) -> None:
    for folder in {repo.git_dir, repo.common_dir}:
        (folder / f"fast_import_crash_{pid}").unlink(missing_ok=True)
