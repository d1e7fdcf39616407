"""Searches to look at: repeats, reasons, decisions, curves, changed code, dead ends."""

import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gitexp.core.analysis.fingerprint import key_of
from gitexp.core.model.annotations import Annotation, AnnotationKind, Decision
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Command, Origin, Outcome, ParentRule, Run, Series, Table
from gitexp.core.model.run_names import memorable_name
from gitexp.features.recording.batch import record_events
from gitexp.storage.branch.events import RunEvent, annotated, sealed, started
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder

STARTED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
ADA = "Ada Example <ada@example.org>"
BEN = "Ben Beispiel <ben@example.org>"

MODEL = """\
import torch

WIDTH = 64


def pool(x):
    return x.max(dim=-1)


def model(width=WIDTH):
    return Net(width, pool)
"""


@dataclass
class Search:
    """Runs that are made one after the other."""

    repo: RepoBuilder
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    clock: int = 0
    events: list[RunEvent] = field(default_factory=list)
    usual: Table = field(
        default_factory=lambda: {"lr": 0.1, "width": 64, "optim": "sgd", "mixup": 0.0}
    )

    def run(
        self,
        params: Table,
        accuracy: float | None,
        *,
        reason: str | None = None,
        parent: Run | None = None,
        seed: int = 0,
        outcome: Outcome = Outcome.SUCCEEDED,
        automatic: bool = True,
        author: str = ADA,
        name: str | None = None,
        output: str = "",
        **changes: object,
    ) -> Run:
        """A run with a curve, unless it measured nothing."""
        self.clock += 1
        run_id = RunId(f"{self.chance.getrandbits(64):016x}")
        table: Table = {**self.usual, **params, "seed": seed}
        words = [f"--{key}={{{key}}}" for key in table]
        head, tree = self.repo.git("rev-parse", "HEAD", "HEAD^{tree}").split()
        metrics: Table = {}
        if accuracy is not None:
            metrics = {"val": {"acc": accuracy, "loss": 2.2 * (1 - accuracy)}, "seconds": 41.5}
        run = Run(
            id=run_id,
            name=name or memorable_name(run_id),
            outcome=outcome,
            clock=self.clock,
            started=STARTED + timedelta(hours=3 * self.clock, microseconds=self.clock % 2 * 17),
            author=author,
            origin=Origin.RUN,
            code=Code(commit=ObjectId(head), tree=ObjectId(tree), digest=tree[:16], branch="main"),
            duration_s=None if outcome is Outcome.RUNNING else 41.5 + self.clock,
            reason=reason,
            parent=None if parent is None else parent.id,
            parent_rule=ParentRule.NEWEST if automatic and parent is not None else None,
            command=Command(
                argv=("python", "train.py", *(f"--{k}={v}" for k, v in table.items())),
                template=("python", "train.py", *words),
                exit_code=None if outcome is Outcome.RUNNING else int(outcome is Outcome.FAILED),
            ),
            params=table,
            metrics=metrics,
            environment={"python": "3.12.1", "host": "lab-gpu-1", "torch": "2.9.0"},
            output_tail=output or "epoch 9: done",
        )
        run = replace(run, **changes)  # type: ignore[arg-type]
        run = replace(run, fingerprint=key_of(replace(run, fingerprint="2:0")))
        if outcome is Outcome.RUNNING:
            self.events.append(started(run))
        else:
            curve = self.curve(accuracy) if accuracy is not None else []
            self.events.append(sealed(run, curve, outcome.value))
        return run

    def curve(self, last: float) -> Series:
        """A curve that ends at its value."""
        rows: Series = []
        for step in range(0, 1200, 2):
            grown = last * (1 - math.exp(-step / 200)) + self.chance.gauss(0, 0.004)
            rows.append({"step": step, "time": step / 10, "val.acc": grown, "val.loss": 2 - grown})
        rows[-1]["val.acc"] = last
        return rows

    def say(self, run: Run, kind: AnnotationKind, *, author: str = ADA, **changes: object) -> None:
        """Something about a run."""
        self.clock += 1
        annotation = Annotation(
            id=f"{self.chance.getrandbits(64):016x}",
            run=run.id,
            kind=kind,
            clock=self.clock,
            time=STARTED + timedelta(hours=3 * self.clock),
            author=author,
        )
        annotation = replace(annotation, **changes)  # type: ignore[arg-type]
        self.events.append(annotated(run, annotation, "said"))

    def decide(self, run: Run, decision: Decision, why: str, hint: str | None = None) -> None:
        """A decision about a run."""
        self.say(run, AnnotationKind.DECISION, decision=decision, text=why, hint=hint)

    def finish(self) -> Workspace:
        """Put everything onto the branch."""
        workspace = Workspace.open(self.repo.path)
        record_events(workspace, self.events)
        return Workspace.open(self.repo.path)


def usual_search(repo: RepoBuilder) -> Search:
    """About seventy runs: a line of four ideas to the best, side ideas, dead ends, a random search.

    Returns the runs; the branch does not have them yet.
    """
    repo.commit({"model.py": MODEL, "train.py": "import model\n"}, "a model")
    search = Search(repo)
    noise = search.chance

    def repeat(n: int, mean: float, **given: object) -> list[Run]:
        params = given.pop("params", {})
        return [
            search.run(params, mean + noise.gauss(0, 0.003), seed=seed, **given)  # type: ignore[arg-type]
            for seed in range(n)
        ]

    base = repeat(5, 0.632, reason="a baseline: last year's recipe, unchanged")
    search.decide(base[0], Decision.KEEP, "the number everything is held against")
    rate = repeat(3, 0.671, params={"lr": 0.2}, reason="is the rate still right?", parent=base[-1])
    search.decide(rate[0], Decision.IMPROVE, "0.2 beats 0.1", hint="try a schedule")
    for lr in (0.4, 0.8, 1.6):
        run = search.run(
            {"lr": lr}, 0.66 - lr / 20, reason="is the rate still right?", parent=rate[-1]
        )
        search.decide(run, Decision.DISCARD, f"worse at every rate above 0.2: {lr}")
    lion = repeat(
        2,
        0.627,
        params={"optim": "lion", "lr": 0.001},
        parent=rate[0],
        automatic=False,
        reason="Lion, from the list of the agent",
        author=BEN,
    )
    search.decide(lion[0], Decision.DISCARD, "worse at every rate tried")
    failed = search.run(
        {"lr": 3.0},
        None,
        outcome=Outcome.FAILED,
        parent=rate[0],
        automatic=False,
        reason="how far can one go?",
        output="step 12\nValueError: loss is nan\n",
    )
    search.say(failed, AnnotationKind.NOTE, author=BEN, text="it swings from step 3 on")
    repo.commit({"model.py": MODEL.replace("x.max(dim=-1)", "blur(x).mean(dim=-1)")}, "blur pool")
    blur = repeat(
        4, 0.702, params={"lr": 0.2}, reason="anti-aliased pooling", parent=rate[0], automatic=False
    )
    search.decide(blur[0], Decision.IMPROVE, "+0.03, costs 4 % throughput", hint="mixup")
    for n in range(30):
        mixup = round(noise.choice([0.0, 0.1, 0.2, 0.4]), 2)
        width = noise.choice([64, 96, 128, 192])
        lr = round(0.2 * 10 ** noise.uniform(-1, 0.5), 4)
        value = 0.70 + 0.2 * mixup - 0.4 * mixup**2 + width / 8000 - abs(math.log10(lr / 0.2)) / 30
        search.run(
            {"lr": lr, "width": width, "mixup": mixup},
            value + noise.gauss(0, 0.004),
            reason="random search around the best",
            parent=blur[-1],
            author=BEN if n % 3 else ADA,
        )
    best = repeat(
        4,
        0.761,
        params={"lr": 0.2, "width": 192, "mixup": 0.2},
        parent=blur[0],
        automatic=False,
        reason="mixup, and wider",
    )
    search.say(best[0], AnnotationKind.TAG, tags=("paper",))
    repeat(
        3,
        0.759,
        params={"lr": 0.2, "width": 128, "mixup": 0.2},
        parent=best[0],
        automatic=False,
        reason="is half the width enough?",
    )
    search.run(
        {"lr": 0.2, "width": 256, "mixup": 0.2},
        None,
        outcome=Outcome.RUNNING,
        parent=best[-1],
        reason="wider still",
    )
    return search
