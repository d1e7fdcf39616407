"""Runs parsed in bulk give the same rows as runs parsed one by one."""

import json
import random
from array import array
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import FileState, Outcome, Parser, Run, Table
from gitexp.core.query.names import ATTRIBUTES
from gitexp.core.schema import layout
from gitexp.core.schema.fields import Recorded
from gitexp.core.schema.toml_codec import encode_run
from gitexp.storage.cache import bulk
from gitexp.storage.cache.rows import File, Group
from tests.campaigns.test_hostile_records import mutated
from tests.core.sample_runs import full_run, make_run

RUNS = 200


def runs_of(rng: random.Random) -> list[Run]:
    """Return runs as in a real project: many of one form, some of others."""
    runs = []
    for number in range(1, RUNS + 1):
        run = replace(
            full_run() if number % 3 else make_run(),
            id=RunId(f"{rng.getrandbits(64):016x}"),
            clock=number,
            started=full_run().started + timedelta(microseconds=rng.choice((0, 1, 10**9))),
            outcome=rng.choice(list(Outcome)),
            tags=rng.choice(((), ("a",), ("a", "b", "a"))),
            fingerprint=rng.choice(("", "f1", "f2")),
            params={"lr": rng.choice((0.1, 1e-05, 3, True, "x")), "opt": {"name": "é\n"}},
            metrics={"loss": rng.random(), "n": rng.choice((1, 2, 10**17, float("nan")))},
            produced=rng.choice(((), ("a.txt", "b.txt"))),
        )
        if number % 5 < 2:
            parsed: Table = {"lr": rng.random(), "opt": {"name": "sgd"}, "depth": number}
            parser = Parser(by="argparse", renamed={"opt.name": "depth"} if number % 5 else {})
            run = replace(run, parsed=parsed, parser=parser)
        if number % 7 == 0:
            run = replace(run, inputs={"a": FileState(sha256="ab", bytes=number)}, reason="")
        runs.append(run)
    return runs


def group_of(run: Run, content: bytes | None) -> Group:
    path = layout.run_path(run.id, run.started)
    return run.id, [(File(path, layout.PathKind.RUN, ObjectId(f"{run.clock:040x}")), content)]


def rows(groups: list[Group], monkeypatch: pytest.MonkeyPatch, few: int) -> dict[str, Any]:
    """Return all rows sorted, with unpacked values."""
    monkeypatch.setattr(bulk, "_FEW", few)
    found = bulk.packed_rows_of(groups)
    values: dict[tuple[str, int], tuple[int, str]] = {}
    for part in found.pop("packed"):
        for name, column in part.columns:
            forms = json.loads(column) if isinstance(column, str) else list(array("d", column))
            members = zip(array("q", part.rids), array("q", part.clocks), forms, strict=True)
            values |= {(name, rid): (clock, repr(f)) for rid, clock, f in members if f is not None}
    return {"values": values} | {table: sorted(lines, key=repr) for table, lines in found.items()}


@pytest.mark.parametrize("seed", range(5))
def test_together_as_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of(random.Random(seed))
    groups = [group_of(run, encode_run(run)) for run in runs]
    for number in range(0, RUNS, 11):
        run, contents = groups[number]
        path = layout.series_path(run, runs[number].started)
        groups[number] = run, [*contents, (File(path, layout.PathKind.SERIES, ObjectId("")), None)]
    alone = rows(groups, monkeypatch, 10**6)
    assert len(alone["runs"]) == RUNS
    assert len(alone["files"]) == sum(len(contents) for _, contents in groups)
    assert rows(groups, monkeypatch, 2) == alone


@pytest.mark.parametrize("seed", range(20))
def test_damaged_ones_harm_only_themselves(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    groups = []
    for run in runs_of(rng):
        content = encode_run(run)
        groups.append(group_of(run, rng.choice((content, content, mutated(content, rng), None))))
    alone = rows(groups, monkeypatch, 10**6)
    assert RUNS / 4 < len(alone["broken"]) < RUNS * 3 / 4
    assert rows(groups, monkeypatch, 1) == alone


def test_runs_of_one_form_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(groups: list[Group], _part: int, _seeds: object) -> Any:
        assert not groups
        return {table: [] for table in ("runs", "tags", "produced", "files", "broken")}, []

    monkeypatch.setattr(bulk, "_rows_one_by_one", one_by_one)
    runs = [make_run(number, metrics={"loss": number / 7}) for number in range(1, 20)]
    found = bulk.packed_rows_of([group_of(run, encode_run(run)) for run in runs])
    assert len(found["runs"]) == len(runs)


def test_a_record_with_the_name_of_another_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run(number) for number in range(1, 20)]
    groups = [group_of(run, encode_run(run)) for run in runs]
    groups[3] = group_of(runs[3], encode_run(runs[4]))
    found = rows(groups, monkeypatch, 2)
    assert len(found["runs"]) == len(runs) - 1
    assert len(found["broken"]) == 1


def test_two_names_for_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key `a.b` and the key `b` of table `a` are the same name; the later value counts."""
    runs = [make_run(number) for number in range(1, 9)]
    odd = b'[params.a.c]\nd = 0\n\n[params]\n"a.b" = 1\n\n[params.a]\nb = 2\n'
    groups = [group_of(run, encode_run(replace(run, params={})) + b"\n" + odd) for run in runs]
    assert rows(groups, monkeypatch, 2) == rows(groups, monkeypatch, 10**6)


def test_every_attribute_is_read_from_columns_or_from_annotations() -> None:
    recorded = {name for name, read in ATTRIBUTES.items() if isinstance(read, Recorded)}
    assert set(ATTRIBUTES) - recorded == {"decision", "disputed"}
