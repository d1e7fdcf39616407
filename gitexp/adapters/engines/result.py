"""Reads what workers send: results and lines, as JSON."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitexp.adapters.engines.protocol import Brought, Ended, Happening, NotRun, Order, Printed
from gitexp.core.errors import UnreadableRecord


def task_of(order: Order, owner: str, commit: str, kit: str, topic: str | None) -> dict[str, Any]:
    """Return an order as a worker takes it."""
    parcel = order.parcel
    assert parcel is not None  # noqa: S101 - orders for other machines have one
    return {
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


def decode(data: bytes) -> dict[str, Any]:
    """Read a result. Raises `UnreadableRecord`."""
    try:
        result = json.loads(data)
        result["run"], result["worker"]
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableRecord("cannot read what a worker sent", why=str(error)) from error
    return dict(result)


@dataclass(slots=True)
class Lines:
    """Puts the chunks of runs in order: some arrive while a run goes on, all with its result."""

    counts: dict[str, int] = field(default_factory=dict)
    """Chunks that were passed on, by run."""

    def take(self, run: str, chunks: Sequence[Sequence[Any]]) -> list[Happening]:
        """Return the chunks that are new."""
        seen, found = self.counts.get(run, 0), list[Happening]()
        for number, seconds, stream, text in chunks:
            if number > seen:
                seen = number
                found.append(Printed(run, str(stream), b64decode(text), float(seconds)))
        self.counts[run] = seen
        return found

    def take_streamed(self, run: str, chunks: Sequence[Sequence[Any]]) -> list[Happening]:
        """Return chunks that arrived while a run goes on; none when one between is missing."""
        if chunks and chunks[0][0] != self.counts.get(run, 0) + 1:
            return []  # the result has all of them
        return self.take(run, chunks)


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
        found = lines.take(run, result["chunks"])
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
    lines.counts.pop(run, None)
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
