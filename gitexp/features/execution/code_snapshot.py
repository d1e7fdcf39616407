"""Take a snapshot of the code of a run, and pin it.

A `git gc` can delete the objects before a ref holds them; gitexp then takes the snapshot again.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.git.worktree import (
    Snapshot,
    SnapshotRules,
    is_complete,
    take_snapshot,
    was_collected,
)
from gitexp.adapters.system.output_files import output_files
from gitexp.core.analysis.fingerprint import (
    WRITTEN_BY_TOOLS,
    counts_as_code,
    path_matcher,
)
from gitexp.core.errors import CommandFailed, GitexpError, Refused
from gitexp.core.inputs.credentials import SCANNED_BYTES, secret_content, secret_name
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.run import Code, Command, Run
from gitexp.core.schema.layout import code_ref, pending_ref, run_ref
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.execution.code_digest import digest_of, excluded
from gitexp.features.execution.outside_files import (
    Outside,
    hash_outside,
    model_file_rule,
    named_few,
)
from gitexp.features.execution.own_output import own_output
from gitexp.storage.cache.sql import program
from gitexp.storage.workspace import Workspace

_SNAPSHOT_TRIES = 5

MUCH_BYTES: Final = 5 << 20
"""Bytes of untracked files in a snapshot above which gitexp warns."""

_NAMED: Final = 5
"""Most files that a note names."""


class Observed(NamedTuple):
    """The code of a run that is about to start."""

    code: Code
    sinks: tuple[str, ...]
    """Changed files that gitexp's own output is redirected to."""
    notes: tuple[str, ...]
    """Notes for the user about the snapshot, one sentence each."""


def observe_code(
    workspace: Workspace,
    command: Command | None,
    written: Sequence[str],
) -> Observed:
    """Take a snapshot of the current code and hash the part that counts.

    Also returns the paths of the snapshot to which gitexp's own output is redirected.

    Raises `Refused` while the run branch is checked out, `NoCommit` without any commit.
    """
    for _ in range(_SNAPSHOT_TRIES):
        try:
            return _code_of(workspace, _snapshot(workspace), command, written)
        except CommandFailed as failure:
            if not was_collected(failure):
                raise
    return _code_of(workspace, _snapshot(workspace), command, written)


def _code_of(
    workspace: Workspace, snapshot: Snapshot, command: Command | None, written: Sequence[str]
) -> Observed:
    settings, repo = workspace.settings, workspace.repo
    if f"refs/heads/{snapshot.branch}" in (run_ref(settings.branch), code_ref(settings.branch)):
        raise Refused(
            "cannot record here",
            why=f"branch '{snapshot.branch}' is checked out, and each record would change it",
            hints=["`git switch -` goes back to your code"],
        )
    sinks = _sinks(repo.top, (*snapshot.tracked, *snapshot.untracked))
    by_tools = path_matcher(WRITTEN_BY_TOOLS)
    produced = {*written, *sinks, *filter(by_tools, snapshot.untracked), *own_output(repo)}
    if command is not None:
        produced |= workspace.index.produced_by(program(command))
    url = repo.config().get(f"remote.{settings.remote or 'origin'}.url")
    outside = Outside({}, ())
    if snapshot.left_out:
        rules = counts_as_code(
            include=settings.code_include, exclude=excluded(workspace), produced=produced
        )
        outside = hash_outside(workspace, snapshot.left_out, rules)
    code = Code(
        commit=snapshot.commit,
        tree=snapshot.tree,
        dirty=snapshot.snapshot is not None,
        snapshot=snapshot.snapshot or workspace.branch.code_commit(snapshot.tree),
        digest=digest_of(workspace, snapshot.tree, produced),
        branch=snapshot.branch,
        remote=None if url is None else redact_text(url),
        left_out=named_few(snapshot.left_out),
        hashed=outside.hashed,
        unhashed=outside.unhashed,
    )
    return Observed(code, sinks, (*_notes_left_out(snapshot, outside), *_notes_taken(snapshot)))


def _notes_left_out(snapshot: Snapshot, outside: Outside) -> list[str]:
    notes = [f"not in the snapshot: {item}" for item in snapshot.left_out[:_NAMED]]
    more = len(snapshot.left_out) - _NAMED
    if more > 0:
        notes.append(f"not in the snapshot: {more:,} more; `git exp show` lists them")
    if outside.unhashed:
        named = ", ".join(outside.unhashed[:_NAMED])
        notes.append(
            f"cannot tell whether this trial is a repeat: the content of {named} is not known"
        )
    return notes


def _notes_taken(snapshot: Snapshot) -> list[str]:
    total_bytes = sum(size for _, size in snapshot.taken)
    if total_bytes <= MUCH_BYTES:
        return []
    largest = sorted(snapshot.taken, key=lambda item: -item[1])[:3]
    named = ", ".join(f"{path} ({size / 1e6:.1f} MB)" for path, size in largest)
    return [
        f"the snapshot takes in {total_bytes / 1e6:.1f} MB of untracked files, most in {named};"
        " `.gitignore` or the setting `snapshot-include` (`!*.csv`) keeps them out"
    ]


def _sinks(top: Path | None, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the changed files to which our output is redirected: `> log.txt`, `| tee log.txt`."""
    if top is None or not paths or not (files := output_files()):
        return ()
    found = []
    for path in paths:
        with suppress(OSError):
            state = (top / path).stat()
            if (state.st_dev, state.st_ino) in files:
                found.append(path)
    return tuple(found)


def pin(workspace: Workspace, run: Run) -> Run:
    """Pin the snapshot with a ref and verify that no gc removed its objects.

    Returns the run, with a new snapshot if a gc removed the first. Raises `GitexpError` when a gc
    removes every snapshot taken, or when the files have changed since the run was prepared. Raises
    `InvalidInput`, before it pins anything, when no record can hold the run.
    """
    if not run.code.dirty:
        return run
    encode_run(run)
    for _ in range(_SNAPSHOT_TRIES):
        if (
            not run.code.dirty
            or run.code.snapshot is None
            or _is_pinned(workspace, run, run.code.snapshot)
        ):
            return run  # a new snapshot may equal the commit
        taken = _snapshot(workspace)
        if (taken.commit, taken.tree) != (run.code.commit, run.code.tree):
            raise GitexpError(
                "cannot keep a snapshot of the code",
                why="the files changed while gitexp prepared the run, and `git gc` removed the"
                " first snapshot",
                hints=["run it again"],
            )
        code = replace(
            run.code,
            dirty=taken.snapshot is not None,
            snapshot=taken.snapshot or workspace.branch.code_commit(taken.tree),
        )
        run = replace(run, code=code)
    raise GitexpError(
        "cannot keep a snapshot of the code",
        why="git removes objects while gitexp writes them",
        hints=["is `git gc --prune=now` running in a loop?"],
    )


def _is_pinned(workspace: Workspace, run: Run, snapshot: str) -> bool:
    """Pin a snapshot. Return False if any of its objects is missing."""
    repo, ref = workspace.repo, pending_ref(run.id)
    durable = workspace.settings.durable
    try:
        repo.update_ref(ref, snapshot, repo.null, "gitexp: pin a snapshot", durable=durable)
    except CommandFailed as failure:
        if not was_collected(failure):
            raise
        return False
    if is_complete(repo, snapshot, run.code.commit):
        return True
    repo.update_ref(ref, repo.null, snapshot, "gitexp: lost objects")
    return False


def _snapshot(workspace: Workspace) -> Snapshot:
    settings = workspace.settings
    rules = SnapshotRules(
        settings.max_file_size,
        settings.max_snapshot_size,
        _secret,
        model_file_rule(settings.snapshot_include),
    )
    identity = workspace.branch.code_identity()
    return take_snapshot(workspace.repo, rules, identity=identity, durable=settings.durable)


def _secret(file: Path, path: str) -> str | None:
    reason = secret_name(path)
    if reason is None and file.is_file() and not file.is_symlink():
        with file.open("rb") as content:
            reason = secret_content(content.read(SCANNED_BYTES))
    return reason
