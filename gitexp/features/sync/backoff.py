"""Back off when several clones push to one remote at the same moment.

The clone that pushed last need not fetch and merge first, so it would win again and again while
the others starve. A clone whose pushes were rejected therefore waits before its next push, longer
after more rejections. Within one push the pauses shrink with every rejection, so the clone that
has waited longest retries fastest.
"""

from contextlib import suppress
from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock

_MEMORY_S = 10.0
"""Ignore contention older than this."""
_LONGEST_S = 3.0
"""Upper bound of a pause."""
_SHORTEST_S = 0.05
"""Shorter waits are not stored."""
_EAGER_AFTER = 6
"""Rejections after which a push retries at once."""


def wait_before_push(repo: Repo) -> None:
    """Wait if recent pushes of this clone were rejected because other clones pushed."""
    clock.sleep(_penalty_s(repo))


def record_contention(repo: Repo, refused: int, turn_s: float) -> None:
    """Store for the next push how often this one was rejected, and how many seconds a try took.

    The stored wait of earlier pushes counts half, so it decays quickly once contention ends.
    """
    owed_s = refused * turn_s + _penalty_s(repo) / 2
    note = _note(repo)
    with suppress(OSError):
        if owed_s < _SHORTEST_S:
            note.unlink(missing_ok=True)
        else:
            note.write_text(f"{owed_s:.3f}\n")


def sleep_after_rejection(refused: int, turn_s: float) -> None:
    """Sleep a random time; the bound shrinks with every rejection."""
    clock.sleep(min(clock.jitter(turn_s * max(_EAGER_AFTER - refused, 0)), _LONGEST_S))


def _penalty_s(repo: Repo) -> float:
    with suppress(OSError, ValueError):
        note = _note(repo)
        age_s = clock.now().timestamp() - note.stat().st_mtime
        if 0 <= age_s < _MEMORY_S:
            return min(max(float(note.read_text()), 0.0), _LONGEST_S)
    return 0.0


def _note(repo: Repo) -> Path:
    return repo.state_dir / "rivals"
