"""Metric series to CSV and back.

Floor 1, pure. What arrives on the branch is untrusted: every fault becomes one `Unreadable`.
"""

import csv
import io

from gitexp.errors import Unreadable
from gitexp.model import Series


def encode_series(rows: Series) -> bytes:
    """A metric series as CSV: `step,time`, then the metrics sorted; absent cells are empty."""
    names = sorted({name for row in rows for name in row} - {"step", "time"})
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    columns = ["step", "time", *names]
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if name not in row else _cell(row[name]) for name in columns])
    return out.getvalue().encode()


def decode_series(data: bytes) -> Series:
    """Read a metric series. Raises `Unreadable`."""
    try:
        lines = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        columns = next(lines)
        return [
            {name: _number(cell) for name, cell in zip(columns, line, strict=True) if cell != ""}
            for line in lines
        ]
    except (csv.Error, UnicodeDecodeError, ValueError, StopIteration) as error:
        raise Unreadable("cannot read a metric series", why=str(error) or "it is empty") from error


def _cell(value: float | str) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _number(cell: str) -> float | int | str:
    try:
        return int(cell)
    except ValueError:
        try:
            return float(cell)
        except ValueError:
            return cell
