"""The outboxes of Dask workers: results that wait there until they are recorded."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from gitexp.adapters.engines.dask_client import asking
from gitexp.adapters.engines.protocol import Ended, Happening
from gitexp.adapters.engines.result import Lines, decode, happenings
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError, UnreadableRecord

_COLLECT_S: Final = 0.5
"""Seconds between two looks into the outboxes for adopted runs."""

_GONE_S: Final = 10.0
"""Seconds after which an adopted run that no worker knows was interrupted."""


class Outboxes:
    """What the workers of a cluster keep of one sweep."""

    def __init__(
        self,
        client: Any,
        worker: ModuleType,
        address: str,
        owner: str,
        lines: Lines,
        packages: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """`worker` is the module that the workers have; `lines` and `packages` are the engine's."""
        self._client = client
        self._worker = worker
        self._address = address
        self._owner = owner
        self._lines = lines
        self._packages = packages
        self._collected: dict[str, dict[str, Any]] = {}
        """Results that `take_adopted` has not returned."""
        self._collected_s = 0.0
        self._recorded: set[str] = set()
        """Runs that workers need not keep, also those that were down at that moment."""
        self.adopted: dict[str, float] = {}
        """Runs that `adopt` named, with when a worker was seen to know them."""

    def known(self) -> set[str]:
        """Return the runs that go on, or ended while no coordinator listened."""
        running = self._collect()
        return {*running, *self._collected}

    def _collect(self) -> set[str]:
        """Take results from the outboxes; returns the runs that go on."""
        running: set[str] = set()
        with asking(self._address):
            answers = self._client.run(self._worker.outbox, self._owner, on_error="ignore")
        for answer in answers.values():
            running.update(answer["running"])
            for data in answer["ended"]:
                with suppress(UnreadableRecord):
                    result = decode(data)
                    self._collected[result["run"]] = result
        self._collected_s = clock.monotonic_s()
        return running

    def adopt(self, run: str) -> None:
        """Have `take_adopted` say how a known run went on, as if it had been started now."""
        self.adopted[run] = clock.monotonic_s()

    def patience_s(self, timeout_s: float) -> float:
        """Return how long the engine may wait for something else."""
        if not self.adopted:
            return timeout_s
        return min(timeout_s, _COLLECT_S if self.adopted.keys() - self._collected.keys() else 0.0)

    def take_adopted(self) -> list[Happening]:
        """Return how adopted runs ended; one that no worker knows any more was interrupted."""
        found: list[Happening] = []
        now_s = clock.monotonic_s()
        if now_s - self._collected_s > _COLLECT_S and self.adopted.keys() - self._collected.keys():
            for run in self._collect():
                if run in self.adopted:
                    self.adopted[run] = now_s
        for run, seen_s in list(self.adopted.items()):
            result = self._collected.pop(run, None)
            if result is not None:
                found += happenings(result, self._lines, self._packages)
            elif now_s - seen_s > _GONE_S:
                found.append(Ended(run, -9, 0.0, stopped=True, fault="its worker was lost"))
            else:
                continue
            del self.adopted[run]
        return found

    def forget(self, runs: Iterable[str]) -> None:
        """Say that results are recorded: workers need not keep them any more."""
        told = set(runs)
        self._recorded |= told
        self._tell(told, None)

    def greet(self, workers: Collection[str]) -> None:
        """Tell workers that came what was recorded: one that was killed has its outbox still."""
        if workers and self._recorded:
            self._tell(self._recorded, sorted(workers))

    def _tell(self, runs: set[str], workers: list[str] | None) -> None:
        with suppress(GitexpError), asking(self._address):
            self._client.run(
                self._worker.forget,
                self._owner,
                sorted(runs),
                workers=workers,
                wait=False,
                on_error="ignore",
            )
