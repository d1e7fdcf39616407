"""Questions to the cache have the answers that the records give."""

import json
import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitexp.core.errors import NotFound
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Code,
    Command,
    Outcome,
    RecordedRun,
    Run,
    SweepPlace,
    Value,
    run_order,
)
from gitexp.core.query.matching import ATTRIBUTES, matches, parse_query, resolve
from gitexp.core.schema.layout import PathKind
from gitexp.core.schema.toml_codec import decode_run, encode_run
from gitexp.storage.cache.fill import RowWriter, create_indexes, create_tables
from gitexp.storage.cache.ordering import condition_of
from gitexp.storage.cache.rows import File, RunFiles, read_run_files, stored
from gitexp.storage.cache.sql import _MANY, SCHEMA, Compiler, program, row_of, run_of
from gitexp.storage.cache.values import materialize
from tests.storage.branches import (
    STARTED,
    Branch,
    make_annotation,
    make_run,
    query,
)


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path / "repo")


@pytest.fixture
def filled(branch: Branch) -> Branch:
    runs = [make_run(n) for n in range(1, 25)]
    branch.put(*runs).annotate(runs[3], make_annotation(runs[3], 40)).commit()
    return branch


# --- questions ------------------------------------------------------------------------------------


def test_sorting_puts_missing_values_last_and_ties_newest_first(branch: Branch) -> None:
    values = [0.5, None, 0.5, math.nan, 0.9, -1, "text", math.inf, True]
    runs = [
        make_run(n + 1, metrics={} if value is None else {"m": value})
        for n, value in enumerate(values)
    ]
    branch.put(*runs).commit()
    index = branch.open()

    def order(*, descending: bool, limit: int | None = None) -> list[int]:
        ids = index.ids(sort_by="metrics.m", descending=descending, limit=limit)
        numbers = {run.id: n for n, run in enumerate(runs)}
        return [numbers[run] for run in ids]

    assert order(descending=False) == [5, 2, 0, 4, 8, 7, 6, 3, 1]
    assert order(descending=True) == [7, 8, 4, 2, 0, 5, 6, 3, 1]
    for limit in range(10):
        assert order(descending=True, limit=limit) == order(descending=True)[:limit]


def test_sorting_by_an_attribute_puts_missing_values_last(branch: Branch) -> None:
    runs = [make_run(n, duration_s=d) for n, d in [(1, 2.0), (2, None), (3, 1.0), (4, None)]]
    branch.put(*runs).commit()
    index = branch.open()
    assert index.ids(sort_by="duration_s") == [runs[n].id for n in (2, 0, 3, 1)]
    assert index.ids(sort_by="duration_s", descending=True) == [runs[n].id for n in (0, 2, 3, 1)]


def test_a_filter_and_an_order_and_a_limit_work_together(filled: Branch) -> None:
    index = filled.open()
    keys = index.keys()
    where = query("metrics.accuracy > 0.3 and opt.name == 'adam'", *keys)
    expected = [
        e
        for e in sorted(
            filled.entries(), key=lambda e: (e.run.metrics["accuracy"], e.run.clock), reverse=True
        )
        if matches(where, e)
    ]
    found = index.ids(where, "metrics.accuracy", descending=True, limit=4)
    assert found == [e.run.id for e in expected[:4]]
    assert len(found) == 4


def test_the_newest_runs_are_sealed_ones_unless_asked(branch: Branch) -> None:
    runs = [
        make_run(1, metrics={"m": 0.5}),
        make_run(2, metrics={"m": math.inf}),
        make_run(3, metrics={"m": 0.9}, outcome=Outcome.RUNNING),
        make_run(4, metrics={"m": 0.5}),
        make_run(5, metrics={"m": 0.1}),
        make_run(6, metrics={"m": "text"}),
    ]
    branch.put(*runs).commit()
    index = branch.open()

    def numbers(ids: list[RunId]) -> list[int]:
        return [run.clock for run in runs for _ in [0] if run.id in ids] and [
            next(run.clock for run in runs if run.id == found) for found in ids
        ]

    assert numbers(index.newest(2)) == [6, 5]
    assert numbers(index.newest(9, sealed=False, before=runs[3])) == [3, 2, 1]
    assert numbers(index.newest(9, with_metric="m", before=runs[3])) == [2, 1]


def test_runs_are_found_by_what_names_them(filled: Branch) -> None:
    first, fourth = make_run(1), make_run(4)
    filled.put(make_run(30, source="mlflow:7", code=replace(first.code, snapshot=TREE))).commit()
    index = filled.open()
    assert index.by_prefix(first.id[:6]) == [first.id]
    assert index.by_prefix("") == sorted(filled.runs)
    assert index.by_name("brave-otter-4")[0] == make_run(24).id
    newest_first = sorted(filled.runs.values(), key=run_order, reverse=True)
    assert index.by_commit(first.code.commit) == [
        run.id for run in newest_first if run.code.commit == first.code.commit
    ]
    assert index.by_commit(TREE) == [make_run(30).id]
    assert [e.run.id for e in index.by_fingerprint("f0")] == [
        run.id for run in newest_first if run.fingerprint == "f0"
    ]
    assert index.entry(fourth.id) == next(e for e in filled.entries() if e.run.id == fourth.id)
    with pytest.raises(NotFound):
        index.entries([first.id, RunId("0" * 16)])


TREE = ObjectId("5a" * 20)


def test_what_is_no_text_names_no_run(filled: Branch) -> None:
    index = filled.open()
    assert not index.by_name("\udcff")
    assert not index.produced_by("\ud800")


def test_documents_come_in_the_order_asked(filled: Branch) -> None:
    index = filled.open()
    wanted = [make_run(n).id for n in (3, 1, 2, 3)]
    assert [json.loads(doc)["id"] for doc in index.documents(wanted)] == wanted
    assert [entry.run.id for entry in index.entries(wanted)] == wanted


def test_entries_keep_the_types_that_json_lacks(branch: Branch) -> None:
    odd: dict[str, Value] = {"day": date(2026, 1, 2), "nan": math.nan, "t": "NaN", "when": STARTED}
    plain = make_run(1, params={"lr": 0.1}, metrics={"m": 1.0})
    run = make_run(2, params=odd, metrics={"m": -math.inf}, environment={"at": time(1, 2)})
    branch.put(plain, run).commit()
    for index in (branch.open(), branch.open()):  # the first fills the cache
        assert repr(index.entry(run.id).run) == repr(run)
        assert index.entry(plain.id).run == plain
        assert json.loads(next(index.documents([run.id])))["params"]["nan"] == "NaN"
    conn = sqlite3.connect(branch.file)
    kept = conn.execute("SELECT typed IS NULL FROM documents ORDER BY 1").fetchall()
    conn.close()
    assert kept == [(0,), (1,)]


def test_short_ids_are_unique_and_no_longer_than_needed(branch: Branch) -> None:
    ids = ["0" * 16, "0" * 15 + "1", "abcdefab00000000", "abcdefabcd000000", "f" * 16]
    runs = [make_run(n + 1, id=RunId(run)) for n, run in enumerate(ids)]
    branch.put(*runs, *(make_run(n) for n in range(100, 300))).commit()
    index = branch.open()
    expected = ["0" * 16, "0" * 15 + "1", "abcdefab0", "abcdefabc", "f" * 7]
    assert list(index.short([run.id for run in runs]).values()) == expected
    everything = index.short(index.ids())
    assert [everything[run.id] for run in runs] == expected
    assert len(everything) == 205
    assert index.shortest_prefix(runs[2].id) == "abcdefab0"


def test_a_column_has_the_values_of_the_records(branch: Branch) -> None:
    values = [1, 2.5, True, False, "text", "true", math.inf, -math.inf, 2**63 - 1]
    runs = [make_run(n + 1, metrics={"m": value}) for n, value in enumerate(values)]
    branch.put(*runs, make_run(90, metrics={"m": math.nan})).commit()
    index = branch.open()
    column = index.column("metrics.m")
    assert [column[run.id] for run in runs] == values
    assert [type(column[run.id]) for run in runs] == [type(value) for value in values]
    assert math.isnan(float(str(column[make_run(90).id])))
    assert index.column("metrics.m", [runs[0].id]) == {runs[0].id: 1}
    assert index.column("dirty")[runs[0].id] is False
    assert index.column("duration_s") == {}


def test_a_deleted_key_is_no_longer_listed(branch: Branch) -> None:
    run = make_run(1, metrics={"gone": 1})
    branch.put(run, make_run(2)).commit()
    index = branch.open()
    assert index.keys("metrics") == ["metrics.accuracy", "metrics.gone"]
    branch.delete(run).commit()
    index = branch.open()
    assert index.keys("metrics") == ["metrics.accuracy"]
    assert index.ids(query("metrics.gone is None", "metrics.gone")) == [make_run(2).id]


def test_what_a_program_produced_is_remembered(branch: Branch, tmp_path: Path) -> None:
    branch.put(
        make_run(1, produced=("a", "b")),
        make_run(2, produced=("b", "c")),
        make_run(3, produced=("z",), command=Command(argv=("make",))),
    ).commit()
    index = branch.open()
    assert index.produced_by("python train.py") == {"a", "b", "c"}
    branch.delete(make_run(2)).commit()
    index = branch.open()
    assert index.produced_by("python train.py") == {"a", "b"}
    assert index.produced_by("make") == {"z"}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("python", "train.py", "--lr", "1"), "python train.py"),
        (("/usr/bin/env", "-S", "scripts/go"), "env scripts/go"),
        (("make", "all"), "make"),
        (("./bench.sh",), "bench.sh"),
        ((), ""),
    ],
)
def test_a_program_is_named_by_its_file(argv: tuple[str, ...], expected: str) -> None:
    assert program(Command(argv=argv)) == expected


def test_row_numbers_keep_the_order_of_ids() -> None:
    ids = [RunId(text * 16) for text in "0178af"]
    rows = [row_of(run) for run in ids]
    assert rows == sorted(rows)
    assert [run_of(row) for row in rows] == ids
    assert -(2**63) <= rows[0] <= rows[-1] < 2**63


# --- a query means the same in SQL and in Python --------------------------------------------------

NASTY = [
    "' OR '1'='1",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "1 UNION SELECT * FROM vals",
    "%' AND sleep(5) --",
    "?1",
    ":name",
    "\\",
    "NULL",
    "NaN",
    "Infinity",
    "true",
    "0.1",
    "",
    "é\u0000x",
    "\U0001f600",
]
texts = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
)
values = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0.0, -0.0, 0.1, 1.0, 2.0**53, math.nan, math.inf, -math.inf]),
    st.floats(),
    texts,
    st.just(STARTED),
    st.lists(st.integers(0, 2), max_size=2),
)
tables = st.dictionaries(st.sampled_from(["a", "b", "top-1", "x.y", "' OR 1"]), values, max_size=4)
runs_drawn = st.builds(
    make_run,
    st.integers(1, 10**6),
    name=texts,
    reason=st.none() | texts,
    duration_s=st.none() | st.floats(0, 10),
    outcome=st.sampled_from(Outcome),
    tags=st.lists(texts, max_size=2, unique=True).map(tuple),
    params=tables,
    metrics=tables,
    environment=tables,
    command=st.none()
    | st.builds(Command, argv=st.just(()), exit_code=st.none() | st.integers(-1, 1)),
    code=st.builds(
        Code,
        commit=st.just(TREE),
        tree=st.just(TREE),
        dirty=st.booleans(),
        branch=st.none() | texts,
    ),
)
KEYS = [
    f"{space}.{key}"
    for space in ("metrics", "params", "env")
    for key in ("a", "b", "top-1", "x.y", "' OR 1")
]
fields = st.one_of(
    st.sampled_from([*ATTRIBUTES, "metrics.a", "metrics.b", "params.a", "env.a"]),
    st.sampled_from(['metrics["top-1"]', 'params["x.y"]', 'metrics["\' OR 1"]']),
)
literals = st.one_of(
    texts.map(repr),
    st.integers(-3, 3).map(repr),
    st.integers(-(2**63), 2**63 - 1).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["True", "False", "1e999", "-1e999", "0.1", repr(STARTED.isoformat())]),
)
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
tuples = st.lists(literals, max_size=3).map(lambda items: f"[{', '.join(items)}]")
inside = st.sampled_from(["in", "not in"])
atoms = st.one_of(
    st.builds("{} {} {}".format, fields | st.just("tag"), operators, literals),
    st.builds("{} {} {} {} {}".format, literals, operators, fields, operators, literals),
    st.builds("{} {} {}".format, fields, operators, fields),
    st.builds("{} {} {}".format, fields | st.just("tag"), inside, tuples),
    st.builds("{!r} {} {}".format, texts, inside, fields | st.just("tags")),
    st.builds("{} {} None".format, fields | st.just("tag"), st.sampled_from(["is", "is not"])),
    fields | st.just("tag"),
)
filters = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def tables_in_memory() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    create_tables(conn)
    create_indexes(conn)
    yield conn
    conn.close()


@settings(max_examples=120)
@given(
    runs=st.lists(runs_drawn, max_size=6, unique_by=lambda run: run.id),
    asked=st.lists(filters, min_size=1, max_size=4),
)
def test_sql_and_python_agree_on_every_query(
    tables_in_memory: sqlite3.Connection, runs: list[Run], asked: list[str]
) -> None:
    conn = tables_in_memory
    conn.execute("BEGIN")
    try:
        derived = [RunFiles(run.id) for run in runs]
        for files, run in zip(derived, runs, strict=True):
            files.stored = stored(RecordedRun(run))
        RowWriter(conn).add(derived)

        def need(name: str) -> None:
            materialize(conn, [name])

        for text in asked:
            parsed = resolve(parse_query(text), KEYS)
            for sql in (Compiler(need), Compiler(need, lambda _asked, _values: _MANY)):
                condition = condition_of(sql, parsed)
                found = conn.execute(f"SELECT id FROM runs r WHERE {condition}", sql.values)
                expected = {run.id for run in runs if matches(parsed, RecordedRun(run))}
                assert {run for (run,) in found.fetchall()} == expected
                negated = f"SELECT id FROM runs r WHERE NOT {condition_of(sql, parsed)}"
                assert {run for (run,) in conn.execute(negated, sql.values)} == {
                    run.id for run in runs
                } - expected
    finally:
        conn.execute("ROLLBACK")


WITH_ONE_MORE = """
import sqlite3
from gitexp.core.schema import fields
fields.DERIVED["how"] = fields.Derived("TEXT", lambda run: run["outcome"] + " " + run["id"])
from gitexp.core.model.run import RecordedRun
from gitexp.core.query.matching import parse_query, resolve
from gitexp.storage.cache.fill import RowWriter, create_tables
from gitexp.storage.cache.ordering import condition_of
from gitexp.storage.cache.rows import RunFiles, stored
from gitexp.storage.cache.sql import SCHEMA, Compiler
from tests.storage.branches import make_run
conn = sqlite3.connect(":memory:")
create_tables(conn)
run = make_run(1)
files = RunFiles(run.id)
files.stored = stored(RecordedRun(run))
RowWriter(conn).add([files])
sql = Compiler()
condition = condition_of(sql, resolve(parse_query("how > 'a'"), []))
found = conn.execute(f"SELECT count(*), max(how) FROM runs r WHERE {condition}", sql.values)
print(SCHEMA, *found)
"""


def test_derived_attribute_needs_one_line_and_caches_without_it_are_rebuilt() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_ONE_MORE], capture_output=True, text=True, check=True
    )
    schema, found = done.stdout.strip().split(" ", 1)
    assert schema != SCHEMA
    run = make_run(1)
    assert found == f"(1, '{run.outcome.value} {run.id}')"


def test_the_largest_filter_is_within_the_bounds_of_sqlite(filled: Branch) -> None:
    index = filled.open()
    many = " or ".join("metrics.accuracy in (1, 2)" for _ in range(199))
    assert index.ids(query(f"{many} or outcome == 'succeeded'", *index.keys()), limit=1)
    for a, b in ((" and ", " or "), (" or ", " and ")):
        deep = "tag"
        for level in range(14):
            deep = f"lr > accuracy{(a, b)[level % 2]}({deep})"
        deepest = query(f"not ({deep})", *index.keys())
        every = sorted(filled.runs)
        expected = [e.run.id for e in filled.entries() if matches(deepest, e)]
        assert sorted(index.ids(deepest, "params.lr")) == sorted(expected)
        assert 0 < len(expected) < len(every)


# --- from a record to its rows --------------------------------------------------------------------

ODD: tuple[dict[str, Any], ...] = (
    {},
    {"params": {"x": math.nan, "y": [1, {"z": math.inf}], "day": date(2020, 1, 1), "e": {}}},
    {"params": {"a": 1e308, "b": 1e308, "n": {"m": {"k": 2**63 - 1, "l": -(2**63)}}}},
    {"metrics": {"a": -math.inf, "q": {"r": math.nan}}},
    {"params": {"seed": 3, "n": {"random_state": 4}, "lr": 0.1}, "fingerprint": "2:" + "ab" * 32},
    {"params": {"seed": 3.5}, "fingerprint": "2:" + "ab" * 32},
    {"params": {}, "command": None},
    {"sweep": SweepPlace(id="s", number=3)},
    {"environment": {"a": {"at": STARTED}}, "tags": ("b", "a")},
    {
        "command": Command(argv=("sh", "--lr", "0.1"), template=("sh", "--lr={lr}")),
        "params": {"lr": 0.1},
    },
)
"""Fields of records for which a fill must take care."""


@pytest.mark.parametrize("seed_params", [(), ("lr", "!seed", "n.random_state")])
def test_a_record_alone_has_the_rows_that_its_run_has(seed_params: tuple[str, ...]) -> None:
    for number, fields in enumerate(ODD, 1):
        run = make_run(number, **fields)
        file = File("runs/x.toml", PathKind.RUN, ObjectId("0" * 40))
        found = read_run_files(run.id, [(file, encode_run(run))], seed_params).stored
        true = stored(RecordedRun(decode_run(encode_run(run))), seed_params)
        assert found is not None
        assert json.dumps(found.document) == json.dumps(true.document)
        assert json.dumps(found.typed) == json.dumps(true.typed)
        assert found.keys == true.keys
