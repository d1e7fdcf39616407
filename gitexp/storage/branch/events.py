"""Events of a run, each with the files and the message of its commit."""

import json
from collections.abc import Sequence
from functools import lru_cache

from gitexp.adapters.git.steps import Blob, Identity
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Annotation, Run, Series, Table
from gitexp.core.schema.layout import (
    annotation_path,
    environment_path,
    output_path,
    run_path,
    series_path,
)
from gitexp.core.schema.toml_codec import encode_annotation, encode_run, encode_table


@frozen
class RunEvent:
    """Event of a run, recorded as one commit on the branch."""

    run: Run
    subject: str
    files: tuple[tuple[str, bytes | Blob | None], ...]
    releases: bool = False
    """True if the write also deletes the run's pending ref."""
    keeps: bool = True
    """True if the keep branch must hold the run's code afterwards."""


def started(run: Run, environment: Table | None = None, *, record: bytes | None = None) -> RunEvent:
    """Return the start of a run: its record with outcome `running`, and its package list.

    `record` is the encoded record, if the caller has it already.
    """
    files: list[tuple[str, bytes | Blob | None]] = [
        (run_path(run.id, run.started), record or encode_run(run))
    ]
    digest = run.environment.get("packages")
    if environment and isinstance(digest, str):
        files.append((environment_path(digest), _encode_packages(json.dumps(environment))))
    return RunEvent(run, f"start {run.id[:7]} {run.name}", tuple(files))


@lru_cache(maxsize=1)
def _encode_packages(packages: str) -> bytes:
    """Encode a package list. Cached, because the start and the end of a run both write it."""
    return encode_table(json.loads(packages))


def sealed(
    run: Run,
    series: Series,
    summary: str,
    environment: Table | None = None,
    *,
    record: bytes | None = None,
    output: str | None = None,
) -> RunEvent:
    """Return the seal of a run: its final record, its series, and its output if given.

    `record` is the encoded record, if the caller has it already.
    """
    first = started(run, environment, record=record)
    files = list(first.files)
    if series:
        from gitexp.core.schema.series_csv import encode_series

        files.append((series_path(run.id, run.started), encode_series(series)))
    if output:
        files.append((output_path(run.id, run.started), output.encode(errors="replace")))
    return RunEvent(run, f"run {run.id[:7]} {run.name}: {summary}", tuple(files), releases=True)


def annotated(run: Run, annotation: Annotation, summary: str) -> RunEvent:
    """Return the event that adds an annotation to a run."""
    path = annotation_path(run.id, run.started, annotation.id)
    subject = f"{annotation.kind} {run.id[:7]} {run.name}: {summary}"
    return RunEvent(run, subject, ((path, encode_annotation(annotation)),), keeps=False)


def deleted(run: Run, annotation: Annotation, paths: Sequence[str]) -> RunEvent:
    """Return the event that deletes a run. Its tombstone keeps a merge from restoring it."""
    tombstone = annotation_path(run.id, run.started, annotation.id)
    gone = [(path, None) for path in paths if path != tombstone]
    files = (*gone, (tombstone, encode_annotation(annotation)))
    return RunEvent(run, f"delete {run.id[:7]} {run.name}", files, keeps=False)


def is_ours(commit: bytes) -> bool:
    """Return whether gitexp made a commit of the run branch, by its message."""
    return b"\n\n[skip ci]\n" in commit


def message_of(event: RunEvent) -> str:
    """Return the commit message, for people and for `git log --grep`."""
    run = event.run
    subject = " ".join("".join(c if c.isprintable() else " " for c in event.subject).split())
    return (
        f"{subject[:200]}\n\n[skip ci]\n\nRun-Id: {run.id}\nCode-Commit: {run.code.commit}\n"
        f"Code-Tree: {run.code.tree}\nOutcome: {run.outcome}\n"
    )


def identity_of(author: str) -> Identity:
    """Parse `Name <email>` to the identity of a commit."""
    name, _, rest = author.partition(" <")
    return Identity(name or "unknown", rest.rstrip(">") or "unknown@localhost")
