"""Prepare many trials of one command that differ in their parameters, from the first of them.

Code and environment are read once. Files that the arguments name are hashed once per set of names.
"""

from collections.abc import Sequence
from dataclasses import replace

from gitexp.adapters.system import clock
from gitexp.core.analysis.fingerprint import fingerprint_of
from gitexp.core.inputs.argv import fill_template
from gitexp.core.inputs.mentioned_files import mentioned
from gitexp.core.inputs.redaction import redact_table
from gitexp.core.model.run import Code, Command
from gitexp.core.model.run_names import memorable_name
from gitexp.features.execution.named_inputs import Held, Named, held_of, named_inputs
from gitexp.features.execution.prepare import (
    PreparedRun,
    RunRequest,
    command_of,
    gather_params,
    recorded_path,
)
from gitexp.features.trials.changed_reads import ReadFiles, tell_apart
from gitexp.storage.workspace import Workspace


class Variations:
    """Prepares trials that share code, directory and environment."""

    def __init__(self, workspace: Workspace, first: PreparedRun, code: Code | None = None) -> None:
        """Take code and environment from `first`, one of the trials; `code` replaces its code."""
        self._workspace = workspace
        self._first = first
        self._code = code or first.run.code
        self._declared = {p: state for p, state in first.run.inputs.items() if not state.named}
        written = (*first.metrics_files, *first.outputs)
        self._known = {*self._declared, *(recorded_path(path, first.top) for path in written)}
        self._known |= {*first.run.produced, *self._code.hashed}
        self._held: Held | None = None
        self._named: dict[tuple[str, ...], Named] = {}
        self._exists: dict[str, bool] = {}
        self._files = ReadFiles(first.top)

    def prepare(self, request: RunRequest) -> PreparedRun:
        """Build the record of one trial. Raises `InvalidInput` like `prepare.prepare`."""
        workspace, first = self._workspace, self._first
        params, given, _ = gather_params(workspace, request)
        argv = tuple(fill_template(request.argv, params))
        command = command_of(workspace, request, argv)
        assert command is not None  # noqa: S101 - a sweep has a command
        if first.run.command is not None:
            command = replace(command, metric_patterns=first.run.command.metric_patterns)
        named = self._find_named(argv, command)
        run_id = clock.new_run_id()
        run = replace(
            first.run,
            id=run_id,
            name=request.name or memorable_name(run_id),
            started=clock.now(),
            tags=tuple(sorted(set(request.tags))),
            code=self._code,
            command=command,
            params=redact_table(params),
            inputs={**self._declared, **named.inputs},
            changed_reads={},
            warnings=(),
        )
        run, changed = tell_apart(
            workspace, replace(run, fingerprint=fingerprint_of(run)), self._files
        )
        return first._replace(
            run=run,
            argv=argv,
            given=given,
            notes=(),
            uncompared=named.uncompared,
            changed=changed,
        )

    def _find_named(self, argv: Sequence[str], command: Command) -> Named:
        key = (argv[0], *(text for text in mentioned(argv) if self._is_there(text)))
        if key not in self._named:
            if self._held is None:
                self._held = held_of(self._workspace, self._code, command)
            directory = self._first.directory
            self._named[key] = named_inputs(argv, directory, self._held, self._known, None)
        return self._named[key]

    def _is_there(self, text: str) -> bool:
        if text not in self._exists:
            try:
                self._exists[text] = (self._first.directory / text).expanduser().exists()
            except (OSError, ValueError, RuntimeError):
                self._exists[text] = False
        return self._exists[text]
