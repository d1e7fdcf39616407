"""Print all figures as one table: `python -m tests.benchmarks`.

`--runs 1000` takes a minute instead of half an hour, `--only reading` measures one part.
"""

import argparse
import compileall
import os
import shutil
import sys
import tempfile
from pathlib import Path

import gitexp
from tests.benchmarks.building import sealed_environment
from tests.benchmarks.figures import ALL, Bench
from tests.benchmarks.timing import Figure, table


def main() -> int:
    """Measure and print. Return 1 if a figure is above twice its limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=15, help="measurements of what is short")
    parser.add_argument("--only", choices=ALL, action="append", help="parts of the table")
    parser.add_argument("--folder", type=Path, help="where to work [default: a temporary one]")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="gitexp-benchmarks-", dir=asked.folder))
    try:
        figures = measure(root, asked.runs, asked.turns, asked.only or list(ALL))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    sys.stdout.write(table(figures) + "\n")
    return any(figure.failed for figure in figures)


def measure(root: Path, runs: int, turns: int, parts: list[str]) -> list[Figure]:
    """Yield the figures of the named parts."""
    environment = sealed_environment(root)
    os.environ.clear()
    os.environ.update(environment)
    sys.pycache_prefix = environment["PYTHONPYCACHEPREFIX"]
    compileall.compile_dir(Path(gitexp.__file__).parent, quiet=1)
    bench = Bench(root, runs, environment, turns)
    figures: list[Figure] = []
    for part in parts:
        for figure in ALL[part](bench):
            figures.append(figure)
            sys.stderr.write(f"{figure.name}: {figure.ratio:.3g} {figure.unit} {figure.verdict}\n")
    return figures


if __name__ == "__main__":
    sys.exit(main())
