"""The only source of time and randomness.

`GITEXP_NOW` (seconds since the epoch, may have a fraction) fixes the wall clock; it is meant for
tests and for recording runs of the past. Durations always come from the monotonic clock.
"""

import os
import time
from datetime import UTC, datetime

from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import RUN_ID_LENGTH, RunId


def now() -> datetime:
    """The wall clock in UTC, in milliseconds. Raises `InvalidInput` on a bad `GITEXP_NOW`."""
    fixed = os.environ.get("GITEXP_NOW")
    try:
        moment = datetime.fromtimestamp(time.time() if fixed is None else float(fixed), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(
            "cannot read GITEXP_NOW", why=str(error), hints=["give seconds since the epoch"]
        ) from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def file_time_ns() -> int:
    """The machine's wall clock as files get it, in nanoseconds; `GITEXP_NOW` does not change it."""
    return time.time_ns()


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def new_run_id() -> RunId:
    """A fresh random run id."""
    return RunId(new_id())


def new_id() -> str:
    """16 fresh random hex digits, as runs and annotations have."""
    return os.urandom(RUN_ID_LENGTH // 2).hex()


def jitter(seconds: float) -> float:
    """A random share of the given time, to keep rivals out of step."""
    return seconds * int.from_bytes(os.urandom(4)) / 2**32
