"""Writing blobs, trees, commits and refs as one stream of steps.

A few objects are written as loose objects, and `git update-ref` moves the refs. Many objects, and
all objects during a gc, go through one `git fast-import`. Trees are edited by path, so the cost
hardly grows with the branch. A ref moves only if its new commit contains the old tip, which is the
compare-and-swap: a writer that started from a stale tip gets a conflict, and none of its changes
become visible. A durable stream flushes objects, refs and directories (`docs/reliability.md`).
"""

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from gitexp.adapters.git.code_commit import code_commit_id, pack_commits, write_code_commit
from gitexp.adapters.git.fsync import folder_times, sync_folders
from gitexp.adapters.git.gc import await_gc, is_collecting
from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import (
    Blob,
    Checkpoint,
    CodeCommit,
    Commit,
    SetRef,
    Step,
    Verify,
    read_refusal,
)
from gitexp.adapters.git.transaction import is_small, write_few
from gitexp.adapters.git.verify import read_headers
from gitexp.adapters.system import clock
from gitexp.core.errors import CommandFailed, Conflict
from gitexp.core.model.ids import ObjectId

_LOOSE = ("-c", "fastimport.unpackLimit=100")
_PACKED = ("-c", "fastimport.unpackLimit=0")


def write_stream(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """Write all steps and return the id of each commit, in order.

    During a gc, write a pack. A gc may remove loose objects that no ref held when it began to look,
    but it removes no pack that was written later.

    Raises `Conflict` when a ref does not point where the stream expects, or another process locks
    it; the refs of later steps are then unchanged. Raises `CommandFailed` when git cannot write
    (disk full, read-only, …).
    """
    before = _traces_of_gc(repo)
    collecting, small = is_collecting(repo), is_small(repo, steps)
    if collecting or not small:
        _verify(repo, steps)
    if not collecting:
        try:
            ours = set[str]()
            if small:
                commits = write_few(repo, steps, durable=durable)
            else:
                commits, ours = _write_once(repo, steps, durable=durable, packed=False)
        except CommandFailed as failure:
            if not _was_taken(failure):
                raise
        else:
            if not is_collecting(repo) and before == _traces_of_gc(repo, without=ours):
                return commits  # else a gc began, or ran from start to end, during the write
    return _write_packed(repo, steps, durable=durable)


def _write_packed(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """Write packs as `write_stream` does during a gc, until the gc has removed nothing of them."""
    for _ in range(_TRIES):
        try:
            commits, _ = _write_once(repo, steps, durable=durable, packed=True)
        except CommandFailed as failure:
            if not _was_taken(failure):
                raise
            _remove_orphans(repo)
            clock.sleep(clock.jitter(0.05))
        else:
            await_gc(repo)
            if _is_whole(repo, steps, commits):
                return commits
    return _write_once(repo, steps, durable=durable, packed=True)[0]


def _is_whole(repo: Repo, steps: Sequence[Step], commits: Sequence[ObjectId]) -> bool:
    """Return whether every object of the stream exists."""
    codes = [step for step in steps if isinstance(step, CodeCommit)]
    made = {code_commit_id(repo, code.tree, code.identity) for code in codes}
    if None in read_headers(repo, made).values():
        return False
    written = [step for step in steps if isinstance(step, Commit)]
    for step, commit in zip(written, commits, strict=True):
        known = [f"^{step.parents[0]}"] if step.parents and not step.clear else []
        known = [f"^{commits[int(old[2:]) - 1]}" if old[1] == ":" else old for old in known]
        walk = ("--no-walk",) if step.clear else ()
        asked = ("rev-list", "--objects", "--quiet", *walk, commit, *known)
        if repo.git(*asked, check=False).status != 0:
            return False
    return True


def _was_taken(failure: CommandFailed) -> bool:
    """Return whether a gc removed the file being written or the pack being read."""
    return any(word in failure.stderr for word in _TAKEN)


_TRIES = 8

_TAKEN = (
    *("nonexistent object", "No such file or directory"),
    *("cannot store pack", "cannot store index", "cannot create keep file", "cannot reopen"),
    *("is missing commits", "Not a valid commit", "Not a valid object", "unable to read tree"),
)


def _remove_orphans(repo: Repo) -> None:
    """Delete `.keep` files of packs that fast-import did not finish.

    The caller must hold the lock of gitexp's writers.
    """
    for keep in (repo.common_dir / "objects" / "pack").glob("*.keep"):
        with suppress(OSError):
            if not keep.with_suffix(".idx").exists() and keep.read_bytes() == b"fast-import":
                keep.unlink()


def _traces_of_gc(repo: Repo, *, without: Collection[str] = ()) -> tuple[object, ...]:
    """Return the state of packed refs and packs, which every gc changes before it removes anything.

    `without` names the packs of a large stream of our own.
    """
    try:
        found = (repo.common_dir / "packed-refs").stat()
        refs = (found.st_ino, found.st_mtime_ns, found.st_size)
    except FileNotFoundError:
        refs = (0, 0, 0)
    try:
        names = os.listdir(repo.common_dir / "objects" / "pack")  # noqa: PTH208 - of every record
    except FileNotFoundError:
        names = []
    return (*refs, *sorted(n for n in names if n.endswith(".pack") and n not in without))


def _write_once(
    repo: Repo, steps: Sequence[Step], *, durable: bool, packed: bool
) -> tuple[list[ObjectId], set[str]]:
    """Write the steps with fast-import. Return the commits' ids and the names of the new packs."""
    from tempfile import NamedTemporaryFile, TemporaryFile  # 3 ms, not needed for most records

    before = folder_times(repo) if durable else {}
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
                marks += isinstance(step, Commit)
                process.stdin.writelines(_encode(step, marks))
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
        sync_folders(repo, before)
    return [ObjectId(line) for line in answer.decode().split()], ours


def _write_code(repo: Repo, steps: Iterable[Step], *, durable: bool, packed: bool) -> None:
    """Store the stream's code commits: fast-import accepts only existing commits as parents."""
    codes = [
        write_code_commit(repo, step.tree, step.identity, durable=durable)
        for step in steps
        if isinstance(step, CodeCommit)
    ]
    if packed and codes:
        pack_commits(repo, codes)


def _verify(repo: Repo, steps: Iterable[Step]) -> None:
    """Check that no ref was set back, right before `git fast-import`, which does not check it."""
    places: dict[str, str | None] = {}
    for step in steps:
        if isinstance(step, Commit | Verify):
            places.setdefault(step.ref, step.tip if isinstance(step, Commit) else step.oid)
    for ref, oid in places.items():
        if repo.read_ref(ref) != oid:
            raise Conflict(f"'{ref}' has moved", why="another process moved it first")


def _lines_of(file: Path) -> list[str]:
    return file.read_text(errors="surrogateescape").splitlines()


def _encode(step: Step, mark: int) -> Iterable[bytes]:
    if isinstance(step, Verify | CodeCommit):
        return
    if isinstance(step, Checkpoint):
        yield b"checkpoint\n\n"
    elif isinstance(step, SetRef):
        yield f"reset {step.ref}\nfrom {step.oid}\n\n".encode()
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
