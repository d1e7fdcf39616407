"""T7: clones that push to one remote at once. All runs arrive, and every clone succeeds.

Each clone is a process that records and pushes without a pause. No team does that, so the figures
are upper limits.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.campaigns.field import read_records
from tests.conftest import MakeRepo, RepoBuilder

MAX_TRIES = 20

_PUSHER = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Origin, Outcome, Run
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity
from gitexp.storage.settings.options import Settings
from gitexp.features.sync.sync import push_runs
from gitexp.storage.branch.branch import RunBranch; from gitexp.storage.branch.events import sealed

number, pushes = int(sys.argv[1]), int(sys.argv[2])
store = RunBranch(Repo.discover(Path.cwd()), "gitexp", durable=False)
head, tree = (ObjectId(store.repo.resolve(name)) for name in ("HEAD", "HEAD^{tree}"))
start = datetime(2026, 11, 23, tzinfo=UTC)
print(flush=True)
sys.stdin.readline()
for n in range(pushes):
    run = Run(
        id=RunId(f"{number:08x}{n:08x}"), name="otter", outcome=Outcome.SUCCEEDED, clock=n + 1,
        started=start, author="Ada <ada@example.org>", origin=Origin.RUN,
        metrics={"value": float(n)}, code=Code(commit=head, tree=tree),
    )
    with store.transaction(Identity("Ada", "a@example.org"), start) as transaction:
        transaction.add(sealed(run, [], "done"))
    began_s = time.monotonic()
    tries = push_runs(store, None, Settings(push_timeout=300.0)).tries
    print(json.dumps([tries, time.monotonic() - began_s]), flush=True)
"""


def race(hub: RepoBuilder, clones: Sequence[Path], pushes: int) -> list[tuple[int, float]]:
    """Let all clones record and push `pushes` times at once. Return tries and seconds of each."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PUSHER, str(n), str(pushes)],
            cwd=clone,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n, clone in enumerate(clones)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(clones)
    return [tuple(json.loads(line)) for text in said for line in text.splitlines()]


@pytest.mark.parametrize(
    ("pushers", "pushes"), [(3, 4), pytest.param(8, 25, marks=pytest.mark.long)]
)
def test_all_racing_clones_push_their_runs(
    make_repo: MakeRepo, tmp_path: Path, pushers: int, pushes: int
) -> None:
    hub = make_repo("hub.git", bare=True)
    make_repo("seed").git("push", "--quiet", str(hub.path), "main")
    clones = [tmp_path / f"c{n}" for n in range(pushers)]
    for clone in clones:
        hub.git("clone", "--quiet", hub.path.as_uri(), str(clone))
    told = race(hub, clones, pushes)
    tries, seconds = (sorted(column) for column in zip(*told, strict=True))
    hundredths = statistics.quantiles(tries, n=100)
    print(
        f"{len(told)} pushes of {pushers}: tries median {statistics.median(tries)}, "
        f"p95 {hundredths[94]:.0f}, p99 {hundredths[98]:.0f}, most {tries[-1]}; "
        f"seconds median {statistics.median(seconds):.2f}, most {seconds[-1]:.1f}"
    )
    assert len(read_records(hub)) == pushers * pushes
    assert hub.git("fsck", "--strict", "--no-dangling") == ""
    assert tries[-1] <= MAX_TRIES
