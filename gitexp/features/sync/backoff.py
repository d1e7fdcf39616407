"""Taking turns at a remote that several clones push to at the same moment.

Whoever pushed last need not fetch and merge first, so it would win again and again while the others
starve. So a clone whose pushes met rivals stands back before its next one, for the longer the more
often it was refused; and within a push the pauses shrink with every refusal, so that whoever has
waited longest is the quickest.
"""

from contextlib import suppress
from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock

_MEMORY_S = 10.0
"""Rivals of a push that is longer ago have gone home."""
_LONGEST_S = 3.0
"""No pause is longer."""
_SHORTEST_S = 0.05
"""What is less is forgotten."""
_EAGER_AFTER = 6
"""From so many refusals on, a push does not pause any more."""


def stand_back(repo: Repo) -> None:
    """Wait when the last pushes of this clone met rivals a moment ago."""
    clock.sleep(_owed_s(repo))


def remember(repo: Repo, refused: int, turn_s: float) -> None:
    """Keep for the next push how often this one was refused, and how long a turn took.

    What earlier ones met counts half each time, so that peace is soon believed.
    """
    owed_s = refused * turn_s + _owed_s(repo) / 2
    note = _note(repo)
    with suppress(OSError):
        if owed_s < _SHORTEST_S:
            note.unlink(missing_ok=True)
        else:
            note.write_text(f"{owed_s:.3f}\n")


def pause(refused: int, turn_s: float) -> None:
    """Wait after a refusal: at random, and the less the more there were."""
    clock.sleep(min(clock.jitter(turn_s * max(_EAGER_AFTER - refused, 0)), _LONGEST_S))


def _owed_s(repo: Repo) -> float:
    with suppress(OSError, ValueError):
        note = _note(repo)
        age_s = clock.now().timestamp() - note.stat().st_mtime
        if 0 <= age_s < _MEMORY_S:
            return min(max(float(note.read_text()), 0.0), _LONGEST_S)
    return 0.0


def _note(repo: Repo) -> Path:
    return repo.state_dir / "rivals"
