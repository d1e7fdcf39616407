"""The journal of runs that are not on the branch yet: crashes, several writers, recovery."""

import json
import math
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gitexp
from gitexp.adapters.journal.journal import (
    CommandEnding,
    Journal,
    OutputTail,
    ProcessMark,
    claimed,
    is_alive,
    list_journals,
    read_journal,
    this_process,
)
from gitexp.adapters.journal.reserved_space import SIZE_BYTES
from gitexp.core.errors import GitexpError, InvalidInput, NotFound, UnreadableRecord
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome

PACKAGE = str(Path(gitexp.__file__).parent.parent)
SPAWN = multiprocessing.get_context("spawn")
RUN = RunId("7f3a9c0d5e1b2a48")
RECORD = 'schema = 1\nname = "brave-otter ü"\n'.encode()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "journal", RUN, RECORD, durable=False)


def test_journal_is_claimed_until_it_is_deleted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another process that recovers at that moment completes the run a second time."""
    claims = []
    unlink = Path.unlink

    def look_first(path: Path, missing_ok: bool = False) -> None:
        with claimed(path) as is_theirs:
            claims.append(is_theirs)
        unlink(path, missing_ok=missing_ok)

    journal.seal(RECORD)
    monkeypatch.setattr(Path, "unlink", look_first)
    journal.remove()
    assert claims[0] is False


def test_a_seal_waits_for_a_process_that_reads_the_journal(journal: Journal) -> None:
    """Found by sixteen writers: the reader found the seal and completed the run as well."""
    thread = threading.Thread(target=journal.seal, args=(RECORD,))
    with claimed(journal.path) as is_ours:
        assert is_ours
        thread.start()
        thread.join(0.2)
        assert read_journal(journal.path).sealed is None
    thread.join()
    assert read_journal(journal.path).sealed == RECORD
    with claimed(journal.path) as is_ours:
        assert not is_ours


def test_a_seal_does_not_wait_for_ever(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitexp.adapters.journal.journal.CLAIM_S", 0.01)
    with claimed(journal.path):
        journal.seal(RECORD)
    assert read_journal(journal.path).sealed == RECORD


def test_new_journal_holds_the_start_of_the_run(tmp_path: Path) -> None:
    Journal.create(tmp_path, RUN, RECORD, durable=True, extra={"packages": {"numpy": "2.4"}})
    content = read_journal(tmp_path / f"{RUN}.journal")
    assert content.run_id == RUN
    assert content.record == RECORD
    assert content.process == this_process()
    assert content.extra == {"packages": {"numpy": "2.4"}}
    assert (content.events, content.sealed, content.torn, content.damaged) == ([], None, False, 0)
    assert [p.name for p in tmp_path.iterdir()] == [f"{RUN}.journal"]


def test_events_are_read_in_the_order_written(journal: Journal) -> None:
    journal.append("params", values={"lr": 0.1, "name": "\udcff\n\x00"})
    journal.metrics({"loss": 0.5}, step=1, time_s=0.25)
    journal.metrics({"loss": math.inf}, time_s=0.5, series=True)
    assert read_journal(journal.path).events == [
        {"event": "params", "values": {"lr": 0.1, "name": "\udcff\n\x00"}},
        {"event": "metrics", "step": 1, "time": 0.25, "values": {"loss": 0.5}},
        {
            "event": "metrics",
            "step": None,
            "time": 0.5,
            "series": True,
            "values": {"loss": math.inf},
        },
    ]


def test_every_line_is_a_checksum_and_json(journal: Journal) -> None:
    journal.append("note", text="a")
    for line in filter(str.strip, journal.path.read_text().splitlines()):
        checksum, _, body = line.partition(" ")
        assert len(checksum) == 8
        assert isinstance(json.loads(body), dict)


def test_a_run_has_one_journal(journal: Journal) -> None:
    journal.append("note", text="the first")
    stale = journal.path.with_suffix(".new")
    stale.touch()
    with pytest.raises(GitexpError, match="cannot write the journal"):
        Journal.create(journal.path.parent, RUN, RECORD, durable=False)
    assert len(read_journal(journal.path).events) == 1


def test_a_value_that_json_cannot_hold_is_refused_and_nothing_is_written(journal: Journal) -> None:
    before = journal.path.read_bytes()
    with pytest.raises(InvalidInput, match="'metrics'"):
        journal.metrics({"loss": object()}, step=1)  # type: ignore[dict-item]
    assert journal.path.read_bytes() == before


def test_the_seal_keeps_the_final_record_and_series(journal: Journal) -> None:
    assert read_journal(journal.path).sealed is None
    journal.seal(b"final = true\n", series=[{"step": 1, "loss": 0.5}])
    content = read_journal(journal.path)
    assert content.sealed == b"final = true\n"
    assert content.sealed_series == [{"step": 1, "loss": 0.5}]
    assert content.record == RECORD
    assert content.events == []


def test_another_process_can_continue_a_journal(journal: Journal) -> None:
    journal.adopt(None)
    assert read_journal(journal.path).process is None
    mark = ProcessMark(1, 2, "boot", "host", "ns")
    journal.adopt(mark)
    assert read_journal(journal.path).process == mark
    assert read_journal(journal.path).events == []


def test_journal_of_a_manual_run_names_no_process(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, RUN, RECORD, durable=False, by_hand=True)
    assert read_journal(journal.path).process is None


def test_removing_a_journal_twice_also_removes_its_output(journal: Journal) -> None:
    OutputTail(journal.path).feed(b"hello\n")
    assert len(list(journal.path.parent.iterdir())) == 2
    journal.remove()
    journal.remove()
    Journal.discard(journal.path)
    assert list(journal.path.parent.iterdir()) == []


def test_closed_journal_refuses_events(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(RuntimeError):
        journal.append("note")


def test_pending_lists_journals_only(tmp_path: Path) -> None:
    assert list_journals(tmp_path / "missing") == []
    ids = ["00" * 8, "11" * 8]
    for run in reversed(ids):
        Journal.create(tmp_path, RunId(run), RECORD, durable=False)
    (tmp_path / "22.new").touch()
    OutputTail(tmp_path / f"{ids[0]}.journal").feed(b"x")
    assert [path.stem for path in list_journals(tmp_path)] == ids


def test_attaching_to_a_finished_run_raises_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="7f3a9c0 is not going on"):
        Journal.attach(tmp_path / f"{RUN}.journal")


def test_disk_error_raises_an_expected_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GitexpError) as caught:
        Journal.create(tmp_path / "file", RUN, RECORD, durable=False)
    assert caught.value.why


def test_durable_journal_is_flushed_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal.create(tmp_path, RUN, RECORD, durable=True)
    assert synced == [str(tmp_path / f"{RUN}.new"), str(tmp_path)]
    for step in range(100):
        journal.metrics({"loss": 1.0}, step=step)
    assert len(synced) == 2
    now = time.monotonic()
    monkeypatch.setattr("gitexp.adapters.system.clock.monotonic_s", lambda: now + 10)
    for step in range(100):
        journal.metrics({"loss": 1.0}, step=step)
    assert len(synced) == 3
    journal.seal(RECORD)
    assert len(synced) == 4
    quick = Journal.create(tmp_path / "quick", RUN, RECORD, durable=False)
    quick.seal(RECORD)
    assert len(synced) == 4


def test_a_metric_costs_microseconds(journal: Journal) -> None:
    costs = []
    for step in range(5000):
        started = time.perf_counter()
        journal.metrics({"loss": 0.123456, "accuracy": 0.9}, step=step, time_s=12.5)
        costs.append(time.perf_counter() - started)
    assert statistics.median(costs) < 100e-6  # 10 µs on a quiet machine; docs promise 20


# --- crashes ------------------------------------------------------------------------------------


def full_journal(folder: Path) -> bytes:
    journal = Journal.create(folder, RUN, RECORD, durable=False)
    for step in range(3):
        journal.metrics({"loss": 1 / (step + 1)}, step=step, time_s=step)
    journal.close()
    return journal.path.read_bytes()


@pytest.mark.slow
def test_journal_cut_at_any_byte_keeps_the_lines_before_the_cut(tmp_path: Path) -> None:
    whole = full_journal(tmp_path)
    path = tmp_path / f"{RUN}.journal"
    header = whole.index(b"\n") + 1
    events = header + SIZE_BYTES
    for length in (*range(header + 2), *range(events - 2, len(whole) + 1)):
        path.write_bytes(whole[:length])
        if length < header:
            with pytest.raises(UnreadableRecord, match="cannot read the journal"):
                read_journal(path)
            continue
        content = read_journal(path)
        assert len(content.events) == whole[events:length].count(b"\n")
        assert content.torn == (length > events and whole[length - 1 : length] != b"\n")
        assert content.damaged == 0


def test_lines_after_a_cut_line_are_read(tmp_path: Path) -> None:
    whole = full_journal(tmp_path)
    path = tmp_path / f"{RUN}.journal"
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        journal = Journal.attach(path)
        journal.seal(b"final\n")
        journal.close()
        content = read_journal(path)
        assert content.sealed == b"final\n"
        assert len(content.events) == 2
        assert content.damaged == (length > last)
        assert not content.torn


def test_zeros_of_a_power_cut_hide_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / f"{RUN}.journal"
    path.write_bytes(full_journal(tmp_path) + bytes(4096))
    assert read_journal(path).torn
    journal = Journal.attach(path)
    journal.append("note", text="after")
    journal.close()
    content = read_journal(path)
    assert (len(content.events), content.damaged, content.torn) == (4, 1, False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), value=st.integers(1, 255))
def test_one_flipped_byte_costs_at_most_two_lines(
    tmp_path: Path, position: int, value: int
) -> None:
    path = tmp_path / f"{RUN}.journal"
    path.unlink(missing_ok=True)
    whole = bytearray(full_journal(tmp_path))
    events = whole.index(b"\n") + 1 + SIZE_BYTES
    position = events + position % (len(whole) - events)
    whole[position] ^= value
    path.write_bytes(whole)
    content = read_journal(path)
    assert 1 <= len(content.events) <= 3
    assert content.damaged or content.torn
    assert content.record == RECORD


def test_any_damage_to_the_first_line_is_unreadable(tmp_path: Path) -> None:
    whole = full_journal(tmp_path)
    path = tmp_path / f"{RUN}.journal"
    for position in range(whole.index(b"\n") + 1):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(UnreadableRecord):
            read_journal(path)


def test_a_journal_under_another_name_is_unreadable(tmp_path: Path) -> None:
    full_journal(tmp_path)
    other = tmp_path / f"{'0' * 16}.journal"
    (tmp_path / f"{RUN}.journal").rename(other)
    with pytest.raises(UnreadableRecord):
        read_journal(other)


def test_path_that_is_no_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / f"{RUN}.journal").mkdir()
    with pytest.raises(UnreadableRecord) as caught:
        read_journal(tmp_path / f"{RUN}.journal")
    assert caught.value.why == "Is a directory"


def test_reading_a_deleted_journal_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_journal(tmp_path / f"{RUN}.journal")


def test_append_on_a_full_disk_raises_and_keeps_earlier_lines(tmp_path: Path) -> None:
    """A file size limit simulates a full disk: it also cuts a line short, then raises an error."""
    code = f"""
import resource, signal, sys, pathlib
from gitexp.adapters.journal.journal import Journal
from gitexp.core.errors import GitexpError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.create(pathlib.Path(sys.argv[1]), {RUN!r}, b"", durable=False)
journal.append("note", text="fits")
size = journal.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        journal.append("note", text="does not fit")
    except GitexpError as error:
        print(error.why)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append("note", text="fits again")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        env={**os.environ, "PYTHONPATH": PACKAGE},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "File too large\n" * 2
    content = read_journal(tmp_path / f"{RUN}.journal")
    assert [event["text"] for event in content.events] == ["fits", "fits again"]
    assert content.damaged == 1


@contextmanager
def no_room_behind(path: Path) -> Iterator[None]:
    """Limit the file size of this process, as `test_a_full_disk_raises_…` does for another."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


ENDING = CommandEnding(Outcome.FAILED, 7, 1.5)


@pytest.mark.parametrize("durable", [False, True])
def test_end_of_a_run_fits_on_a_full_disk(tmp_path: Path, durable: bool) -> None:
    journal = Journal.create(tmp_path, RUN, RECORD, durable=durable)
    journal.metrics({"loss": 0.5}, step=1)
    with no_room_behind(journal.path):
        with pytest.raises(GitexpError):
            journal.metrics({"loss": 0.25}, step=2)
        journal.end(ENDING)
        assert read_journal(journal.path).ending == ENDING
        journal.seal(b"final\n", series=[{"step": 1, "loss": 0.5}])
    content = read_journal(journal.path)
    assert (content.sealed, content.sealed_series) == (b"final\n", [{"step": 1, "loss": 0.5}])
    assert len(content.events) == 1
    assert not content.damaged and not content.is_cut


def test_line_longer_than_the_reserved_space_changes_nothing(journal: Journal) -> None:
    series: Any = [{"step": step, "loss": 0.5} for step in range(SIZE_BYTES)]
    with no_room_behind(journal.path):
        journal.end(ENDING)
        with pytest.raises(GitexpError, match="cannot write the journal"):
            journal.seal(b"x" * SIZE_BYTES)
        assert read_journal(journal.path).ending == ENDING
        journal.seal(b"final\n", series=series)
    content = read_journal(journal.path)
    assert (content.sealed, content.sealed_series, content.is_cut) == (b"final\n", None, True)
    journal.append("note", text="behind")
    assert len(read_journal(journal.path).events) == 1


def test_journal_without_reserved_space_overwrites_nothing(tmp_path: Path) -> None:
    """The reserved space of the journal is damaged or missing."""
    whole = full_journal(tmp_path)
    path = tmp_path / f"{RUN}.journal"
    header = whole.index(b"\n") + 1
    for content in (whole[:header] + whole[header + SIZE_BYTES :], whole.replace(b"   ", b" x ")):
        path.write_bytes(content)
        journal = Journal.attach(path)
        with no_room_behind(path), pytest.raises(GitexpError):
            journal.end(ENDING)
        assert path.read_bytes() == content
        journal.end(ENDING)
        assert read_journal(path).ending == ENDING


def test_a_line_cut_by_a_full_disk_is_written_again_whole(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.write, []

    def short(fd: int, line: bytes) -> int:
        calls.append(line)
        return real(fd, line[:7] if len(calls) == 1 else line)

    monkeypatch.setattr(os, "write", short)
    journal.append("note", text="kept")
    content = read_journal(journal.path)
    assert [event["text"] for event in content.events] == ["kept"]
    assert content.damaged == 1


def test_killed_writer_leaves_its_complete_lines(tmp_path: Path) -> None:
    code = f"""
import os, sys, pathlib
from gitexp.adapters.journal.journal import Journal
journal = Journal.create(pathlib.Path(sys.argv[1]), {RUN!r}, b"", durable=False)
for step in range(10**9):
    journal.metrics({{"x" * 500: 1.0}}, step=step)
    os.write(1, b"%d\\n" % step)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        env={**os.environ, "PYTHONPATH": PACKAGE},
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(500)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout if line.endswith(b"\n")]
    content = read_journal(tmp_path / f"{RUN}.journal")
    assert [event["step"] for event in content.events][: len(told)] == told
    assert len(content.events) <= len(told) + 1
    assert content.damaged == 0
    assert is_alive(content.process) is False


# --- several writers ----------------------------------------------------------------------------


def _write_many(path: Path, writer: int) -> None:
    journal = Journal.attach(path)
    for number in range(400):
        journal.append("note", writer=writer, number=number, text="x" * (number * 37 % 20_000))
    journal.close()


@pytest.mark.slow
def test_four_processes_never_mix_their_lines(journal: Journal) -> None:
    writers = [SPAWN.Process(target=_write_many, args=(journal.path, n)) for n in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0
    content = read_journal(journal.path)
    assert content.damaged == 0
    assert not content.torn
    for writer in range(4):
        mine = [event for event in content.events if event["writer"] == writer]
        assert [event["number"] for event in mine] == list(range(400))


# --- who is alive -------------------------------------------------------------------------------


def test_this_process_is_alive() -> None:
    mark = this_process()
    assert mark.pid == os.getpid()
    assert mark.start_time > 0
    assert mark.boot_id
    assert is_alive(mark) is True


def test_process_mark_is_read_from_the_journal(journal: Journal) -> None:
    assert is_alive(read_journal(journal.path).process) is True


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"start_time": 1}, False),
        ({"boot_id": "another"}, False),
        ({"host": "elsewhere"}, None),
        ({"host": "elsewhere", "boot_id": "another"}, None),
        ({"namespace": "pid:[1]"}, None),
        ({"namespace": "pid:[1]", "boot_id": "another"}, False),
        ({"pid": 2**22 + 1}, False),
    ],
)
def test_is_alive_for_processes_of_other_machines_and_containers(
    change: dict[str, Any], answer: bool | None
) -> None:
    assert is_alive(replace(this_process(), **change)) is answer


def test_without_proc_a_living_process_is_never_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS only the process id is known."""
    monkeypatch.setattr("gitexp.adapters.system.processes._machine", lambda: ("", "here", ""))
    monkeypatch.setattr("gitexp.adapters.system.processes._look_up", lambda _: None)
    assert is_alive(this_process()) is True
    assert is_alive(ProcessMark(1, 0, "", "here", "")) is True
    with subprocess.Popen(["true"]) as child:
        child.wait()
        assert is_alive(ProcessMark(child.pid, 0, "", "here", "")) is False


def test_missing_process_is_never_dead() -> None:
    assert is_alive(None) is None


def test_ended_process_is_dead_even_as_a_zombie() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        mark = replace(this_process(), pid=child.pid, start_time=int(stat[19]))
        assert is_alive(mark) is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_alive(mark) is False  # a zombie: ended, but its parent has not waited for it
    assert is_alive(mark) is False


def test_a_process_name_with_brackets_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) b ("
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program, "60"]) as child:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        mark = replace(this_process(), pid=child.pid, start_time=int(fields[19]))
        assert is_alive(mark) is True
        child.kill()


# --- the tail of the output -----------------------------------------------------------------------


class TestOutputTail:
    def test_tail_keeps_the_end_in_memory_and_on_disk(self, tmp_path: Path) -> None:
        path = tmp_path / f"{RUN}.journal"
        tail = OutputTail(path, limit_bytes=100)
        for number in range(1000):
            tail.feed(f"line {number}\n".encode())
        assert tail.text().endswith("line 998\nline 999\n")
        assert len(tail.text()) <= 100
        assert OutputTail.read(path, limit_bytes=100) == tail.text()
        assert OutputTail.read(path, lines=2) == "line 998\nline 999\n"
        assert (tmp_path / f"{RUN}.output").stat().st_size <= 16 * 100 + 100

    def test_tail_cuts_one_huge_chunk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, written = os.write, []

        def write(fd: int, piece: bytes) -> int:
            written.append(len(piece))
            return real(fd, piece)

        monkeypatch.setattr(os, "write", write)
        tail = OutputTail(tmp_path / "r.journal", limit_bytes=100)
        for _ in range(50):
            tail.feed(b"x" * 1_000_000)
            assert (tmp_path / "r.output").stat().st_size <= 16 * 100 + 100
        assert max(written) <= 100
        assert tail.text() == "x" * 100

    def test_memory_is_bounded(self) -> None:
        tail = OutputTail(None, limit_bytes=100)
        for _ in range(10_000):
            tail.feed(b"x" * 50)
        assert sys.getsizeof(tail._kept) < 10_000

    @given(st.lists(st.binary(max_size=300), max_size=40))
    def test_memory_holds_the_last_bytes(self, pieces: list[bytes]) -> None:
        tail = OutputTail(None, limit_bytes=64)
        for piece in pieces:
            tail.feed(piece)
        text = tail.text()
        assert len(text.encode()) <= 64
        whole = b"".join(pieces)[-64:]
        if whole.isascii() and whole.decode().isprintable():
            assert text == whole.decode()

    def test_tail_is_text_as_a_terminal_shows_it(self) -> None:
        tail = OutputTail(None)
        tail.feed(
            b"\x1b[32mgreen\x1b[0m\r\n 10%\r 50%\r100%\nlink \x1b]8;;http://x\x1b\\y\x07\n\xff\x00"
        )
        assert tail.text() == "green\n100%\nlink y\ufffd\n\ufffd\ufffd"

    @pytest.mark.parametrize(("lines", "text"), [(1, "c\n"), (2, "b\nc\n"), (9, "a\nb\nc\n")])
    def test_tail_keeps_the_last_lines(self, lines: int, text: str) -> None:
        tail = OutputTail(None)
        tail.feed(b"a\nb\nc\n")
        assert tail.text(lines=lines) == text
        tail.feed(b"d")
        assert tail.text(lines=1) == "d"

    def test_lines_of_two_streams_stay_whole(self) -> None:
        tail = OutputTail(None)
        tail.feed(b"epoch 1 ", "stdout")
        tail.feed(b"warning: ", "stderr")
        tail.feed(b"loss 0.5\nepoch 2", "stdout")
        tail.feed(b"slow\n 10%", "stderr")
        assert tail.text() == "epoch 1 loss 0.5\nwarning: slow\nepoch 2\n 10%"

    def test_tail_of_a_silent_command_is_empty(self, tmp_path: Path) -> None:
        assert OutputTail(None).text(lines=3) == ""
        assert OutputTail.read(tmp_path / "r.journal") == ""

    def test_tail_drops_a_cut_character_at_its_start(self) -> None:
        tail = OutputTail(None, limit_bytes=4)
        tail.feed("üüü€".encode())
        assert tail.text() == "€"

    def test_tail_survives_a_disk_that_fails_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        tail = OutputTail(tmp_path / "file" / "r.journal")
        tail.feed(b"kept")
        assert tail.text() == "kept"
        tail.remove()

    def test_tail_survives_a_disk_that_fails_later(self, tmp_path: Path) -> None:
        tail = OutputTail(tmp_path / "r.journal")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
            for _ in range(100):
                tail.feed(b"0123456789")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert tail.text() == "0123456789" * 100

    def test_tail_on_disk_survives_its_killed_writer(self, tmp_path: Path) -> None:
        code = """
import os, sys, pathlib
from gitexp.adapters.journal.journal import OutputTail
tail = OutputTail(pathlib.Path(sys.argv[1]), limit_bytes=64)
for number in range(1000):
    tail.feed(b"line %d\\n" % number)
os.kill(os.getpid(), 9)
"""
        path = tmp_path / "r.journal"
        env = {**os.environ, "PYTHONPATH": PACKAGE}
        subprocess.run([sys.executable, "-c", code, path], env=env, check=False)
        assert OutputTail.read(path, lines=1) == "line 999\n"

    def test_removing_is_repeatable(self, tmp_path: Path) -> None:
        tail = OutputTail(tmp_path / "r.journal")
        tail.feed(b"x")
        tail.remove()
        tail.remove()
        assert [p.name for p in tmp_path.iterdir()] == []
