"""The cache of file hashes, shared by processes."""

import hashlib
import os
from pathlib import Path

import pytest

from gitexp.adapters.system.file_digests import FileDigests


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


def digests(memory: Path, max_bytes: int = 1 << 20, max_seconds: float = 60.0) -> FileDigests:
    return FileDigests(memory, max_bytes=max_bytes, max_seconds=max_seconds)


def old_file(path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file and set the clock one hour ahead."""
    path.write_bytes(content)
    later = path.stat().st_ctime_ns + 3_600_000_000_000
    monkeypatch.setattr("gitexp.adapters.system.clock.file_time_ns", lambda: later)
    return path


def test_a_file_has_its_sha256(tmp_path: Path, memory: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 3_000_000)
    found = digests(memory, max_bytes=1 << 30).digest(file)
    assert found is not None
    assert (found.sha256, found.bytes) == (hashlib.sha256(b"x" * 3_000_000).hexdigest(), 3_000_000)


def test_cached_file_is_not_read_again(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old_file(tmp_path / "a", b"content", monkeypatch)
    first = digests(memory)
    expected = first.digest(file)
    first.save()
    assert digests(memory, max_bytes=0).digest(file) == expected


def test_other_content_of_the_same_size_and_time_is_read_again(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old_file(tmp_path / "a", b"content", monkeypatch)
    first = digests(memory)
    before = first.digest(file)
    first.save()
    times = file.stat()
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = digests(memory).digest(file)
    assert after is not None
    assert after != before


def test_file_that_just_changed_is_not_cached(tmp_path: Path, memory: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"content")
    first = digests(memory)
    first.digest(file)
    first.save()
    assert digests(memory, max_bytes=0).digest(file) is None


@pytest.mark.parametrize("damage", [b"", b"\xff", b"{}", b"x\n{}"])
def test_damaged_cache_is_ignored(
    tmp_path: Path, memory: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old_file(tmp_path / "a", b"content", monkeypatch)
    first = digests(memory)
    expected = first.digest(file)
    first.save()
    memory.write_bytes(damage)
    assert digests(memory).digest(file) == expected


def test_flipped_digit_in_the_cache_is_noticed(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old_file(tmp_path / "a", b"content", monkeypatch)
    first = digests(memory)
    expected = first.digest(file)
    assert expected is not None
    first.save()
    other = ("0" if expected.sha256[0] != "0" else "1") + expected.sha256[1:]
    memory.write_text(memory.read_text().replace(expected.sha256, other))
    assert digests(memory).digest(file) == expected


def test_file_beyond_a_limit_has_no_digest(tmp_path: Path, memory: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"content")
    assert digests(memory, max_bytes=6).digest(file) is None
    assert digests(memory, max_seconds=-1.0).digest(file) is None
    together = digests(memory, max_bytes=10)
    assert together.digest(file) is not None
    assert together.digest(file) is None


def test_path_that_is_no_file_has_no_digest(tmp_path: Path, memory: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert digests(memory).digest(tmp_path / "pipe") is None
    assert digests(memory).digest(tmp_path / "missing") is None
    assert digests(memory).digest(tmp_path) is None


def test_digest_of_a_link_is_that_of_its_text(tmp_path: Path, memory: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    found = digests(memory).digest(tmp_path / "link")
    assert found is not None
    assert found.sha256 == hashlib.sha256(b"elsewhere").hexdigest()
