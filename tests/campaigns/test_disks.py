"""Full, failing, read-only and limited disks: exit code 0 only if recorded.

The user's command is never stopped and keeps its exit code. When there is space again, one ordinary
command completes the record.
"""

import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from gitexp.adapters.git.steps import read_refusal
from gitexp.core.errors import CommandFailed, Conflict, GitexpError
from tests.campaigns.field import (
    STORING,
    VICTIMS,
    Done,
    Field,
    Fired,
    Injection,
    find_points,
    injected,
    read_records,
    require_root,
    require_strace,
)
from tests.conftest import RepoBuilder, some_daily

FAULTS = ("error=ENOSPC", "error=EIO")
CODE = 7


def attempt(
    ground: Field, n: int, marks: Path, *, code: int, prefix: tuple[str, ...] = (), **env: str
) -> Done:
    """Run a command under a fault that writes marks outside the repository; check its record."""
    marks.write_text("")
    ground.repo.write("train.py", f"# attempt {n}\n")
    script = f"echo begin >> {marks}; echo METRIC value={n}; echo end >> {marks}; exit {code}"
    done = ground.exp("run", "--", "sh", "-c", script, prefix=prefix, env=env)
    assert marks.read_text() in ("", "begin\nend\n"), "the command was stopped"
    ground.started.update(done.started)
    if marks.read_text() and code:
        assert done.status == code, f"its exit code was lost: {done}"
    if done.status == 0:
        recorded = [
            run
            for run, record in read_records(ground.repo).items()
            if record.get("metrics", {}).get("value") == n and record["outcome"] == "succeeded"
        ]
        assert recorded, f"exit 0 and not recorded: {done.err}"
        ground.acknowledged[recorded[0]] = n
    assert "bug in gitexp" not in done.err, done.err
    return done


def sweep(ground: Field, fault: Injection, folder: Path, step: int, first: int = 0) -> int:
    """Let every step-th call of each kind fail, from the first. Return the number of failures."""
    values = iter(range(1, 1_000_000))

    def deed(fired: Fired) -> object:
        n = next(values)
        code = CODE if n % 2 else 0
        return attempt(
            ground, n, folder / "marks", code=code, prefix=tuple(fired.prefix), **fired.env
        )

    failures = 0
    for point in find_points(fault, folder, deed)[first::step]:
        with injected(point, folder) as fired:
            deed(fired)
        failures += fired.happened
        ground.next_command_works()
    ground.check()
    return failures


@pytest.mark.parametrize("effect", some_daily(FAULTS, 1))
@pytest.mark.parametrize("victim", ["update-index", "update-ref", "gitexp: record", "fast-import"])
def test_failing_calls_of_git_lose_nothing(
    repo: RepoBuilder, tmp_path: Path, victim: str, effect: str
) -> None:
    require_strace()
    fault = Injection(victim, STORING, effect, children=True)
    assert sweep(Field.of(repo, victim), fault, tmp_path, step=37) > 0


@pytest.mark.parametrize("effect", [FAULTS[0], pytest.param(FAULTS[1], marks=pytest.mark.long)])
def test_failing_calls_of_gitexp_lose_nothing(
    repo: RepoBuilder, tmp_path: Path, effect: str
) -> None:
    require_strace()
    fault = Injection("python", STORING.replace(",openat", ""), effect)
    assert sweep(Field(repo), fault, tmp_path, step=37) > 2


KINDS = list(product(FAULTS, [False, True]))


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("victim", [*VICTIMS, "python"])
def test_each_failing_call_loses_nothing(
    repo: RepoBuilder, tmp_path: Path, victim: str, kind: int
) -> None:
    """Each call once, in one of four ways in turn; all four at each call would take hours."""
    require_strace()
    effect, lasting = KINDS[kind]
    calls = STORING.replace(",openat", "") if victim == "python" else STORING
    fault = Injection(victim, calls, effect, lasting=lasting, children=victim != "python")
    ground = Field.of(repo, victim)
    failures = sweep(ground, fault, tmp_path, step=len(KINDS), first=kind)
    print(f"{victim} {effect} lasting={lasting}: {failures} failures, {ground.slowest_s:.2f} s")
    assert failures > 3


# --- small and read-only disks --------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory."""
    require_root("mount")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip("this machine does not let us mount")
        return place

    yield mount
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def on_disk(place: Path) -> Field:
    """A repository with one run on a small disk."""
    path = place / "repo"
    path.mkdir()
    repo = RepoBuilder(path)
    repo.git("init", "--quiet")
    repo.commit({"train.py": "print('hello')\n", ".gitignore": "ballast*\n"})
    ground = Field(repo)
    assert ground.record(0).status == 0
    return ground


FILL = {
    "size=3m": "dd if=/dev/zero of=ballast bs=4k 2>/dev/null; dd if=/dev/zero of=ballast2 bs=1 "
    "2>/dev/null",
    "size=30m,nr_inodes=220": "mkdir -p ballast; n=0; while : 2>/dev/null > ballast/$n; do "
    "n=$((n+1)); done",
}


@pytest.mark.parametrize("reason", ["short", "long " * 800])
@pytest.mark.parametrize(("options", "code"), list(zip(FILL, [0, CODE], strict=True)))
def test_command_that_fills_the_disk_is_recorded(
    mounted: Callable[[str], Path], options: str, code: int, reason: str
) -> None:
    """Also if the record does not fit into the rest of the journal's last block."""
    ground = on_disk(mounted(options))
    script = f"echo METRIC value=1; ({FILL[options]}); exit {code}"
    done = ground.exp("run", "-m", reason, "--", "sh", "-c", script)
    assert done.status == (code or 128), done.err
    assert "its journal is kept" in done.err
    assert "bug in gitexp" not in done.err
    ground.started.update(done.started)
    assert ground.record(2).status == 128
    subprocess.run("rm -rf ballast*", shell=True, cwd=ground.repo.path, check=True)
    assert len(ground.next_command_works()) == 2
    ground.check()
    outcomes = {record["outcome"] for record in read_records(ground.repo).values()}
    assert outcomes == ({"succeeded", "failed"} if code else {"succeeded"})


@pytest.mark.parametrize("options", FILL)
def test_full_disk_before_the_start_stops_the_run(
    mounted: Callable[[str], Path], options: str
) -> None:
    """A run that cannot be recorded does not start; existing runs can be read."""
    ground = on_disk(mounted(options))
    subprocess.run(FILL[options], shell=True, cwd=ground.repo.path, check=False)
    done = ground.exp("run", "--", "touch", "/dev/null")
    assert done.status == 128
    assert "bug in gitexp" not in done.err
    assert ground.record(1).status == 128
    listed = ground.exp("list", "--name-only")
    assert listed.out.split() == list(ground.acknowledged)
    subprocess.run("rm -rf ballast*", shell=True, cwd=ground.repo.path, check=True)
    assert ground.record(2).status == 0
    ground.next_command_works()
    ground.check()


def test_messages_that_a_full_disk_rejects_change_no_exit_code(repo: RepoBuilder) -> None:
    """As in `git exp run … 2> log`: a lost message is no failure."""
    ground = Field(repo)
    ground.record(0)
    for code in (0, CODE):
        done = ground.exp(
            *("run", "--", "sh", "-c", f"echo METRIC value=1; exit {code}"),
            prefix=("sh", "-c", 'exec "$@" 2> /dev/full', "sh"),
        )
        assert (done.status, done.err) == (code, "")
    outcomes = [record["outcome"] for record in ground.check().values()]
    assert sorted(outcomes) == ["failed", "succeeded", "succeeded"]
    assert ground.exp("show", "nonesuch", prefix=("sh", "-c", 'exec "$@" 2>&-', "sh")).status == 128


def test_disk_that_becomes_read_only_loses_no_run(
    mounted: Callable[[str], Path], tmp_path: Path
) -> None:
    """A read-only view of the disk covers it in one step.

    A remount in place would fail with EBUSY while gitexp has a file open for writing.
    """
    place = mounted("size=20m")
    ground = on_disk(place)
    view = tmp_path / "view"
    view.mkdir()
    subprocess.run(["mount", "--bind", place, view], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", view], check=True)
        script = f"echo METRIC value=1; mount --bind {view} {place} || exit 99; exit {CODE}"
        done = ground.exp("run", "--", "sh", "-c", script)
    finally:
        subprocess.run(["umount", "--lazy", view], check=True)
    ground.started.update(done.started)
    assert done.status == CODE, done.err
    assert "bug in gitexp" not in done.err
    assert ground.record(2).status == 128
    listed = ground.exp("list", "--name-only")
    assert listed.status == 0
    assert set(ground.acknowledged) <= set(listed.out.split())
    subprocess.run(["umount", place], check=True)
    assert len(ground.next_command_works()) == 2
    ground.check()


@pytest.mark.parametrize("limit", [256, 4096])
def test_file_size_limit_loses_no_run(repo: RepoBuilder, tmp_path: Path, limit: int) -> None:
    """The limit may cut any write; it kills git, and gives gitexp an error."""
    ground = Field(repo)
    ground.record(0)
    prefix = ("prlimit", f"--fsize={limit}")
    attempt(ground, 1, tmp_path / "marks", code=CODE, prefix=prefix)
    attempt(ground, 2, tmp_path / "marks", code=0, prefix=prefix)
    ground.next_command_works()
    ground.check()


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ("Unable to create '/r/.git/refs/heads/gitexp.lock': File exists.", Conflict),
        ("Unable to create '/r/.git/refs/heads/gitexp.lock': No space left", CommandFailed),
        ("Unable to create '/r/.git/refs/heads/gitexp.lock': Read-only file system", CommandFailed),
        ("is at 0123456789 but expected 9876543210", Conflict),
    ],
)
def test_a_full_disk_is_not_taken_for_a_busy_branch(
    complaint: str, kind: type[GitexpError]
) -> None:
    """Waiting half a minute for other writers would free no space."""
    stderr = f"error: cannot lock ref 'refs/heads/gitexp': {complaint}\n"
    assert type(read_refusal(1, stderr)) is kind
