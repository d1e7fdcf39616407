"""Find the trial of a pushed commit, and its recorded run.

A push with gates waits for this module, so it imports little.
"""

import shlex
from dataclasses import replace
from pathlib import Path, PurePosixPath

from gitexp.adapters.system import clock
from gitexp.core.analysis.fingerprint import fingerprint_of
from gitexp.core.inputs.files import parse_params
from gitexp.core.inputs.redaction import redact_argv
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Code, Command, Origin, Outcome, RecordedRun, Run, Table, nest
from gitexp.core.model.run_names import memorable_name
from gitexp.features.execution.code_digest import digest_of
from gitexp.features.sync.gates import is_result
from gitexp.storage.settings.options import Settings
from gitexp.storage.workspace import Workspace

MAX_FILE_BYTES = 16 << 20


def allowed_command(settings: Settings) -> tuple[str | None, list[str]]:
    """Return the evaluation command if the user chose it. If it came with the code, only a message.

    Otherwise a pulled settings file could make the next push run any command.
    """
    origin = settings.origins.get("evaluate", "default")
    if not settings.evaluate or origin.startswith(("git config", "environment")):
        return settings.evaluate, []
    allow = f"git config exp.evaluate {shlex.quote(settings.evaluate)}"
    return None, [f"{origin} sets the command `evaluate`; `{allow}` allows it here"]


def find_recorded(workspace: Workspace, commit: ObjectId, tree: ObjectId) -> RecordedRun | None:
    """Return the newest sealed run of a commit or of its trial, with exactly its tree."""
    return recorded(workspace, new_run(workspace, commit, tree))


def recorded(workspace: Workspace, run: Run) -> RecordedRun | None:
    """Return the newest sealed run of a run's commit or of its trial, with exactly its tree."""
    index = workspace.refreshed()
    known = [
        *index.entries(index.by_commit(run.code.commit)),
        *index.by_fingerprint(run.fingerprint),
    ]
    return next((entry for entry in known if is_result(entry, run.code.tree)), None)


def new_run(workspace: Workspace, commit: ObjectId, tree: ObjectId) -> Run:
    """Build the run for the results of a pushed commit, without the fields only a record needs."""
    settings = workspace.settings
    run_id = clock.new_run_id()
    params: Table = {}
    for name in settings.params_files:
        data = read_file(workspace, commit, name)
        if data is not None:
            params = nest(params, parse_params(data, PurePosixPath(name).suffix, name=name))
    digest = digest_of(workspace, tree, settings.metrics_files)
    evaluate, _ = allowed_command(settings)
    argv = tuple(redact_argv(shlex.split(evaluate))) if evaluate else ()
    run = Run(
        id=run_id,
        name=memorable_name(run_id),
        outcome=Outcome.RUNNING,
        clock=0,
        started=clock.now(),
        author=settings.author,
        origin=Origin.PUSH,
        code=Code(commit=commit, tree=tree, digest=digest),
        command=Command(argv=argv) if argv else None,
        params=params,
    )
    return replace(run, fingerprint=fingerprint_of(run))


def read_file(workspace: Workspace, commit: ObjectId, name: str) -> bytes | None:
    """Return the content of a file of a commit; `None` if it is missing or too large."""
    oid = workspace.repo.resolve(f"{commit}:{Path(name).as_posix()}")
    if oid is None:
        return None
    return next(iter(workspace.repo.read_blobs([oid], max_bytes=MAX_FILE_BYTES)))[1]
