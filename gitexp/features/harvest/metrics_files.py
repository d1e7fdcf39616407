"""Read the metrics files that a command wrote."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gitexp.core.errors import GitexpError
from gitexp.core.inputs.files import parse_metrics
from gitexp.core.model.run import Series, Table, nest, numbers
from gitexp.core.schema.series_csv import merge_series


def file_marks(files: tuple[Path, ...]) -> dict[Path, tuple[int, int, int]]:
    """Return modification time, size and inode of each file, to detect rewrites."""
    marks = {}
    for file in files:
        with suppress(OSError):
            found = file.stat()
            marks[file] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return marks


def gather_metrics(
    files: tuple[Path, ...],
    before: Mapping[Path, tuple[int, int, int]],
    *,
    are_named: bool = True,
) -> tuple[list[Path], Table, Series, list[str]]:
    """Read the metrics files written since `before`; an unchanged file is of an earlier run.

    Returns the files read, the last values, the series, and warnings. `are_named` is true for files
    that the user named: then one that is missing or unchanged is a warning.
    """
    found: list[Path] = []
    metrics: Table = {}
    several: list[Series] = []
    warnings = []
    after = file_marks(files)
    for file in files:
        if file not in after:
            if are_named:
                warnings.append(f"{_shown(file)} was not written: there is no such file")
            continue
        if before.get(file) == after[file]:
            if are_named:
                warnings.append(
                    f"{_shown(file)} was not written by this run; its values do not count"
                )
            continue
        try:
            values, rows = parse_metrics(file.read_bytes(), file.suffix, name=file.name)
        except (GitexpError, OSError) as error:
            why = error.why if isinstance(error, GitexpError) else str(error)
            warnings.append(f"cannot read {_shown(file)}: {why or error}")
            continue
        if are_named and not numbers(values):
            warnings.append(f"{_shown(file)} has no metric: none of its values is a number")
        found.append(file)
        metrics = nest(metrics, values)
        several.append(rows)
    return found, metrics, merge_series(*reversed(several)), warnings


def _shown(file: Path) -> str:
    """Return the path as the user named it, from the current directory; the name if elsewhere."""
    try:
        shown = file.relative_to(Path.cwd())
    except (ValueError, OSError):
        return file.name
    return file.name if ".git" in shown.parts else shown.as_posix()
