"""The project's checks: a command that decides whether the result of a run may be kept.

It runs at the top of the work tree after the run's command succeeded. A pull can change the
project's settings file, so gitexp runs only the exact command that the user has approved.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gitexp.adapters.journal.liveness import RUN_VARIABLE
from gitexp.adapters.system.command import run_command
from gitexp.adapters.system.deadline import Limit
from gitexp.core.errors import GitexpError
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.run import Checks, Outcome, Run
from gitexp.storage.settings.options import Settings

MAX_OUTPUT_BYTES: Final = 4000
"""Bytes of the end of the output that a record keeps."""

CHECKS_VARIABLE: Final = "GITEXP_CHECKS"
"""Marks the processes of checks, which the limit of their time ends. What the command of the run
left running has the mark of the run only."""

_GRACE_S: Final = 5.0


def run_checks(
    settings: Settings, run: Run, top: Path, environ: Mapping[str, str] = os.environ
) -> tuple[Checks | None, list[str]]:
    """Run the project's checks after a run that succeeded.

    Returns their result and warnings. The result is `None` when there are no checks or the user has
    not approved them. Never raises: a check that cannot start has failed.
    """
    checks = settings.checks
    if checks is None or run.outcome is not Outcome.SUCCEEDED:
        return None, []
    if settings.run_checks != checks.command:
        return None, [
            "the project's checks did not run; to let them run here: "
            f"git config exp.runChecks {redact_text(shlex.quote(checks.command))}"
        ]
    output = bytearray()

    def keep(chunk: bytes, _stream: str) -> None:
        output.extend(chunk)
        del output[:-MAX_OUTPUT_BYTES]

    try:
        done = run_command(
            ("sh", "-c", checks.command),
            directory=top,
            env={**environ, RUN_VARIABLE: run.id, CHECKS_VARIABLE: run.id},
            on_output=keep,
            stdout=2,
            limit=Limit(checks.timeout_s, f"{CHECKS_VARIABLE}={run.id}", grace_s=_GRACE_S),
        )
    except (GitexpError, OSError) as error:
        return Checks(outcome=Outcome.FAILED, output=redact_text(str(error))), []
    outcome = Outcome.SUCCEEDED if done.exit_code == 0 else Outcome.FAILED
    if done.timed_out:
        outcome = Outcome.TIMED_OUT
    elif done.interrupted:
        outcome = Outcome.INTERRUPTED
    text = redact_text(output.decode(errors="replace").strip())
    return Checks(outcome=outcome, exit_code=done.exit_code, output=text), []
