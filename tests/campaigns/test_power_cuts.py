"""Power cuts: acknowledged runs are on the disk, not only in memory.

The quick check traces that every new object, every ref and their directories are flushed. The long
one copies the image of a mounted disk, which is what a machine finds after a power cut.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.field import EXP, KEEP, Field, read_records, require_root, require_strace
from tests.conftest import RepoBuilder

_FLUSH = re.compile(r"fsync\(\d+<([^>]+)>(?:\)\s+= 0| <unfinished)")
_NAME = re.compile(
    r'(?:link|rename)(?:at2?)?\((?:[^",]*, )?"([^"]+)", (?:[^",]*, )?"([^"]+)"'
    r"[^)]*(?:\)\s+= 0| <unfinished)"
)


def trace(ground: Field, log: Path, *args: str) -> list[tuple[str, str, str]]:
    """Flushes and renames, in order: (`flush`, path, ``) and (`name`, from, to)."""
    calls = "fsync,fdatasync,link,linkat,rename,renameat,renameat2"
    prefix = ("strace", "-f", "-y", "-qq", "-s", "4096", "-o", str(log), "-e", f"trace={calls}")
    done = ground.exp(*args, prefix=prefix)
    assert done.status == 0, done.err
    steps = []
    for line in log.read_text().splitlines():
        if flushed := _FLUSH.search(line):
            steps.append(("flush", flushed[1], ""))
        elif named := _NAME.search(line):
            steps.append(("name", named[1], named[2]))
    return steps


def unflushed(steps: list[tuple[str, str, str]]) -> list[str]:
    """Return objects, packs and refs that were created without a flush of the file or directory."""
    bad = []
    for n, (kind, source, target) in enumerate(steps):
        if kind != "name" or not re.search(r"/(objects|refs)/", target) or "tmp_" in target:
            continue
        flushed_before = {path for what, path, _ in steps[:n] if what == "flush"}
        flushed_after = {path for what, path, _ in steps[n:] if what == "flush"}
        if not any(path.endswith(source.lstrip("./")) for path in flushed_before):
            bad.append(f"{target}: the file")
        folder = str(Path(target).parent).lstrip("./")
        if not any(path.endswith(folder) for path in flushed_after):
            bad.append(f"{target}: its folder")
    return bad


@pytest.mark.parametrize("first", [True, False])
def test_every_object_ref_and_directory_is_flushed(
    repo: RepoBuilder, tmp_path: Path, first: bool
) -> None:
    """For a run of changed code: snapshot, keep branch, record, seal."""
    require_strace()
    ground = Field(repo)
    if not first:
        ground.record(0)
    repo.write("train.py", "# changed\n")
    steps = trace(ground, tmp_path / "log", "run", "--", "echo", "METRIC value=1")
    named = [target for kind, _, target in steps if kind == "name" and "/refs/heads/" in target]
    objects = [t for kind, _, t in steps if kind == "name" and re.search(r"/objects/../", t)]
    assert len(objects) >= 10, "the trace shows too little to trust it"
    assert named, "no ref was seen to move"
    pins = [line for line in unflushed(steps) if "refs/gitexp/pending" in line]
    assert [line for line in unflushed(steps) if line not in pins] == []


def test_commit_of_the_user_is_flushed_before_the_record(repo: RepoBuilder, tmp_path: Path) -> None:
    """Git does not flush what a user commits; a record must not outlive the code it names."""
    require_strace()
    ground = Field(repo)
    ground.record(0)
    before = set(loose_objects(repo))
    repo.commit({"train.py": "# new\n", "data.txt": "1\n"})
    made = set(loose_objects(repo)) - before
    assert len(made) == 4
    steps = trace(ground, tmp_path / "log", "record", "-M", "value=1")
    flushed = {path for kind, path, _ in steps if kind == "flush"}
    assert {str(path) for path in made} <= flushed
    assert {str(path.parent) for path in made} <= flushed


def test_fast_durability_flushes_nothing(repo: RepoBuilder, tmp_path: Path) -> None:
    """The user chose this; and it shows that the checks above can fail."""
    require_strace()
    ground = Field(repo)
    ground.record(0)
    repo.git("config", "exp.durability", "fast")
    steps = trace(ground, tmp_path / "log", "record", "-M", "value=1")
    assert unflushed(steps)
    objects = [
        path for kind, path, _ in steps if kind == "flush" and re.search(r"/objects/../", path)
    ]
    assert objects == []


def loose_objects(repo: RepoBuilder) -> list[Path]:
    return list((repo.path / ".git/objects").glob("??/*"))


# --- cuts -----------------------------------------------------------------------------------------

WORK = """
import random, subprocess, sys
repo, log, seed, *exp = sys.argv[1:]
rng = random.Random(int(seed))
n = 0
with open(log, "a", buffering=1) as acknowledged:
    while True:
        n += 1
        with open(f"{repo}/train.py", "w") as file:
            file.write(f"# attempt {n}\\n" * rng.choice([1, 1000]))
        if rng.random() < 0.5:
            subprocess.run(["git", "commit", "-qam", f"attempt {n}"], cwd=repo, check=True)
        argv = [*exp, "record", "-q", "-M", f"value={n}"]
        done = subprocess.run(argv, cwd=repo, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        acknowledged.write(f"{done.stdout.strip()} {n}\\n")
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A mounted ext4 image: (image, mount point)."""
    require_root("mount")
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(48 << 20)
    sbin = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    tool = shutil.which("mkfs.ext4", path=sbin)
    if tool is None:
        pytest.skip("there is no mkfs.ext4 on this machine")
    made = subprocess.run([tool, "-q", image], capture_output=True, check=False)
    if made.returncode != 0 or not mount(image, place):
        pytest.skip("this machine does not let us mount an image")
    yield image, place
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def mount(image: Path, place: Path) -> bool:
    done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    return done.returncode == 0


def cut_again_and_again(
    disk: tuple[Path, Path], folder: Path, cuts: int, durability: str
) -> tuple[int, int, int]:
    """Work, cut, check. Return acknowledged runs, lost runs, and the number of complete states."""
    image, place = disk
    repo = RepoBuilder(place / "repo")
    repo.path.mkdir()
    repo.git("init", "--quiet")
    repo.commit({"train.py": "# first\n"})
    repo.git("config", "exp.durability", durability)
    subprocess.run(["sync", "-f", place], check=True)
    log, copy, after = folder / "acknowledged", folder / "copy.img", folder / "after"
    log.write_text("")
    after.mkdir()
    acknowledged = lost = unreadable = 0
    with subprocess.Popen(
        [sys.executable, "-c", WORK, str(repo.path), str(log), "1", *EXP], start_new_session=True
    ) as worker:
        try:
            for n in range(cuts):
                lines = len(log.read_text().splitlines())
                while len(log.read_text().splitlines()) < lines + 1 + n % 3:
                    assert worker.poll() is None
                    time.sleep(0.01 * (n % 7))  # cuts fall anywhere between two records
                os.killpg(worker.pid, signal.SIGSTOP)
                told = dict(line.split() for line in log.read_text().splitlines())
                subprocess.run(["cp", "--sparse=always", image, copy], check=True)
                os.killpg(worker.pid, signal.SIGCONT)
                missing, is_readable = look(copy, after, told)
                acknowledged, lost = len(told), lost + missing
                unreadable += not is_readable
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
    return acknowledged, lost, unreadable


def look(copy: Path, after: Path, told: dict[str, str]) -> tuple[int, bool]:
    """Return the number of lost acknowledged runs, and whether the branches can be read."""
    assert mount(copy, after)
    try:
        repo = RepoBuilder(after / "repo")
        whole = subprocess.run(
            "git rev-list --objects refs/heads/gitexp refs/heads/gitexp-code | cut -c1-40"
            " | git cat-file --batch > /dev/null && git rev-list --objects --quiet "
            + f"refs/heads/gitexp {KEEP}",
            shell=True,
            cwd=repo.path,
            capture_output=True,
            text=True,
            check=False,
        )
        if whole.returncode != 0 or whole.stderr:
            return len(told), False
        records = read_records(repo)
        missing = [run for run in told if run not in records]
        listed = Field(repo).exp("list", "--name-only")
        assert listed.status == 0, listed.err
        assert set(told) - set(missing) <= set(listed.out.split())
        return len(missing), True
    finally:
        subprocess.run(["umount", after], check=True)


def test_five_power_cuts_lose_nothing(disk: tuple[Path, Path], tmp_path: Path) -> None:
    acknowledged, lost, unreadable = cut_again_and_again(disk, tmp_path, 5, "committed")
    assert acknowledged >= 5
    assert (lost, unreadable) == (0, 0)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("durability", ["committed", "fast"])
def test_fifty_power_cuts_lose_nothing_when_committed(
    disk: tuple[Path, Path], tmp_path: Path, durability: str
) -> None:
    acknowledged, lost, unreadable = cut_again_and_again(disk, tmp_path, 50, durability)
    print(f"{durability}: {acknowledged} acknowledged, {lost} lost, {unreadable} unreadable")
    if durability == "committed":
        assert (lost, unreadable) == (0, 0)
    else:
        assert lost > 0, "a cut that loses nothing proves nothing"
