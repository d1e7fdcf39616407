"""The files that go to workers, in this process: code, data, commands, results. No cluster."""

import ast
import asyncio
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gitexp.adapters.engines import kit, worker_cache
from gitexp.adapters.engines.dask_client import load_worker
from gitexp.adapters.engines.found import find_engine, is_exposed
from gitexp.adapters.engines.protocol import Ended, NotRun, Printed, RunsAgain
from gitexp.adapters.engines.result import Lines, decode, happenings
from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.git.packs import commit_pack
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system.probe import hash_path
from gitexp.core.errors import InvalidInput, UnreadableRecord
from tests.conftest import RepoBuilder

IDENTITY = "gitexp <gitexp@localhost>"


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The worker's module with a cache of its own."""
    monkeypatch.setenv("GITEXP_WORKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GITEXP_DATA", str(tmp_path / "data"))
    (tmp_path / "sent").mkdir()
    module = load_worker(tmp_path / "sent")
    yield module
    for loaded in list(module._PARTS.values()):
        for guard in getattr(loaded, "_GUARDIANS", {}).values():
            guard.stdin.close()
            guard.wait(timeout=60)
    del sys.modules[module.__name__]


Send = Callable[..., dict[str, Any]]


@pytest.fixture
def send(worker: ModuleType, repo: RepoBuilder) -> Send:
    """Bring the code at HEAD to the worker and run a command there; returns the result."""

    def run(*argv: str, known: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        commit = code_of(repo)
        inputs = more.get("inputs", {})
        assert worker.put(bundle_of(repo, commit, known, {})) is None
        task = {
            "run": more.pop("run", "a" * 16),
            "owner": "sweep-clone",
            "commit": commit,
            "kit": kit.digest_of(kit.kit_files()),
            "argv": list(argv),
            "directory": ".",
            "env": {},
            "timeout_s": None,
            "params": "n = 1\n",
            "journal": "first line\n",
            "inputs": inputs,
            "metrics": [],
            "outputs": [],
            "inject": False,
            "topic": None,
            **more,
        }
        return decode(worker.run_trial(json.dumps(task)))

    return run


def code_of(repo: RepoBuilder) -> str:
    """The code commit of HEAD's tree."""
    opened = Repo.discover(repo.path)
    tree = repo.git("rev-parse", "HEAD^{tree}").strip()
    return write_code_commit(opened, tree, IDENTITY, durable=False)


def bundle_of(
    repo: RepoBuilder, commit: str, known: tuple[str, ...], inputs: dict[str, str]
) -> dict[str, Any]:
    """What an engine brings to a worker."""
    pack = commit_pack(Repo.discover(repo.path), commit, known)
    files = kit.kit_files()
    name = kit.digest_of(files)
    return {"commit": commit, "pack": pack, "kit": name, "files": files, "inputs": inputs}


def output_of(result: dict[str, Any]) -> str:
    """What a command printed."""
    found = happenings(result, Lines(), {})
    return b"".join(each.chunk for each in found if isinstance(each, Printed)).decode()


@pytest.mark.parametrize("name", ["worker.py", *kit.PARTS])
def test_files_for_workers_import_only_the_standard_library(name: str) -> None:
    tree = ast.parse((Path(kit.__file__).parent / name).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert found <= sys.stdlib_module_names, found - sys.stdlib_module_names


class TestCode:
    def test_a_worker_has_exactly_the_tree_of_the_commit(
        self, repo: RepoBuilder, send: Send, worker: ModuleType
    ) -> None:
        repo.commit({"a.txt": "a\r\nb\n", ".gitattributes": "a.txt export-ignore\n", "d/e": "x"})
        (repo.path / "run.sh").write_text("echo hi\n")
        (repo.path / "run.sh").chmod(0o755)
        (repo.path / "link").symlink_to("d/e")
        repo.git("add", "-A")
        repo.git("commit", "--quiet", "-m", "modes")
        tree = repo.git("rev-parse", "HEAD^{tree}").strip()
        script = "git write-tree; git status --porcelain; test -L link; test -x run.sh"
        result = send("sh", "-ec", script)
        assert output_of(result) == f"{tree}\n"
        store = worker._store(code_of(repo))
        done = subprocess.run(
            ["git", "-C", store, "fsck", "--strict"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_the_second_commit_sends_only_what_changed(self, repo: RepoBuilder, send: Send) -> None:
        noise = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(2000))
        repo.commit({"big.txt": noise, "a.txt": "one"})
        first = code_of(repo)
        send("true")
        repo.commit({"a.txt": "two"})
        pack = commit_pack(Repo.discover(repo.path), code_of(repo), ("f" * 40, first))
        assert len(pack) < 1000
        assert output_of(send("cat", "a.txt", known=(first,), run="b" * 16)) == "two"

    def test_a_worker_without_the_code_asks_for_it(
        self, repo: RepoBuilder, worker: ModuleType
    ) -> None:
        task = {"run": "a" * 16, "owner": "o", "commit": code_of(repo), "kit": "none"}
        assert decode(worker.run_trial(json.dumps(task)))["need"]

    def test_a_worker_without_git_says_it(
        self, worker: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        assert worker.hello()["git"] is None

    def test_a_trial_finds_nothing_of_the_trial_before(self, repo: RepoBuilder, send: Send) -> None:
        repo.commit({"code.txt": "mine"})
        script = "test ! -e left && cat code.txt && touch left && echo changed > code.txt"
        results = [send("sh", "-ec", script, run=str(n) * 16) for n in range(3)]
        assert [result["exit_code"] for result in results] == [0, 0, 0]
        assert [output_of(result) for result in results] == ["mine"] * 3


class TestData:
    @pytest.mark.parametrize("path", ["file", "folder", "folder/link"])
    def test_hashes_are_those_of_the_coordinator(
        self, path: str, worker: ModuleType, send: Send, tmp_path: Path
    ) -> None:
        send("true")
        files = worker._part(kit.digest_of(kit.kit_files()), "worker_files")
        (tmp_path / "folder" / "a").mkdir(parents=True)
        (tmp_path / "folder" / "a" / "b").write_text("inner")
        (tmp_path / "folder" / "a.b").write_text("dot")
        (tmp_path / "folder" / "link").symlink_to("a/b")
        (tmp_path / "file").write_text("content")
        state = hash_path(tmp_path / path)
        assert files.hash_path(str(tmp_path / path)) == (state.sha256, state.bytes)

    def test_data_is_found_by_its_hash(self, send: Send, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "x.csv").write_text("1,2")
        digest = hashlib.sha256(b"1,2").hexdigest()
        assert output_of(send("cat", "x.csv", inputs={"x.csv": digest})) == "1,2"
        other = send("cat", "x.csv", inputs={"x.csv": "0" * 64, "no.csv": ""}, run="b" * 16)
        assert "x.csv has other content, no.csv is not there" in other["not_run"]
        assert isinstance(happenings(other, Lines(), {})[0], NotRun)

    def test_a_worker_says_before_any_trial_that_its_data_is_another(
        self, repo: RepoBuilder, worker: ModuleType
    ) -> None:
        commit = code_of(repo)
        fault = worker.put(bundle_of(repo, commit, (), {"x.csv": "0" * 64}))
        assert fault is not None and "x.csv is not there" in fault

    def test_small_results_come_back_and_models_stay(self, send: Send) -> None:
        script = "echo 1 > m.json; echo 2 > model.bin; echo 3 > out; mkdir __pycache__"
        result = send("sh", "-c", script, metrics=["m.json"], outputs=["out", "no"])
        assert set(result["files"]) == {"m.json"}
        assert result["changed"] == ["m.json", "model.bin", "out"]
        assert set(result["outputs"]) == {"out"}


class TestCommands:
    def test_the_program_may_log_to_its_journal(self, send: Send) -> None:
        found = happenings(send("sh", "-c", 'echo line >> "$GITEXP_JOURNAL"'), Lines(), {})
        assert isinstance(found[-1], Ended) and found[-1].brought is not None
        assert found[-1].brought.journal == b"line\n"

    def test_a_command_that_is_not_there_has_a_fault(self, send: Send) -> None:
        result = send("no-such-program")
        assert result["exit_code"] == 127
        assert "cannot run 'no-such-program' on" in result["fault"]

    def test_what_a_command_leaves_behind_ends_with_it(self, send: Send) -> None:
        started_s = time.monotonic()
        result = send("sh", "-c", "sleep 300 & echo $!")
        assert time.monotonic() - started_s < 60
        assert not Path(f"/proc/{output_of(result).strip()}").exists()

    def test_a_time_limit_ends_a_command(self, send: Send) -> None:
        result = send("sleep", "300", timeout_s=0.2)
        assert (result["timed_out"], result["exit_code"]) == (True, -15)

    def test_a_trial_can_be_stopped(self, send: Send, worker: ModuleType) -> None:
        def stop() -> None:
            while not worker.RUNNING.get("a" * 16, {}).get("wake"):
                time.sleep(0.01)
            asyncio.run(worker.stop("a" * 16, 1))

        thread = threading.Thread(target=stop)
        thread.start()
        result = send("sleep", "300")
        thread.join()
        assert (result["stopped"], result["timed_out"]) == (True, False)

    def test_long_output_keeps_its_ends_and_its_metrics(self, send: Send) -> None:
        script = (
            "print('first')\n"
            "for n in range(200):\n"
            "    print('x' * 99_999)\n"
            "    print(f'METRIC loss={n} step={n}')\n"
            "print('last')\n"
        )
        result = send("python", "-c", script)
        text = output_of(result)
        assert text.startswith("first") and text.endswith("last\n")
        assert text.count("METRIC") == 200
        assert result["left_out"] > 0 and len(text) < 10 << 20

    def test_the_end_of_the_output_arrives_however_busy_the_machine_is(
        self, send: Send, worker: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send("true")
        (command,) = [p for p in worker._PARTS.values() if hasattr(p, "DRAIN_S")]
        monkeypatch.setattr(command, "DRAIN_S", -1.0)  # its time is over when its end is noticed
        monkeypatch.setattr(command, "_SOON_S", 0.0)
        monkeypatch.setattr(command._Watch, "_tick_s", lambda *_: 0.0)
        script = "printf %060000d 0; echo; echo last"
        printed = output_of(send("sh", "-c", script, run="b" * 16))
        assert printed.endswith("last\n")


class TestOutbox:
    def test_a_result_stays_until_it_is_recorded(self, send: Send, worker: ModuleType) -> None:
        send("echo", "hi")
        found = asyncio.run(worker.outbox("sweep-clone"))
        (kept,) = found["ended"]
        assert output_of(decode(kept)) == "hi\n"
        again = send("echo", "another")  # the same run: its first result counts
        assert output_of(again) == "hi\n"
        asyncio.run(worker.forget("sweep-clone", ["a" * 16]))
        assert asyncio.run(worker.outbox("sweep-clone"))["ended"] == []


def test_streamed_lines_are_not_repeated_by_the_result() -> None:
    chunks = [[1, 0.1, "stdout", "YQ=="], [2, 0.2, "stdout", "Yg=="], [3, 0.3, "stdout", "Yw=="]]
    lines = Lines()
    assert len(lines.take_streamed("r", "a", chunks[:1])) == 1
    assert lines.take_streamed("r", "a", chunks[2:]) == []  # one between is missing
    rest = lines.take("r", "a", chunks)
    assert [each.time_s for each in rest if isinstance(each, Printed)] == [0.2, 0.3]


def test_lines_of_a_command_that_runs_again_are_heard_from_its_start() -> None:
    chunks = [[1, 0.1, "stdout", "YQ=="], [2, 0.2, "stdout", "Yg=="], [3, 0.3, "stdout", "Yw=="]]
    lines = Lines()
    assert len(lines.take_streamed("r", "a", chunks[:2])) == 2
    assert lines.take_streamed("r", "b", chunks[1:]) == []  # its first one is missing
    assert [type(each) for each in lines.take_streamed("r", "b", chunks[:1])] == [
        RunsAgain,
        Printed,
    ]
    assert lines.take_streamed("r", "a", chunks[2:]) == []  # the first worker is not dead after all
    assert [type(each) for each in lines.take("r", "b", chunks)] == [Printed, Printed]


def test_what_is_no_result_is_unreadable() -> None:
    for data in (b"", b"[]", b'{"run": "x"}', b"\xff"):
        with pytest.raises(UnreadableRecord):
            decode(data)
    with pytest.raises(UnreadableRecord):
        happenings({"run": "a", "worker": "", "chunks": 1}, Lines(), {})


def test_addresses() -> None:
    for wrong, words in (
        ("dask://host", "no port"),
        ("nothing", "no engine"),
        ("no.such:thing", "cannot load"),
        ("slurm://x:1", "no engine"),
    ):
        with pytest.raises(InvalidInput) as caught:
            find_engine(wrong)
        assert words in f"{caught.value.what} {caught.value.why}"
    assert find_engine("dask://host:8786") is find_engine("tls://host:8786")
    assert is_exposed("dask://8.8.8.8:8786")
    assert not is_exposed("tls://8.8.8.8:8786")
    assert not is_exposed("dask://127.0.0.1:8786")
    assert not is_exposed("dask://10.1.2.3:8786")


class TestCache:
    @pytest.mark.long
    def test_the_longest_unused_code_goes_first_when_the_cache_is_full(
        self, send: Send, worker: ModuleType, repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Path(worker.folder())
        refs = cache / "code-sha1.git/refs/gitexp/code"
        commits = []
        for number in range(3):
            repo.commit({"big.bin": os.urandom(200_000).hex()})
            commits.append(code_of(repo))
            send("true", run=f"{number:016}")
            os.utime(refs / commits[-1], (1000.0 + number, 1000.0 + number))
        before = sum(path.stat().st_size for path in cache.rglob("*.pack"))
        monkeypatch.setenv("GITEXP_WORKER_CACHE_GB", "0.0008")  # two of three commits, no trees
        held = (cache / "pool" / f"{commits[0]}-0.lock").open("ab")
        fcntl.flock(held, fcntl.LOCK_EX)  # a trial of the first commit goes on
        assert worker.put(bundle_of(repo, commits[2], (), {})) is None
        assert {path.name for path in refs.iterdir()} == {commits[0], commits[2]}
        assert (cache / "pool" / f"{commits[0]}-0" / "big.bin").exists()
        assert sum(path.stat().st_size for path in cache.rglob("*.pack")) < before
        held.close()
        for commit in (commits[0], commits[2]):
            worker._git("-C", str(refs.parents[2]), "fsck", "--strict", commit)
        assert output_of(send("sh", "-c", "wc -c < big.bin", run="f" * 16)) == "400000\n"

    @pytest.mark.parametrize(("text", "size"), [("0.5", 5e8), ("much", 5e9), (None, 5e9)])
    def test_the_limit_is_a_number_of_gigabytes(
        self, text: str | None, size: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("GITEXP_WORKER_CACHE_GB", raising=False)
        if text is not None:
            monkeypatch.setenv("GITEXP_WORKER_CACHE_GB", text)
        assert worker_cache.limit_bytes() == size

    def test_a_tree_that_another_process_made_anew_is_scanned_anew(
        self, send: Send, worker: ModuleType, repo: RepoBuilder
    ) -> None:
        repo.commit({"code.txt": "code"})
        send("true")
        (pool,) = (path for path in (Path(worker.folder()) / "pool").iterdir() if path.is_dir())
        (pool / "code.txt").write_text("code")  # as a tree that was made again has it
        pool.with_name(f"{pool.name}.made").write_bytes(b"another")
        assert send("true", run="b" * 16)["changed"] == []
