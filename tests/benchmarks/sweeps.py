"""Sweeps: trials that do nothing against `xargs`, and a plan of 1,000 known trials."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.benchmarks.building import make_repository
from tests.benchmarks.timing import Figure, compare

if TYPE_CHECKING:
    from tests.benchmarks.figures import Bench

TRIALS = 200
KNOWN = 1000
SCRIPT = 'print("METRIC x=1")'


def sweeping(bench: "Bench") -> Iterator[Figure]:
    """A sweep of trials that do nothing, each recorded, against `xargs` that runs the same."""
    commands = bench.commands(make_repository(bench.root / "sweep"))
    python = sys.executable
    start = (python, "-m", "gitexp", "sweep", "-q", "--again", "-j", "2")
    whole = (*start, "-S", f"n=1..{TRIALS}", "--", python, "-c", SCRIPT, "{n}")
    loop = f"seq {TRIALS} | xargs -P2 -I{{}} {python} -c '{SCRIPT}' > /dev/null"
    yield compare(
        f"sweep of {TRIALS} trials, two at once",
        commands.deed(*whole),
        commands.deed("sh", "-c", loop),
        3.0,
        turns=bench.few,
    )
    known = ("-S", f"n=1..{KNOWN}", "--", "true", "{n}")
    commands.time((python, "-m", "gitexp", "sweep", "-q", "-j", "2", *known))
    yield compare(
        f"sweep --dry-run of {KNOWN:,} trials with results",
        commands.deed(python, "-m", "gitexp", "sweep", "--dry-run", *known),
        commands.deed(python, "-c", "import click, sqlite3"),
        28.0,
        turns=bench.few,
        note="28 times the start of a command is two seconds",
    )
