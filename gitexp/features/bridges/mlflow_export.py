"""Export runs to an MLflow tracking server or store, with the user's MLflow client."""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from gitexp.core.errors import GitexpError
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome, RecordedRun, Series, flatten, numbers
from gitexp.core.schema.series_csv import merge_series
from gitexp.storage.workspace import Workspace

RUN_TAG = "gitexp.run"
"""Tag that marks runs that gitexp exported, set when all of a run is there."""

SENDING_TAG = "gitexp.sending"
"""Tag of a run that is being sent."""

EXPERIMENT = "gitexp"
_STATUS = {
    Outcome.FAILED: "FAILED",
    Outcome.INTERRUPTED: "KILLED",
    Outcome.TIMED_OUT: "KILLED",
    Outcome.RUNNING: "RUNNING",
}
_BATCH = 900
_MAX_PARAMS = 90
_MAX_VALUE = 6000


def send_runs(workspace: Workspace, runs: Sequence[RunId], uri: str) -> tuple[int, int]:
    """Export the runs that MLflow does not have. Returns the numbers of exported and existing runs.

    Raises `GitexpError` when MLflow is missing or rejects a run.
    """
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise GitexpError(
            "cannot send runs to MLflow",
            why="its client is not installed",
            hints=["`pip install mlflow-skinny`"],
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _send(workspace, runs, MlflowClient(uri))
        except (MlflowException, OSError) as error:
            raise GitexpError(
                f"cannot send runs to '{uri}'",
                why=(str(error).splitlines() or [type(error).__name__])[0][:300],
            ) from error


def _send(workspace: Workspace, runs: Sequence[RunId], client: Any) -> tuple[int, int]:
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    earlier = set(_sent_before(client, experiment))
    sent = 0
    for entry in workspace.index.entries([run for run in reversed(runs) if run not in earlier]):
        if entry.run.is_sealed:  # the others have no results yet
            series = workspace.branch.load_series(entry.run.id, entry.run.started)
            _send_run(client, experiment, entry, series)
            sent += 1
    return sent, len(runs) - sent


def _sent_before(client: Any, experiment: str) -> Iterator[str]:
    """Yield the runs that the experiment has whole; delete those whose sending was cut off."""
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            if SENDING_TAG in run.data.tags:
                client.delete_run(run.info.run_id)
            else:
                yield run.data.tags.get(RUN_TAG, "")
        token = page.token
        if not token:
            return


def _send_run(client: Any, experiment: str, entry: RecordedRun, series: Series) -> None:
    from mlflow.entities import Metric, Param

    run = entry.run
    start_ms = int(run.started.timestamp() * 1000)
    end_ms = start_ms + int((run.duration_s or 0) * 1000)
    tags = {
        SENDING_TAG: run.id,
        "mlflow.source.git.commit": run.code.commit,
        "mlflow.source.name": " ".join(run.command.argv)[:_MAX_VALUE] if run.command else "",
        "mlflow.note.content": run.reason or "",
        "gitexp.tags": ", ".join(entry.tags),
        "gitexp.decision": _decision(entry),
    }
    made = client.create_run(
        experiment,
        start_time=start_ms,
        run_name=run.name,
        tags={name: text for name, text in tags.items() if text},
    )
    remote_id = made.info.run_id
    params = [Param(_key(n), str(v)[:_MAX_VALUE]) for n, v in flatten(run.parameters)]
    for at in range(0, len(params), _MAX_PARAMS):
        client.log_batch(remote_id, params=params[at : at + _MAX_PARAMS])
    metrics = [
        Metric(_key(name), value, start_ms + int(seconds * 1000), step)
        for name, value, seconds, step in _points(entry, series)
    ]
    for at in range(0, len(metrics), _BATCH):
        client.log_batch(remote_id, metrics=metrics[at : at + _BATCH])
    client.set_terminated(remote_id, _STATUS.get(run.outcome, "FINISHED"), end_ms)
    client.set_tag(remote_id, RUN_TAG, run.id)
    client.delete_tag(remote_id, SENDING_TAG)


def _decision(entry: RecordedRun) -> str:
    decision = entry.decision
    if decision is None or decision.decision is None:
        return ""
    return decision.decision.value + (f": {decision.text}" if decision.text else "")


def _points(entry: RecordedRun, series: Series) -> Iterator[tuple[str, float, float, int]]:
    """Yield name, value, seconds and step of every measurement; the last value comes last."""
    steps: dict[str, int] = {}
    last: dict[str, float] = {}
    for row in merge_series(series):
        step, seconds = row.get("step", 0), row.get("time", 0)
        at = int(step) if isinstance(step, int | float) else 0
        for name, value in row.items():
            if name in ("step", "time") or not isinstance(value, int | float):
                continue
            steps[name], last[name] = at, float(value)
            yield (
                name,
                float(value),
                float(seconds) if isinstance(seconds, int | float) else 0.0,
                at,
            )
    for name, number in numbers(entry.metrics).items():
        if not math.isnan(number) and last.get(name) != number:
            yield name, number, entry.run.duration_s or 0.0, steps.get(name, -1) + 1


def _key(name: str) -> str:
    """Replace characters that MLflow rejects: it takes letters, digits and `_-. :/` in names."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)[:250]
