"""The engine that runs commands on the workers of a Dask cluster.

A command is one Dask task. Code goes to every worker before its first task, and to a worker that
joins later when it says that it lacks it. Results stay in the workers' outboxes until `forget`.
"""

import queue
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gitexp.adapters.engines.dask_client import (
    WORKERS_S,
    asking,
    config,
    connect,
    load_worker,
    lost,
)
from gitexp.adapters.engines.dask_outboxes import Outboxes
from gitexp.adapters.engines.kit import digest_of, kit_files
from gitexp.adapters.engines.protocol import (
    Ended,
    Happening,
    NotRun,
    Order,
    RunsAgain,
    Setting,
)
from gitexp.adapters.engines.result import Lines, decode, happenings, task_of
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError, UnreadableRecord

LOOK_S: Final = 2.0
"""Seconds between two looks at how many workers there are."""

_ROUNDS: Final = 3
"""How often a command is ordered again that waited on workers which other commands killed."""

_MORE: Final = 2
"""Commands that are ordered beyond the threads of the workers, so that none waits for us."""


class DaskEngine:
    """Commands on the workers of a Dask scheduler; for one thread."""

    def __init__(self, address: str, setting: Setting) -> None:
        """Connect, and bring code to the workers. Raises `GitexpError`."""
        self._address = address
        self._setting = setting
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._orders: dict[str, Order] = {}
        self._futures: dict[str, Any] = {}
        self._stops: dict[str, int] = {}
        self._rounds: dict[str, int] = {}
        """How often a run was ordered again because its workers were lost."""
        self._died: dict[str, set[str]] = {}
        """Attempts at a run whose worker died, as far as they are known."""
        self._awaited: set[str] = set()
        """Runs that had ended, and whose result was lost with its worker: the cluster brings it."""
        self._lines = Lines()
        self._packages: dict[str, Mapping[str, Any]] = {}
        self._refused: dict[str, dict[str, str]] = {}
        """Runs that workers could not run: the reasons by worker."""
        self._useless: dict[str, str] = {}
        """Workers that can run nothing, with the reason."""
        self._noticed: set[str] = set()
        """Reasons for not using a worker that the user has seen."""
        self._workers: set[str] = set()
        """Those that are there."""
        self._threads = 1
        self._looked_s = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="gitexp-")
        self._worker = load_worker(Path(self._folder.name))
        self._kit = digest_of(kit_files())
        self._client: Any = connect(address)
        self._outboxes = Outboxes(
            self._client, self._worker, address, setting.owner, self._lines, self._packages
        )
        self._topic = f"gitexp-{setting.owner}-{clock.new_id()}" if setting.streams else None
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    # --- workers ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Have the worker's module, the code and the kit on all workers."""
        with asking(self._address):
            self._client.wait_for_workers(1, timeout=WORKERS_S)
            self._send_module()
            self._bring_code(None)
            if self._topic is not None:
                self._client.subscribe_topic(self._topic, self._on_event)
        self._look()
        if not self._threads:
            why = "; ".join(dict.fromkeys(self._useless.values())) or "it has no worker"
            raise GitexpError(f"no worker of {self._address} can run trials", why=why)

    def _send_module(self) -> None:
        """Load the worker's module on the scheduler and all workers, unless they have it."""
        hello = self._worker.hello
        found = self._client.run(hello, on_error="return")
        is_there = all(isinstance(answer, dict) for answer in found.values())
        with suppress(Exception):
            self._client.run_on_scheduler(hello)
            if is_there:
                return
        self._client.upload_file(self._worker.__file__)

    def _bring_code(self, workers: list[str] | None) -> None:
        """Bring the code to these workers, or to all."""
        commit, kit = self._setting.commit, self._kit
        answers = self._client.run(self._worker.hello, workers=workers, on_error="return")
        by_pack: dict[tuple[str, ...], list[str]] = {}
        for worker, answer in answers.items():
            if not isinstance(answer, dict):
                self._useless[worker] = f"a worker failed: {answer}"
            elif answer["git"] is None:
                self._useless[worker] = f"{answer['facts']['host']} has no git"
            else:
                self._useless.pop(worker, None)
                self._packages[answer["facts"]["packages"]] = answer["packages"]
                by_pack.setdefault(tuple(answer["code"]), []).append(worker)
        for known, those in by_pack.items():
            pack = b"" if commit in known else self._setting.pack(known)
            bundle = {"commit": commit, "pack": pack, "kit": kit, "files": kit_files()}
            bundle["inputs"] = dict(self._setting.inputs)
            faults = self._client.run(
                self._worker.take_code, bundle, workers=those, on_error="return"
            )
            for worker, fault in faults.items():
                if fault is not None:
                    self._useless[worker] = str(fault)
        for why in dict.fromkeys(self._useless.values()):
            if why not in self._noticed:
                self._noticed.add(why)
                self._setting.notice(f"a worker is not used: {why}")

    def _look(self) -> None:
        """Count the threads of the workers that can run trials."""
        self._looked_s = clock.monotonic_s()
        with suppress(Exception):  # the next wait finds out whether the scheduler is lost
            threads = self._client.nthreads()
            self._threads = sum(n for worker, n in threads.items() if worker not in self._useless)
            came, self._workers = threads.keys() - self._workers, set(threads)
            self._outboxes.greet(came)

    @property
    def slots(self) -> int:
        """How many commands may be ordered at once: a few more than the workers have threads."""
        if clock.monotonic_s() - self._looked_s > LOOK_S:
            self._look()
        most = self._threads + min(_MORE, self._threads)
        return most if self._setting.jobs is None else min(self._setting.jobs, most)

    # --- commands -----------------------------------------------------------------------------

    def start(self, order: Order) -> None:
        """Order a command."""
        self._orders[order.run] = order
        self._submit(order)

    def _submit(self, order: Order) -> None:
        setting = self._setting
        task = task_of(order, setting.owner, setting.commit, self._kit, self._topic)
        avoided = {*self._useless, *self._refused.get(order.run, {})}
        options: dict[str, Any] = {}
        if avoided:
            able = [worker for worker in self._client.nthreads() if worker not in avoided]
            if not able:
                reasons = {**self._useless, **self._refused.get(order.run, {})}
                why = "; ".join(dict.fromkeys(reasons.values()))
                self._events.put(NotRun(order.run, why))
                return
            options["workers"] = able
        key = f"gitexp-{order.run}-{clock.new_id()[:6]}"
        future = self._client.submit(
            self._worker.run_trial, task, key=key, pure=False, retries=0, **options
        )
        self._futures[order.run] = future
        future.add_done_callback(self._events.put)

    def stop(self, run: str) -> None:
        """Ask a command to end; called again, end it now. Harmless when it has ended."""
        if run in self._orders or run in self._outboxes.adopted:
            self._stops[run] = self._stops.get(run, 0) + 1
            with asking(self._address):
                self._client.run(self._worker.stop, run, self._stops[run], wait=False)

    def _on_event(self, event: tuple[float, Mapping[str, Any]]) -> None:
        self._events.put(event[1])

    def wait(self, timeout_s: float) -> list[Happening]:
        """Return what happened since the last call, after at most `timeout_s` seconds.

        Raises `EngineLost`.
        """
        timeout_s = self._outboxes.patience_s(timeout_s)
        events: list[Any] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=timeout_s))
            while True:
                events.append(self._events.get_nowait())
        found = self._outboxes.take_adopted()
        for run in list(self._awaited):
            future = self._futures.get(run)
            if future is None or future.status not in ("lost", "pending"):
                self._awaited.discard(run)
                events += [] if future is None else [future]
        if not events and self._client.status in ("closed", "closing", "newly-created"):
            raise lost(self._address)
        for event in events:
            if isinstance(event, NotRun):
                found += self._drop(event)
            elif isinstance(event, dict) and event.get("run") in self._orders:
                found += self._hear(event)
        found += self._results([e for e in events if not isinstance(e, NotRun | dict)])
        return found

    def _hear(self, event: Mapping[str, Any]) -> list[Happening]:
        """Return what a running command printed. One that begins again is asked to end again."""
        run = event["run"]
        found = self._lines.take_streamed(run, str(event.get("attempt", "")), event["chunks"])
        if run in self._stops and any(isinstance(each, RunsAgain) for each in found):
            with asking(self._address):
                self._client.run(self._worker.stop, run, self._stops[run], wait=False)
        return found

    def _results(self, futures: list[Any]) -> list[Happening]:
        """Return what finished futures say."""
        ours = {future.key: run for run, future in self._futures.items()}
        futures = [future for future in futures if future.key in ours]
        done = [future for future in futures if future.status == "finished"]
        found: list[Happening] = []
        with asking(self._address):
            for data in self._client.gather(done, errors="skip") if done else ():
                found += self._result(data)
        for future in futures:
            run = ours[future.key]
            if future.status == "cancelled":
                raise lost(self._address)
            if future.status == "error":
                found += self._failed(run, future)
            elif self._futures.get(run) is future:  # its worker died before it gave the result
                self._awaited.add(run)
        return found

    def _result(self, data: bytes) -> list[Happening]:
        try:
            result = decode(data)
            order = self._orders.get(result["run"])
            if order is None:
                return []
            if result.get("need"):
                self._bring_code([result["worker"]])
                self._submit(order)
                return []
            if "not_run" in result:
                self._refused.setdefault(order.run, {})[result["worker"]] = result["not_run"]
                self._submit(order)
                return []
            found = happenings(result, self._lines, self._packages)
        except UnreadableRecord as error:
            self._setting.notice(f"{error.what}: {error.why}")
            return []
        self._release(order.run)
        return found

    def _failed(self, run: str, future: Any) -> list[Happening]:
        """Say how a command ended whose workers died each time, or that no worker can run.

        Dask counts the deaths of its workers also against commands that only waited there. These
        are ordered again.
        """
        error = future.exception()
        if type(error).__name__ != "KilledWorker":
            self._release(run)
            return [NotRun(run, f"its worker failed: {type(error).__name__}: {error}")]
        if run in self._stops:
            self._release(run)
            return [Ended(run, -9, 0.0, stopped=True, fault="its worker was lost")]
        tries = 1 + int(config("distributed.scheduler.allowed-failures", 3))
        if self._deaths(run) < tries:
            self._rounds[run] = self._rounds.get(run, 0) + 1
            if self._rounds[run] <= _ROUNDS:
                self._submit(self._orders[run])
                return []
            self._release(run)
            return [NotRun(run, f"its workers were lost {tries * (_ROUNDS + 1)} times")]
        self._release(run)
        fault = f"its worker died {tries} times while it ran, perhaps because memory ran out"
        return [Ended(run, -9, 0.0, fault=fault)]

    def _deaths(self, run: str) -> int:
        """Return how many workers are known to have died while they ran a command.

        The workers know that died there and started again, so this waits until one is back.
        """
        with suppress(Exception):
            self._client.wait_for_workers(1, timeout=WORKERS_S)
        with asking(self._address):
            answers = self._client.run(
                self._worker.unfinished, self._setting.owner, run, on_error="ignore"
            )
        known = self._died.setdefault(run, set())
        known.update(attempt for attempts in answers.values() for attempt in attempts)
        return len(known)

    def _drop(self, event: NotRun) -> list[Happening]:
        if event.run not in self._orders:
            return []
        self._release(event.run)
        return [event]

    def _release(self, run: str) -> None:
        for place in (
            self._orders,
            self._futures,
            self._stops,
            self._refused,
            self._rounds,
            self._died,
        ):
            place.pop(run, None)

    # --- outboxes -----------------------------------------------------------------------------

    def known(self) -> set[str]:
        """Return the runs of this sweep that go on, or ended while no coordinator listened."""
        return self._outboxes.known()

    def adopt(self, run: str) -> None:
        """Have `wait` say how a known run went on, as if it had been started now."""
        self._outboxes.adopt(run)

    def forget(self, runs: Iterable[str]) -> None:
        """Say that results are recorded: workers need not keep them any more."""
        self._outboxes.forget(runs)

    def close(self) -> None:
        """Leave the cluster. What runs there ends, and waits in the outboxes."""
        with suppress(Exception):
            self._client.close(timeout=5)
        sys.modules.pop(self._worker.__name__, None)
        self._folder.cleanup()
