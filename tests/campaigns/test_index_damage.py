"""A damaged run index: the answers are always those of a new index."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.storage.branches import DAMAGES, REF, Branch, answers, make_annotation, make_run

Answers = dict[str, Any]


def flip_a_bit(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def overwrite(file: Path, rng: random.Random, filling: Callable[[int], bytes]) -> None:
    """Overwrite a part of the file in place."""
    size = file.stat().st_size
    start = rng.randrange(size)
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(filling(rng.randint(1, size - start)))


AT_RANDOM: dict[str, Callable[[Path, random.Random], object]] = {
    "bit flipped": flip_a_bit,
    "cut": lambda file, rng: os.truncate(file, rng.randrange(file.stat().st_size)),
    "part zeroed": lambda file, rng: overwrite(file, rng, bytes),
    "part garbage": lambda file, rng: overwrite(file, rng, rng.randbytes),
    "all garbage": lambda file, rng: file.write_bytes(rng.randbytes(rng.randint(1, 9999))),
    "grown": lambda file, rng: file.write_bytes(file.read_bytes() + rng.randbytes(4096)),
}


class Ground:
    """A repository at one of two tips, files of other indexes, and the true answers."""

    def __init__(self, folder: Path) -> None:
        self.branch = Branch(folder / "repo")
        self.kept: dict[str, Path] = {}
        self.truth: dict[str, Answers] = {}
        runs = [make_run(number) for number in range(1, 25)]
        self.branch.put(*runs).annotate(runs[3], make_annotation(runs[3], 40)).commit()
        self._keep("older", self.branch)
        self.branch.put(make_run(31)).delete(runs[5]).commit()
        self._keep("newer", self.branch)
        other = Branch(folder / "other")
        other.put(make_run(77), runs[2]).commit()
        self._keep("another repository's", other)

    def _keep(self, name: str, branch: Branch) -> None:
        index = branch.open()
        self.truth[index.tip or ""] = answers(index)
        index.release()
        self.kept[name] = shutil.copytree(branch.repo.state_dir, branch.folder.with_name(name))

    def damage(self, kind: str, rng: random.Random) -> None:
        file = self.branch.file
        if kind in DAMAGES:
            DAMAGES[kind](file)
        elif kind in AT_RANDOM:
            AT_RANDOM[kind](file, rng)
        else:
            file.write_bytes((self.kept[kind] / file.name).read_bytes())

    def kinds(self) -> list[str]:
        return [*DAMAGES, *AT_RANDOM, *self.kept]

    def move(self, rng: random.Random) -> Answers:
        """Set the branch to one of its tips. Return the true answers."""
        tip = rng.choice(list(self.truth)[:2])  # the third is in the other repository
        self.branch.repo.git("update-ref", REF, tip)
        return self.truth[tip]


SILENT = frozenset({"bit flipped", "part zeroed", "part garbage"})
"""SQLite may not notice them: then `differences`, which `doctor` asks, does."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("times", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_no_damage_changes_an_answer(tmp_path: Path, times: int) -> None:
    rng, ground = random.Random(8), Ground(tmp_path)
    done: Counter[str] = Counter()
    found: Counter[str] = Counter()
    while done.total() < times:
        for kind in ground.kinds():
            truth = ground.move(rng)
            index = ground.branch.open()
            if opened := rng.random() < 0.5:
                assert answers(index) == truth
            else:
                index.release()
            ground.damage(kind, rng)
            assert list(index.documents()) == truth["documents"], (kind, opened, done.total())
            index.release()
            truth = ground.move(rng) if rng.random() < 0.5 else truth
            index = ground.branch.open()
            if kind in SILENT:
                fresh = ground.branch.open(tmp_path / "fresh.sqlite")
                differs = index.differences(fresh)
                assert list(index.documents()) == truth["documents"], (kind, opened, done.total())
                found[kind] += bool(differs)
                if differs:  # as `doctor` says then
                    index.release()
                    ground.branch.cache().delete()
                    index = ground.branch.open()
            assert answers(index) == truth, (kind, opened, done.total())
            index.release()
            if ground.branch.file.is_dir():  # it is not ours to clear; the answers were from memory
                ground.branch.file.rmdir()
            done[kind] += 1
    print(f"{done.total()} damages of {len(done)} kinds, no wrong answer; told: {dict(found)}")
