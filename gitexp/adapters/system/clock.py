"""The only source of time and randomness.

`GITEXP_NOW` (seconds since the epoch, may have a fraction) fixes the wall clock, for tests and for
recording past runs. Durations always come from the monotonic clock.
"""

import base64
import os
import time
from datetime import UTC, datetime

from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import RUN_ID_LENGTH, RunId


def now() -> datetime:
    """Return the time in UTC, to the millisecond. Raises `InvalidInput` on a bad `GITEXP_NOW`."""
    fixed = os.environ.get("GITEXP_NOW")
    try:
        moment = datetime.fromtimestamp(time.time() if fixed is None else float(fixed), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(
            "cannot read GITEXP_NOW", why=str(error), hints=["give seconds since the epoch"]
        ) from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def file_time_ns() -> int:
    """Return the wall clock of file times, in nanoseconds; `GITEXP_NOW` does not change it."""
    return time.time_ns()


def monotonic_s() -> float:
    """Return seconds of a clock that never jumps; only differences have a meaning."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def new_run_id() -> RunId:
    """Return a random run id."""
    return RunId(new_id())


def new_id() -> str:
    """Return 16 random hex digits, the form of run and annotation ids."""
    return os.urandom(RUN_ID_LENGTH // 2).hex()


def new_secret() -> str:
    """Return 192 random bits as URL-safe text: a secret of one process."""
    return base64.urlsafe_b64encode(os.urandom(24)).decode()


def jitter(seconds: float) -> float:
    """Return a random part of the given time, to spread the retries of concurrent processes."""
    return seconds * int.from_bytes(os.urandom(4)) / 2**32
