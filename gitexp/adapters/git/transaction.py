"""Writing a few objects as loose files, and one `git update-ref` that moves the refs.

Gives the same commits as `write` does with `git fast-import`.
"""

from collections.abc import Mapping, Sequence

from gitexp.adapters.git.code_commit import require_tree
from gitexp.adapters.git.fsync import sync_refs
from gitexp.adapters.git.loose_objects import LooseObjects, Tree
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
from gitexp.adapters.git.verify import read_headers
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId

_FEW = 32
"""Up to this number, a file for each object costs less than a `git fast-import` process."""


def _move_refs(*, durable: bool) -> tuple[str, ...]:
    return (*(FSYNC if durable else ()), "update-ref", "-m", "gitexp: record", "--stdin")


def is_small(repo: Repo, steps: Sequence[Step]) -> bool:
    """Return whether `write_few` may write the steps.

    In a shared repository git must set the files' permissions.
    """
    commits = [step for step in steps if isinstance(step, Commit)]
    codes = sum(isinstance(step, CodeCommit) for step in steps)
    return (
        len(commits) + codes + sum(len(step.files) for step in commits) <= _FEW
        and all(step.oid == repo.null for step in steps if isinstance(step, SetRef))
        and not any(path.startswith('"') for step in commits for path, _ in step.files)
        and repo.config().get("core.sharedrepository") in (None, "0", "false", "umask")
    )


def write_few(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """Write the steps and return the id of each commit. Raises as `write_stream`."""
    with repo.session():
        _require(repo, steps)
        commits = _Commits(repo)
        moves: list[dict[str, str]] = [{}]
        for step in steps:
            if isinstance(step, Commit):
                moves[-1][step.ref] = commits.add(step)
            elif isinstance(step, CodeCommit):
                commits.objects.add(commits.objects.make("commit", step.content))
            elif isinstance(step, Checkpoint):
                moves.append({})
        orders = [commits.move(refs) for refs in moves]
        orders[-1] += [f"verify {s.ref} {s.oid}" for s in steps if isinstance(s, Verify)]
        orders += [[f"delete {step.ref}"] for step in steps if isinstance(step, SetRef)]
        commits.objects.write(durable=durable)
        text = "".join(f"{line}\n" for order in orders for line in ("start", *order, "commit"))
        done = repo.git(*_move_refs(durable=durable), stdin=text.encode(), check=False)
        # Pins are deleted after the moves; a pin that git cannot delete does no harm.
        if done.stdout.count(b"commit: ok\n") < len(moves):
            raise read_refusal(done.status, done.stderr, by="update-ref")
    if durable:
        sync_refs(repo, (ref for refs in moves for ref in refs))
    return commits.made


def _require(repo: Repo, steps: Sequence[Step]) -> None:
    """Check that the blobs and trees that the steps name exist, as fast-import does."""
    contents = (content for step in steps if isinstance(step, Commit) for _, content in step.files)
    named = [content.oid for content in contents if isinstance(content, Blob)]
    for oid, header in read_headers(repo, named).items():
        if header is None or header.kind != "blob":
            raise CommandFailed(("update-ref",), 1, f"fatal: {oid} is no blob here")
    for step in steps:
        if isinstance(step, CodeCommit):
            require_tree(repo, step.tree)


class _Commits:
    """Commits of a stream, in order."""

    def __init__(self, repo: Repo) -> None:
        self.objects = LooseObjects(repo)
        self.made: list[ObjectId] = []
        self._null = repo.null
        self._tips: dict[str, str] = {}
        """Current tip of each ref that moves."""

    def add(self, step: Commit) -> ObjectId:
        """Build a commit. Raises `CommandFailed` on a damaged tree."""
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
        """Return the `update-ref` lines that move refs from their current tips."""
        orders = [f"update {ref} {new} {self._tips[ref]}" for ref, new in refs.items()]
        self._tips.update(refs)
        return orders
