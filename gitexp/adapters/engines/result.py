"""Reads what workers send: results and lines, as JSON."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitexp.adapters.engines.protocol import (
    Brought,
    Ended,
    Happening,
    NotRun,
    Order,
    Printed,
    RunsAgain,
)
from gitexp.core.errors import UnreadableRecord


def task_of(order: Order, owner: str, commit: str, kit: str, topic: str | None) -> str:
    """Return an order as a worker takes it: JSON, which Dask passes on without looking into it."""
    parcel = order.parcel
    assert parcel is not None  # noqa: S101 - orders for other machines have one
    task = {
        "run": order.run,
        "owner": owner,
        "commit": commit,
        "kit": kit,
        "argv": list(order.argv),
        "directory": order.directory.as_posix(),
        "env": dict(order.env),
        "timeout_s": order.timeout_s,
        "params": parcel.params,
        "journal": parcel.journal,
        "inputs": dict(parcel.inputs),
        "metrics": list(parcel.metrics),
        "outputs": list(parcel.outputs),
        "inject": parcel.inject,
        "topic": topic,
    }
    return json.dumps(task)


def decode(data: bytes) -> dict[str, Any]:
    """Read a result. Raises `UnreadableRecord`."""
    try:
        result = json.loads(data)
        result["run"], result["worker"]
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableRecord("cannot read what a worker sent", why=str(error)) from error
    return dict(result)


@dataclass(slots=True)
class _Heard:
    """The part of a run that was passed on."""

    attempt: str
    count: int = 0
    """Chunks."""


@dataclass(slots=True)
class Lines:
    """Puts the chunks of runs in order: some arrive while a run goes on, all with its result.

    A run whose worker died begins again elsewhere, and its chunks are numbered from 1 again: that
    is another attempt.
    """

    heard: dict[str, _Heard] = field(default_factory=dict)
    """By run."""

    def take(self, run: str, attempt: str, chunks: Sequence[Sequence[Any]]) -> list[Happening]:
        """Return the chunks that are new."""
        found = list[Happening]()
        heard = self.heard.setdefault(run, _Heard(attempt))
        if heard.attempt != attempt:
            heard = self.heard[run] = _Heard(attempt)
            found.append(RunsAgain(run))
        for number, seconds, stream, text in chunks:
            if number > heard.count:
                heard.count = number
                found.append(Printed(run, str(stream), b64decode(text), float(seconds)))
        return found

    def take_streamed(
        self, run: str, attempt: str, chunks: Sequence[Sequence[Any]]
    ) -> list[Happening]:
        """Return chunks that arrived while a run goes on; none when one between is missing."""
        heard = self.heard.get(run)
        known = heard.count if heard is not None and heard.attempt == attempt else 0
        if chunks and chunks[0][0] != known + 1:
            return []  # the result has all of them
        return self.take(run, attempt, chunks)

    def drop(self, run: str) -> None:
        """Forget a run that has ended."""
        self.heard.pop(run, None)


def happenings(
    result: Mapping[str, Any], lines: Lines, packages: Mapping[str, Mapping[str, Any]]
) -> list[Happening]:
    """Return what a result says, in order. Raises `UnreadableRecord`.

    `packages` are the lists of packages of workers, by their digest.
    """
    run = str(result["run"])
    if "not_run" in result:
        return [NotRun(run, str(result["not_run"]))]
    try:
        found = lines.take(run, str(result.get("attempt", "")), result["chunks"])
        found.append(
            Ended(
                run,
                int(result["exit_code"]),
                float(result["duration_s"]),
                timed_out=bool(result["timed_out"]),
                stopped=bool(result["stopped"]),
                fault=result.get("fault"),
                brought=_brought(result, packages),
            )
        )
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableRecord(
            f"cannot read the result of run {run[:7]}", why=str(error)
        ) from error
    lines.drop(run)
    return found


def _brought(result: Mapping[str, Any], packages: Mapping[str, Mapping[str, Any]]) -> Brought:
    facts = dict(result["facts"])
    known = packages.get(str(facts.get("packages")))
    if known is None:
        facts.pop("packages", None)
    warnings = []
    if result["left_out"]:
        warnings.append(f"the worker left out {result['left_out']:,} bytes of output")
    if result["files_left_out"]:
        warnings.append(
            f"{result['files_left_out']:,} files stayed on the worker: they are too large"
        )
    report = result["report"]
    return Brought(
        files={str(name): b64decode(text) for name, text in result["files"].items()},
        changed=tuple(map(str, result["changed"])),
        outputs={str(n): (str(sha), int(size)) for n, (sha, size) in result["outputs"].items()},
        journal=b64decode(result["journal"]),
        report=None if report is None else b64decode(report),
        facts=facts,
        packages=known or {},
        warnings=tuple(warnings),
    )
