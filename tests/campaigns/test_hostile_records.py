"""Hostile records: every file on the branch is read, or named as unreadable."""

import random
import re
import time
import tomllib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.run import Annotation, Run
from gitexp.core.schema import layout, toml_codec
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.toml_codec import (
    decode_annotation,
    decode_run,
    encode_annotation,
    encode_run,
)
from tests.campaigns.field import Field
from tests.conftest import RepoBuilder
from tests.core.sample_runs import full_run, make_annotation
from tests.storage.branches import Branch, make_run

MEMORY_BYTES = 64 << 20
"""Memory limit for reading one record, in bytes."""
PROCESSOR_S = 1.0
"""Limit for reading one record, in seconds of processor time, which load does not change."""

EVIL = "\x1b]52;c;ZXZpbA==\x07\x9b31m\u202e\r\b"

WORDS = (
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b"\x1b[2J", b"\xef\xbb\xbf", b"\r", b"\\ud800"),
    *(b'"', b"'''", b'"""', b"[", b"]]", b"{", b"=", b".", b"#", b"\n", b"inf", b"nan", b"-"),
    *(b"[[params]]\n", b"[code]\n", b"x = {a.b.c = 1}\n", b"schema = 2\n", b"schema = 1.0\n"),
)

VALUES = (
    *(b"7" * 70, b"7" * 5000, b"-9223372036854775809", b"1e999", b"0x" + b"f" * 40, b"nan"),
    *(b"true", b'""', b"[]", b"{}", b"[[1], {a = 2}]", b"1985-01-01", b"00:00:00", b"'%s'"),
    *(b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b'"\\u0000\\u009b"'),
    *(b'"' + b"x" * 100_000 + b'"', b"[" * 200 + b"]" * 200, b"{a = " * 200 + b"1" + b"}" * 200),
)


def flip_bytes(data: bytes, rng: random.Random) -> bytes:
    content = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def insert(data: bytes, rng: random.Random, word: bytes) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + word + data[place:]


def change_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines repeated, removed or moved."""
    lines = data.splitlines(keepends=True)
    moved = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.randint(0, 2)):
        lines.insert(rng.randint(0, len(lines)), moved)
    return b"".join(lines)


def change_value(data: bytes, rng: random.Random, value: bytes | None = None) -> bytes:
    """A field of another type or size, or with the value of another field."""
    fields = list(re.finditer(rb"(?m)(?<= = ).*$", data))
    field, other = rng.sample(fields, 2)
    return data[: field.start()] + (value or other[0]) + data[field.end() :]


def deepen(data: bytes, rng: random.Random) -> bytes:
    depth = rng.choice((20, 33, 1000, 100_000))
    return data + rng.choice(
        (b"[" + b".".join([b"a"] * depth) + b"]\n", b"\nz = " + b"[" * depth, b"\na." * depth)
    )


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bytes,
    change_lines,
    change_value,
    deepen,
    lambda data, rng: data[: rng.randrange(len(data))],
    lambda data, rng: insert(data, rng, rng.choice(WORDS)),
    lambda data, rng: insert(data, rng, rng.randbytes(rng.randint(1, 64))),
    lambda data, rng: insert(data, rng, b"7" * rng.choice((40, 400, 40_000))),
    lambda data, rng: change_value(data, rng, rng.choice(VALUES)),
    lambda data, rng: data * rng.choice((2, 300)),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    for mutation in rng.choices(MUTATIONS, k=rng.choice((1, 1, 2, 3))):
        data = mutation(data, rng) if data.count(b" = ") > 1 else data
        data = data[: 2 * MAX_RECORD_BYTES]
    return data


def is_refused(data: bytes, decode: Callable[[bytes], Run | Annotation]) -> bool:
    try:
        decode(data)
    except UnreadableRecord as error:
        assert len(f"{error.what}{error.why}") < 400
        return True
    return False


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fast", [False, True], ids=["tomllib", "toml-rs"])
@pytest.mark.parametrize("times", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_record_is_read_or_refused(
    times: int,
    fast: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fast:
        pytest.importorskip("toml_rs")
    else:
        monkeypatch.setattr(toml_codec, "_reader", lambda: tomllib.loads)
    rng = random.Random(12)
    run, annotation = encode_run(full_run()), encode_annotation(make_annotation())
    slowest_s, most_bytes, refused = 0.0, 0, 0
    for number in range(times):
        data, decode = ((run, decode_run), (annotation, decode_annotation))[number % 2]
        hostile = mutated(data, rng)
        before_s = time.process_time()
        refused += is_refused(hostile, decode)
        slowest_s = max(slowest_s, time.process_time() - before_s)
        tracemalloc.start()  # tracing makes it slower, so measure the time again without it
        is_refused(hostile, decode)
        most_bytes = max(most_bytes, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    print(f"{times}: {refused} refused, slowest {slowest_s:.3f} s, {most_bytes >> 20} MiB at most")
    assert times / 2 < refused < times * 0.95
    assert slowest_s <= PROCESSOR_S
    assert most_bytes <= MEMORY_BYTES


def refused_records(rng: random.Random, many: int) -> list[bytes]:
    """Mutations of a real record that no reader accepts; some contain terminal controls."""
    whole = encode_run(make_run(1000))
    records = [f'schema = 1\nid = "{EVIL}"\n{EVIL} = 1'.encode(), b"\x1b[2J\x1b]0;owned\x07"]
    while len(records) < many:
        hostile = mutated(whole, rng)
        if is_refused(hostile, decode_run):
            records.append(hostile)
    return records


def test_fifty_hostile_records_hide_none_of_fifty_valid_ones(tmp_path: Path) -> None:
    branch = Branch(tmp_path / "repo")
    good = [make_run(n, name=f"good-{n}{EVIL}", tags=(EVIL,)) for n in range(1, 51)]
    branch.put(*good)
    for number, content in enumerate(refused_records(random.Random(50), 50)):
        run = make_run(2000 + number)
        branch.write(layout.run_path(run.id, run.started), content)
    branch.commit()
    ground = Field(RepoBuilder(branch.folder))
    for args in (["--name-only"], ["-n", "200"], ["--json"]):
        listed = ground.exp("list", *args)
        assert listed.status == 125, listed.err
        for run in good:
            assert run.id[:7] in listed.out
        assert "50 files on the run branch are unreadable" in listed.err
        assert "Traceback" not in listed.err
        assert len(listed.err) < 10_000
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", listed.out + listed.err), args
