"""A sweep on a real Dask cluster against a bare client that submits the same commands."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.building import make_repository
from tests.benchmarks.timing import Commands, Deed, Figure, compare
from tests.dask_cluster import Cluster

if TYPE_CHECKING:
    from tests.benchmarks.figures import Bench

TRIALS = 300

BARE = """\
import subprocess, sys
from distributed import Client
client = Client(sys.argv[1], set_as_default=False)
words = [["true", str(n)] for n in range(int(sys.argv[2]))]
jobs = [client.submit(subprocess.call, each, pure=False) for each in words]
assert client.gather(jobs) == [0] * len(jobs)
"""


def on_dask(bench: "Bench") -> Iterator[Figure]:
    """Trials that do nothing on two workers: time, and processor time of the coordinator."""
    commands = bench.commands(make_repository(bench.root / "dask"))
    cluster = Cluster(Path(bench.root) / "cluster")
    try:
        cluster.start("w1", "w2")
        python = sys.executable
        start = (python, "-m", "gitexp", "sweep", "-q", "--again", "--executor", cluster.address)
        sweep = (*start, "-S", f"n=1..{TRIALS}", "--", "true", "{n}")
        address = cluster.address.replace("dask://", "tcp://")
        bare = (python, "-c", BARE, address, str(TRIALS))
        yield compare(
            f"sweep of {TRIALS} trials on two Dask workers",
            commands.deed(*sweep),
            commands.deed(*bare),
            4.0,
            turns=bench.few,
        )
        yield compare(
            f"processor time of the coordinator of {TRIALS} trials on Dask",
            _processor(commands, sweep),
            _processor(commands, bare),
            None,
            turns=bench.few,
            note="against a client that records nothing; both import Dask",
        )
    finally:
        cluster.close()


def _processor(commands: Commands, argv: tuple[str, ...]) -> Deed:
    """Return a function that measures the processor time of a command and its children."""

    def measure() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        commands.time(argv)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)

    return measure
