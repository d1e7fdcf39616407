"""Names on disks that ignore case: all paths of the run branch stay distinct and valid."""

import random
import re
import unicodedata
from datetime import UTC, datetime, timedelta

from gitexp.core.model.ids import RunId
from gitexp.core.schema.layout import (
    TOMBSTONE,
    annotation_path,
    environment_path,
    parse_path,
    rival_path,
    run_path,
    series_path,
)

NAMES = 20_000
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
DAYS = (datetime(9999, 12, 31, tzinfo=UTC) - EARLIEST).days
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)", re.IGNORECASE)


def some_paths(rng: random.Random) -> list[str]:
    """Return every file that a run may have, and the conflicting version of each."""
    run, note, blob, digest = (f"{rng.getrandbits(4 * n):0{n}x}" for n in (16, 16, 40, 64))
    started = EARLIEST + timedelta(days=rng.randint(0, DAYS))
    paths = [
        run_path(RunId(run), started),
        series_path(RunId(run), started),
        annotation_path(RunId(run), started, note),
        annotation_path(RunId(run), started, TOMBSTONE),
        environment_path(digest),
    ]
    return paths + [rival_path(path, blob) for path in paths]


def test_paths_are_distinct_and_valid_on_every_disk() -> None:
    rng = random.Random(14)
    folded: dict[str, str] = {}
    for _ in range(NAMES // 10):
        for path in some_paths(rng):
            assert parse_path(path), path
            assert folded.setdefault(unicodedata.normalize("NFC", path).casefold(), path) == path
            assert len(path.encode()) <= 200
            for part in path.split("/"):
                assert not RESERVED.match(part), path
                assert not part.endswith((".", " ")), path
                assert not re.search(r'[\x00-\x1f<>:"\\|?*\x7f-\U0010ffff]', part), path
    assert len(folded) > NAMES * 0.99
