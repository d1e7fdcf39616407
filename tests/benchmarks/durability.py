"""Measure the cost of durability: `python tests/benchmarks/durability.py [FOLDER] [RECORDS]`.

Writes records in pairs, one durable and one fast, so that the load of the machine affects both.
Prints both medians and their ratio. FOLDER must be on the measured disk.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gitexp.api.tracker import Tracker


def measure(folder: Path, records: int) -> dict[str, list[float]]:
    """Return the seconds of each record, by durability."""
    trackers = {}
    for durability in ("fast", "committed"):
        repo = folder / durability
        repo.mkdir()
        for command in (
            ["init", "--quiet"],
            ["config", "exp.durability", durability],
            ["config", "user.name", "Ada"],
            ["config", "user.email", "ada@example.org"],
            ["commit", "--quiet", "--allow-empty", "-m", "first"],
        ):
            subprocess.run(["git", *command], cwd=repo, check=True)
        trackers[durability] = Tracker(repo)
    times: dict[str, list[float]] = {"fast": [], "committed": []}
    for n in range(records):
        for durability, tracker in trackers.items():
            began_s = time.perf_counter()
            tracker.log({"params": {"n": n}, "metrics": {"value": n}})
            times[durability].append(time.perf_counter() - began_s)
    return times


def main() -> None:
    """Print one line for each durability, and the ratio."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    records = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with tempfile.TemporaryDirectory(dir=folder) as place:
        times = measure(Path(place), records)
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        p95 = statistics.quantiles(found, n=20)[18]
        print(f"{name}: median {medians[name] * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms")
    print(f"committed : fast = {medians['committed'] / medians['fast']:.2f}")


if __name__ == "__main__":
    main()
