"""Writing: blobs, trees, commits and refs in one go.

Floor 2. Few objects are written as loose ones and `git update-ref` moves the refs; many, and all
beside a gc, go through one `git fast-import`. Trees are edited by path, so the cost hardly grows
with the branch. A ref moves only when its new commit contains the old tip, which is the
compare-and-swap: whoever built on a stale tip is refused and nothing of theirs becomes visible.
Durable streams leave synced objects, refs and folders behind (`docs/reliability.md`).
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from gitexp.errors import CommandFailed, Conflict
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.repo.collection import await_gc, is_collecting
from gitexp.repo.durability import folder_times, sync_folders, sync_refs
from gitexp.repo.launch import FSYNC
from gitexp.repo.loose import LooseObjects, Tree
from gitexp.repo.objects import read_headers
from gitexp.repo.repository import Repo

_LOOSE = ("-c", "fastimport.unpackLimit=100")
_PACKED = ("-c", "fastimport.unpackLimit=0")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file's content that is already stored."""

    oid: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit to write onto a ref."""

    ref: str
    message: str
    identity: Identity
    moment: datetime
    parents: Sequence[str]
    """Ids, or `:n` for the n-th commit of the same stream; empty for a first commit."""
    files: Sequence[tuple[str, bytes | Blob | None]] = ()
    """Path and content, or a stored blob, or `None` to delete."""
    clear: bool = False
    """Start from the empty tree instead of the first parent's."""
    tip: str | None = field(kw_only=True)
    """Where the ref is before the stream, `None` when it is not there."""

    @property
    def signature(self) -> str:
        """Who and when as git writes it, which knows nothing before its epoch."""
        return f"{self.identity} {max(int(self.moment.timestamp()), 0)} +0000"


@dataclass(frozen=True, slots=True)
class SetRef:
    """Point a ref of ours at a commit; the null id deletes it."""

    ref: str
    oid: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Make everything before it visible before anything after it."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Nothing after the last checkpoint counts unless a ref is there still."""

    ref: str
    oid: str


Step: TypeAlias = Commit | SetRef | Checkpoint | Verify


def write_stream(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """Write all steps and return the id of each commit, in order.

    Beside a running gc they are written as a pack: it may remove loose objects that no ref held
    when it began to look, but not a pack that came later.

    Raises `Conflict` when a ref no longer is where the stream assumed, or is locked by another
    process; then the refs of later steps have not moved. Raises `CommandFailed` when git cannot
    write (disk full, read-only, …).
    """
    before = _traces_of_gc(repo)
    collecting, small = is_collecting(repo), _is_small(repo, steps)
    if collecting or not small:
        _verify(repo, steps)
    if not collecting:
        try:
            if small:
                commits, ours = _write_loose(repo, steps, durable=durable), set[str]()
            else:
                commits, ours = _write_once(repo, steps, durable=durable, packed=False)
        except CommandFailed as failure:
            if not _was_taken(failure):
                raise
        else:
            if not is_collecting(repo) and before == _traces_of_gc(repo, without=ours):
                return commits  # else one began meanwhile, or came and went
    return _write_packed(repo, steps, durable=durable)


def _write_packed(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """As `write_stream` beside a gc: until it has taken nothing of what was written."""
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
    """Tell whether all of what was written is there."""
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
    """Whether a gc removed the file that was being written, or the pack that was being read."""
    return any(word in failure.stderr for word in _TAKEN)


_TRIES = 8

_TAKEN = (
    *("nonexistent object", "No such file or directory"),
    *("cannot store pack", "cannot store index", "cannot create keep file", "cannot reopen"),
    *("is missing commits", "Not a valid commit", "Not a valid object", "unable to read tree"),
)


def _remove_orphans(repo: Repo) -> None:
    """Drop the marks that fast-import left of packs that never came.

    Only for the holder of the lock that our writers queue on.
    """
    for keep in (repo.common_dir / "objects" / "pack").glob("*.keep"):
        with suppress(OSError):
            if not keep.with_suffix(".idx").exists() and keep.read_bytes() == b"fast-import":
                keep.unlink()


def _traces_of_gc(repo: Repo, *, without: Collection[str] = ()) -> tuple[object, ...]:
    """What every gc changes before it removes anything: where refs and objects are packed.

    `without` names packs that a large stream of our own has left.
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
    """The ids of the commits, and the names of the packs that were made for them."""
    from tempfile import NamedTemporaryFile, TemporaryFile  # noqa: PLC0415 - 3 ms few records pay

    before = folder_times(repo) if durable else {}
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
            if packed:  # one object more, or a try that was cut off has taken the pack's name
                process.stdin.write(b"blob\ndata <<.\n%b\n.\n" % clock.new_id().encode())
            for step in steps:
                marks += isinstance(step, Commit)
                process.stdin.writelines(_encode(step, marks))
            process.stdin.writelines(b"get-mark :%d\n" % (n + 1) for n in range(marks))
            process.stdin.write(b"done\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # git gave up; its status and complaint say why
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


def _verify(repo: Repo, steps: Iterable[Step]) -> None:
    """What `git fast-import` does not look at, a moment before it: a ref that was set back."""
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
    if isinstance(step, Verify):
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


def read_refusal(status: int, stderr: str, *, by: str = "fast-import") -> CommandFailed | Conflict:
    """The one place that reads what git says of refs; the locale is pinned to C."""
    moved = "does not contain" in stderr or "Not updating" in stderr
    locked = ("Unable to create" in stderr and "File exists" in stderr) or (
        "cannot lock ref" in stderr
        and re.search(r"but expected|already exists|unable to resolve reference '[^']*'$", stderr)
    )
    if moved or locked:
        lines = [line for line in stderr.splitlines() if line.strip()]
        return Conflict(
            "cannot move the run branch",
            why="another process moved it first" if moved else lines[0],
        )
    fatal = next((line for line in stderr.splitlines() if "fatal:" in line), stderr)
    in_the_way = re.search(r"'refs/heads/(\S+)' exists; cannot create", stderr)
    hints = in_the_way and [
        f"`git branch -m {in_the_way[1]} NAME` renames the branch that is in the way",
        "`git config exp.branch NAME` puts the runs elsewhere",
    ]
    return CommandFailed((by,), status, fatal, hints=hints or ())


def _remove_crash_report(repo: Repo, pid: int) -> None:
    for folder in {repo.git_dir, repo.common_dir}:
        (folder / f"fast_import_crash_{pid}").unlink(missing_ok=True)


# --- few objects ----------------------------------------------------------------------------------

_FEW = 32
"""Up to here a file for each object costs less than starting `git fast-import`."""


def _is_small(repo: Repo, steps: Sequence[Step]) -> bool:
    """Tell whether we may write the objects: a shared repository's permissions are git's matter."""
    commits = [step for step in steps if isinstance(step, Commit)]
    return (
        len(commits) + sum(len(step.files) for step in commits) <= _FEW
        and all(step.oid == repo.null for step in steps if isinstance(step, SetRef))
        and not any(path.startswith('"') for step in commits for path, _ in step.files)
        and repo.config().get("core.sharedrepository") in (None, "0", "false", "umask")
    )


def _write_loose(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """As `_write_once`; nothing is started but what moves the refs."""
    argv = (*(FSYNC if durable else ()), "update-ref", "-m", "gitexp: record", "--stdin")
    # Git starts while we write.
    with repo.reading(), repo.launcher.begin(*argv, fed=True) as moving:
        _require(repo, steps)
        commits = _Commits(repo)
        moves: list[dict[str, str]] = [{}]
        for step in steps:
            if isinstance(step, Commit):
                moves[-1][step.ref] = commits.add(step)
            elif isinstance(step, Checkpoint):
                moves.append({})
        orders = [commits.move(refs) for refs in moves]
        orders[-1] += [f"verify {s.ref} {s.oid}" for s in steps if isinstance(s, Verify)]
        orders += [[f"delete {step.ref}"] for step in steps if isinstance(step, SetRef)]
        commits.objects.write(durable=durable)
        text = "".join(f"{line}\n" for order in orders for line in ("start", *order, "commit"))
        done = moving.finish(text.encode(), check=False)
    if done.text.count("commit: ok") < len(moves):  # a ref that could not be deleted may stay
        raise read_refusal(done.status, done.stderr, by="update-ref")
    if durable:
        sync_refs(repo, (ref for refs in moves for ref in refs))
    return commits.made


def _require(repo: Repo, steps: Sequence[Step]) -> None:
    """Make sure that what is stored already is there, as fast-import does."""
    contents = (content for step in steps if isinstance(step, Commit) for _, content in step.files)
    named = [content.oid for content in contents if isinstance(content, Blob)]
    for oid, header in read_headers(repo, named).items():
        if header is None or header.kind != "blob":
            raise CommandFailed(("update-ref",), 1, f"fatal: {oid} is no blob here")


class _Commits:
    """Commits that are being made."""

    def __init__(self, repo: Repo) -> None:
        self.objects = LooseObjects(repo)
        self.made: list[ObjectId] = []
        self._null = repo.null
        self._tips: dict[str, str] = {}
        """Where the refs are that move."""

    def add(self, step: Commit) -> ObjectId:
        """Make a commit. Raises `CommandFailed` on a broken tree."""
        parents = [self.made[int(p[1:]) - 1] if p[0] == ":" else p for p in step.parents]
        self._tips.setdefault(step.ref, step.tip or self._null)
        top = Tree(self.objects, None if step.clear or not parents else parents[0])
        for path, content in step.files:
            if isinstance(content, bytes):
                blob = self.objects.make("blob", content)
                if top.put(path, blob.oid) or not self.objects.has(blob):
                    self.objects.add(blob)
            else:
                top.put(path, None if content is None else content.oid)
        tree = top.save() or top.store()
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        who = [f"author {step.signature}", f"committer {step.signature}"]
        head = "\n".join([*lines, *who, "", step.message])
        made = self.objects.make("commit", head.encode(errors="replace"))
        self.made.append(self.objects.add(made))
        return self.made[-1]

    def move(self, refs: Mapping[str, str]) -> list[str]:
        """What tells git to move refs, in one transaction, from where they are."""
        orders = [f"update {ref} {new} {self._tips[ref]}" for ref, new in refs.items()]
        self._tips.update(refs)
        return orders
