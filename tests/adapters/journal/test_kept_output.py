"""The file with a run's output: beginning and end of output of any size, redacted."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.adapters.journal import output_archive
from gitexp.adapters.journal.output_archive import (
    KeptOutput,
    discard_output,
    find_old_output,
    finish_abandoned,
    lines_of,
    raw_path,
    read_output,
)


def same(text: str) -> str:
    return text


def test_short_output_is_kept_whole_and_redacted(tmp_path: Path) -> None:
    path = tmp_path / "output" / "a.txt"
    kept = KeptOutput(path)
    for piece in (b"one\nsec", b"ret\rdone\n", b"\xff no end"):
        kept.feed(piece)
    assert raw_path(path).exists()
    text = kept.finish(lambda text: text.replace("secret", "[redacted]"))
    assert text == "one\n[redacted]\rdone\n\ufffd no end"
    assert read_output(path) == text
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o077 == 0


def test_lines_of_both_streams_stay_whole(tmp_path: Path) -> None:
    kept = KeptOutput(tmp_path / "a.txt")
    kept.feed(b"out ", "stdout")
    kept.feed(b"err\n", "stderr")
    kept.feed(b"put\n", "stdout")
    assert kept.finish(same) == "err\nout put\n"


def test_silent_command_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "output" / "a.txt"
    assert KeptOutput(path).finish(same) == ""
    assert not path.parent.exists()
    assert read_output(path) is None


@given(
    st.lists(st.integers(0, 400), max_size=60),
    st.integers(10, 200),
    st.integers(10, 200),
)
def test_long_output_keeps_whole_lines_of_its_beginning_and_end(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], head: int, tail: int
) -> None:
    path = tmp_path_factory.mktemp("kept") / "a.txt"
    kept = KeptOutput(path, head_bytes=head, tail_bytes=tail)
    whole = "".join(f"{n}:{'x' * size}\n" for n, size in enumerate(sizes))
    for n, size in enumerate(sizes):
        kept.feed(f"{n}:{'x' * size}\n".encode())
    text = kept.finish(same)
    if len(whole) <= head + tail:
        assert text == whole
        return
    first, _, rest = text.partition("\n[gitexp left out ")
    number, _, last = rest.partition(" bytes of output here]\n")
    assert whole.startswith(first)
    assert whole.endswith(last)
    assert len(first) + len(last) + int(number.replace(",", "")) == len(whole)
    assert len(text) < head + tail + 80


def test_disk_error_stops_neither_command_nor_record(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the directory should be")
    kept = KeptOutput(tmp_path / "output" / "a.txt")
    kept.feed(b"one\n")
    kept.feed(b"two\n")
    assert kept.finish(same) == ""


def test_output_of_a_killed_run_is_redacted_later(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    KeptOutput(path).feed(b"a secret\n")
    finish_abandoned(path, lambda text: text.replace("secret", "[redacted]"))
    assert read_output(path) == "a [redacted]\n"
    assert not raw_path(path).exists()
    finish_abandoned(path, same)
    assert read_output(path) == "a [redacted]\n"
    discard_output(path)
    assert read_output(path) is None


def test_old_output_is_deleted_then_the_oldest_above_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_archive, "MAX_TOTAL_BYTES", 25)
    now = 1_000_000_000.0
    for name, days in (("new", 1), ("middle", 2), ("older", 3), ("ancient", 91)):
        path = tmp_path / f"{name}.txt"
        path.write_text("x" * 10)
        os.utime(path, (now - days * 86400,) * 2)
    assert [path.stem for path in find_old_output(tmp_path, now)] == ["older", "ancient"]
    assert find_old_output(tmp_path / "none", now) == []


def test_overwritten_progress_lines_are_split() -> None:
    assert lines_of("a\r\nb\rc\n") == ["a", "b", "c", ""]
