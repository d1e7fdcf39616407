"""The pre-push hook: installed beside other hooks, run by real pushes, without harm to a push."""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity
from gitexp.core.analysis.groups import Measurement, group_of
from gitexp.core.analysis.verdicts import Question, judge_metric
from gitexp.core.errors import ForeignHook, GitexpError
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Direction, MetricRule, Origin, Outcome, Run
from gitexp.features.sync import hook_install
from gitexp.features.sync.gates import Gate
from gitexp.features.sync.pre_push import (
    PrePushResult,
    PushPlan,
    plan_pre_push,
    run_pre_push,
)
from gitexp.features.sync.push_notes import mark_told
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import sealed
from gitexp.storage.settings.options import Settings
from tests.conftest import MakeRepo, RepoBuilder

SHELLS = [name for name in ("sh", "dash", "bash", "busybox") if shutil.which(name)]
FOREIGN = b"#!/bin/sh\necho foreign >> log\n\xff\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def put_hook(path: Path, text: bytes = FOREIGN, bits: int = 0o750) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    path.chmod(bits)
    return path


@pytest.fixture
def place(repo: RepoBuilder) -> Path:
    """Return the path of the hook in the test's repository."""
    return repo.path / ".git" / "hooks" / "pre-push"


def discover(repo: RepoBuilder) -> Repo:
    return Repo.discover(repo.path)


class TestInstall:
    def test_install_writes_the_shim(self, repo: RepoBuilder, place: Path) -> None:
        status = hook_install.install(discover(repo))
        assert place.read_bytes() == hook_install.shim()
        assert mode(place) == 0o755
        assert (status.path, status.installed, status.chained, status.tool) == (
            place,
            True,
            None,
            None,
        )

    def test_second_install_changes_nothing(self, repo: RepoBuilder, place: Path) -> None:
        put_hook(place)
        hook_install.install(discover(repo))
        first = sorted((p.name, p.read_bytes(), mode(p)) for p in place.parent.iterdir())
        hook_install.install(discover(repo))
        assert sorted((p.name, p.read_bytes(), mode(p)) for p in place.parent.iterdir()) == first

    def test_install_updates_an_old_or_unexecutable_shim(
        self, repo: RepoBuilder, place: Path
    ) -> None:
        put_hook(place, hook_install.shim() + b"# old\n", 0o644)
        status = hook_install.status(discover(repo))
        assert (status.installed, status.working) == (True, False)
        hook_install.install(discover(repo))
        assert (place.read_bytes(), mode(place)) == (hook_install.shim(), 0o755)
        assert not place.with_name(hook_install.CHAINED).exists()

    @pytest.mark.parametrize("bits", [0o755, 0o700, 0o644])
    def test_uninstall_restores_a_foreign_hook_byte_for_byte(
        self, repo: RepoBuilder, place: Path, bits: int
    ) -> None:
        put_hook(place, bits=bits)
        status = hook_install.install(discover(repo))
        assert status.chained == place.with_name(hook_install.CHAINED)
        assert hook_install.uninstall(discover(repo)) is True
        assert (place.read_bytes(), mode(place)) == (FOREIGN, bits)
        assert not place.with_name(hook_install.CHAINED).exists()

    def test_uninstall_restores_a_linked_foreign_hook(self, repo: RepoBuilder, place: Path) -> None:
        put_hook(repo.path / "scripts" / "push.sh")
        place.symlink_to("../../scripts/push.sh")
        hook_install.install(discover(repo))
        assert (repo.path / "scripts" / "push.sh").read_bytes() == FOREIGN
        hook_install.uninstall(discover(repo))
        assert place.readlink() == Path("../../scripts/push.sh")

    def test_uninstall_without_a_foreign_hook_leaves_none(
        self, repo: RepoBuilder, place: Path
    ) -> None:
        hook_install.install(discover(repo))
        hook_install.uninstall(discover(repo))
        assert not place.exists()

    def test_uninstall_keeps_foreign_hooks(self, repo: RepoBuilder, place: Path) -> None:
        assert hook_install.uninstall(discover(repo)) is False
        put_hook(place)
        assert hook_install.uninstall(discover(repo)) is False
        assert place.read_bytes() == FOREIGN

    def test_hook_written_over_the_shim_is_not_mixed_with_the_chained_one(
        self, repo: RepoBuilder, place: Path
    ) -> None:
        put_hook(place)
        hook_install.install(discover(repo))
        put_hook(place, b"#!/bin/sh\n# git lfs pre-push\n")
        with pytest.raises(ForeignHook, match="cannot install the hook"):
            hook_install.install(discover(repo))
        assert hook_install.status(discover(repo)).tool == "git-lfs"
        put_hook(place)
        hook_install.install(discover(repo))
        assert hook_install.status(discover(repo)).installed

    def test_install_into_a_read_only_directory_is_an_error(self, repo: RepoBuilder) -> None:
        repo.git("config", "core.hooksPath", os.devnull)
        with pytest.raises(GitexpError) as caught:
            hook_install.install(discover(repo))
        assert caught.value.hints == ("`git config core.hooksPath` says where git looks for hooks",)


class TestPlaces:
    def test_linked_worktrees_share_the_hook(self, repo: RepoBuilder, place: Path) -> None:
        linked = repo.path.parent / "linked"
        repo.git("worktree", "add", "--quiet", "--detach", str(linked))
        assert hook_install.install(Repo.discover(linked)).path.resolve() == place.resolve()

    def test_subdirectory_finds_the_same_hook(self, repo: RepoBuilder, place: Path) -> None:
        repo.write("sub/x", "")
        assert hook_install.hook_path(Repo.discover(repo.path / "sub")) == place

    def test_install_works_in_a_bare_repository(self, make_repo: MakeRepo) -> None:
        bare = make_repo("bare.git", bare=True)
        assert hook_install.install(discover(bare)).path == bare.path / "hooks" / "pre-push"

    def test_install_uses_an_absolute_hooks_path(self, repo: RepoBuilder, tmp_path: Path) -> None:
        repo.git("config", "core.hooksPath", str(tmp_path / "elsewhere"))
        assert hook_install.install(discover(repo)).path == tmp_path / "elsewhere" / "pre-push"

    def test_install_uses_a_hooks_path_in_the_git_directory(self, repo: RepoBuilder) -> None:
        repo.git("config", "core.hooksPath", ".git/my-hooks")
        hook_install.install(discover(repo))
        assert (repo.path / ".git" / "my-hooks" / "pre-push").exists()

    def test_hooks_path_in_the_work_tree_gives_the_line_to_add(self, repo: RepoBuilder) -> None:
        repo.git("config", "core.hooksPath", ".githooks")
        with pytest.raises(ForeignHook) as caught:
            hook_install.install(discover(repo))
        assert 'git exp hook pre-push "$@"' in caught.value.hints[0]
        assert not (repo.path / ".githooks").exists()
        hook_install.install(discover(repo), force=True)
        assert (repo.path / ".githooks" / "pre-push").read_bytes() == hook_install.shim()

    def test_hooks_path_of_all_repositories_gives_the_line_to_add(
        self, repo: RepoBuilder, tmp_path: Path
    ) -> None:
        repo.git("config", "--global", "core.hooksPath", str(tmp_path / "shared"))
        with pytest.raises(ForeignHook) as caught:
            hook_install.install(discover(repo))
        assert caught.value.why == "`core.hooksPath` (global) is shared by all your repositories"

    @pytest.mark.parametrize(
        ("sign", "tool", "line"),
        [
            (".pre-commit-config.yaml", "pre-commit", "entry: git exp hook pre-push"),
            (".husky/pre-commit", "husky", 'git exp hook pre-push "$@"'),
            ("lefthook.yml", "lefthook", "run: git exp hook pre-push {1} {2}"),
            ("lefthook.toml", "lefthook", "use_stdin: true"),
        ],
    )
    def test_other_tools_get_the_lines_to_add(
        self, repo: RepoBuilder, place: Path, sign: str, tool: str, line: str
    ) -> None:
        repo.write(sign, "")
        with pytest.raises(ForeignHook, match=f"managed by {tool}") as caught:
            hook_install.install(discover(repo))
        assert line in "\n".join(caught.value.hints)
        assert not place.exists()
        status = hook_install.status(discover(repo))
        assert (status.tool, status.installed) == (tool, False)
        assert line in "\n".join(status.advice)
        assert hook_install.install(discover(repo), force=True).installed


GIT = tuple(
    int(part)
    for part in subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    .stdout.split()[2]
    .split(".")[:2]
)


class TestConfiguration:
    """Hooks in git's configuration, of git 2.54 and newer."""

    @pytest.mark.skipif(GIT < (2, 54), reason="this git has no hooks in its configuration")
    def test_new_git_gets_the_hook_beside_other_tools(
        self, repo: RepoBuilder, make_repo: MakeRepo, tmp_path: Path
    ) -> None:
        hub = make_repo("hub.git", bare=True)
        repo.git("remote", "add", "hub", str(hub.path))
        repo.write(".husky/pre-commit", "")
        put_hook(tmp_path / "bin/git-exp", b'#!/bin/sh\necho "$*" >> "$SHIM_LOG"; exit 10\n', 0o755)
        status = hook_install.install(discover(repo), program=tmp_path / "bin/git-exp")
        assert (status.installed, status.working) == (False, True)
        assert str(status.tool).startswith("hook.gitexp")
        assert not status.path.exists()
        log = str(tmp_path / "log")
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        repo.git(
            *("push", "--quiet", "hub", "main"),
            env={"SHIM_LOG": log, "PATH": path, "GITEXP_EVALUATE": "x"},
        )
        assert Path(log).read_text().startswith("hook pre-push hub")
        assert hook_install.uninstall(discover(repo)) is True
        assert hook_install.status(discover(repo)).working is False
        assert "hook.gitexp" not in repo.git("config", "--list")

    @pytest.mark.skipif(GIT >= (2, 54), reason="this git runs such a hook")
    def test_older_git_ignores_configured_hooks(self, repo: RepoBuilder) -> None:
        repo.git("config", "hook.mine.event", "pre-push")
        repo.git("config", "hook.mine.command", "git exp hook pre-push")
        assert hook_install.status(discover(repo)).working is False


class TestStatus:
    def test_status_without_a_hook(self, repo: RepoBuilder, place: Path) -> None:
        status = hook_install.status(discover(repo))
        assert (status.installed, status.working, status.tool) == (False, False, None)
        assert status.advice == ("`git exp hooks install` installs it",)
        assert not place.exists()

    def test_status_with_gitexp_on_path_works(
        self, repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
        hook_install.install(discover(repo))
        assert hook_install.status(discover(repo)).working is False
        put_hook(tmp_path / "venv/bin/git-exp", b"#!/bin/sh\n", 0o755)
        hook_install.install(discover(repo), program=tmp_path / "venv/bin/git-exp")
        assert hook_install.status(discover(repo)).working is True
        (tmp_path / "venv/bin/git-exp").unlink()
        assert hook_install.status(discover(repo)).working is False
        put_hook(tmp_path / "bin" / "git-exp", b"#!/bin/sh\n", 0o755)
        assert hook_install.status(discover(repo)).working is True

    def test_status_names_a_configured_hook(self, repo: RepoBuilder, place: Path) -> None:
        """Git 2.54 runs it before ours; both run."""
        repo.git("config", "hook.other.event", "pre-commit")
        repo.git("config", "hook.Lint.all.event", "pre-push")
        repo.git("config", "hook.Lint.all.command", "lint")
        status = hook_install.install(discover(repo))
        assert (status.installed, status.tool, status.chained) == (True, "hook.Lint.all", None)
        repo.git("config", "hook.Lint.all.command", "git exp hook pre-push")
        assert "calls gitexp" in str(hook_install.status(discover(repo)).tool)

    @pytest.mark.parametrize(
        ("text", "tool"),
        [(b"git lfs pre-push", "git-lfs"), (b"# File generated by pre-commit", "pre-commit")],
    )
    def test_status_names_the_owner_of_a_foreign_hook(
        self, repo: RepoBuilder, place: Path, text: bytes, tool: str
    ) -> None:
        put_hook(place, b"#!/bin/sh\n" + text)
        assert hook_install.status(discover(repo)).tool == tool


@dataclass
class Pushing:
    """A repository with the shim, a remote, and a `git-exp` that only logs its calls."""

    repo: RepoBuilder
    hub: RepoBuilder
    bin: Path
    log: Path
    env: dict[str, str] = field(default_factory=dict)

    def fake(self, name: str, script: str) -> None:
        put_hook(self.bin / name, f"#!/bin/sh\n{script}\n".encode(), 0o755)

    def foreign(self, script: str) -> None:
        put_hook(self.repo.path / ".git/hooks/pre-push", f"#!/bin/sh\n{script}\n".encode(), 0o755)

    def push(self, *refs: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["git", "push", "--quiet", "hub", *(refs or ["main"])],
            cwd=self.repo.path,
            env={**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin", **self.env},
            capture_output=True,
            text=True,
            check=False,
        )

    def said(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture(params=SHELLS)
def pushing(
    request: pytest.FixtureRequest, repo: RepoBuilder, make_repo: MakeRepo, tmp_path: Path
) -> Pushing:
    """Parametrized by every shell on the machine: the shim must work with all of them."""
    hub = make_repo("hub.git", bare=True)
    repo.git("remote", "add", "hub", str(hub.path))
    made = Pushing(repo, hub, tmp_path / "bin", tmp_path / "log")
    shell = shutil.which(request.param)
    words = f"{shell} sh" if request.param == "busybox" else shell
    made.env["SHIM_LOG"] = str(made.log)
    made.fake("git-exp", 'echo "exp $*" >> "$SHIM_LOG"; cat >> "$SHIM_LOG"; exit 10')
    made.env["GITEXP_EVALUATE"] = "something to ask"
    made.env["SHIM_SHELL"] = str(words)
    return made


def install(pushing: Pushing) -> None:
    """Install the shim, with the shell of the test in its first line."""
    status = hook_install.install(discover(pushing.repo))
    text = status.path.read_bytes()
    shell = pushing.env["SHIM_SHELL"]
    status.path.write_bytes(text.replace(b"#!/bin/sh", b"#!" + shell.encode(), 1))


class TestShim:
    def test_shim_finds_gitexp_where_it_was_installed(
        self, pushing: Pushing, tmp_path: Path
    ) -> None:
        """In a graphical client, whose PATH is not that of the user's shell."""
        (tmp_path / "my venv").mkdir()
        program = (pushing.bin / "git-exp").rename(tmp_path / "my venv/git-exp")
        install(pushing)
        assert (pushing.push().returncode, pushing.said()) == (0, [])
        hook_install.install(discover(pushing.repo), program=program)
        install(pushing)
        pushing.repo.commit()
        assert pushing.push().returncode == 0
        assert pushing.said()[0].startswith("exp hook pre-push hub")
        said = pushing.said()
        program.rename(tmp_path / "my venv/moved")
        pushing.repo.commit()
        done = pushing.push()
        assert (done.returncode, done.stderr, pushing.said()) == (0, "", said)

    def test_shim_passes_arguments_and_refs_to_gitexp(self, pushing: Pushing) -> None:
        install(pushing)
        done = pushing.push()
        assert (done.returncode, done.stderr) == (0, "")
        head, zero = pushing.repo.head, "0" * 40
        assert pushing.said() == [
            f"exp hook pre-push hub {pushing.hub.path}",
            f"refs/heads/main {head} refs/heads/main {zero}",
        ]

    def test_shim_passes_every_line_of_git_unchanged(self, pushing: Pushing) -> None:
        install(pushing)
        pushing.repo.git("branch", "other")
        pushing.push("main", "other")
        assert len(pushing.said()) == 3
        pushing.log.unlink()
        pushing.push("main", "other")
        assert pushing.said() == [f"exp hook pre-push hub {pushing.hub.path}"]

    def test_push_works_without_gitexp(self, pushing: Pushing) -> None:
        install(pushing)
        (pushing.bin / "git-exp").unlink()
        assert pushing.push().returncode == 0
        assert pushing.said() == []

    def test_failed_gate_fails_the_push(self, pushing: Pushing) -> None:
        install(pushing)
        pushing.fake("git-exp", "echo no >&2; exit 3")
        done = pushing.push()
        assert done.returncode != 0
        assert "no" in done.stderr
        assert pushing.hub.git("for-each-ref") == ""

    def test_broken_gitexp_fails_no_push(self, pushing: Pushing) -> None:
        install(pushing)
        pushing.fake("git-exp", "echo 'ImportError: no click' >&2; exit 1")
        assert pushing.push().returncode == 0
        assert "main" in pushing.hub.git("for-each-ref")

    @pytest.mark.parametrize(
        ("files", "settings", "asks"),
        [
            ({}, {}, False),
            ({"gitexp.toml": 'metric = "loss"\n'}, {}, False),
            ({"gitexp.toml": "[metrics.loss]\ngate = 0.1\n"}, {}, True),
            ({"gitexp.toml": 'metrics-files = ["m.json"]\n'}, {}, True),
            ({"pyproject.toml": '[tool.other]\nevaluate = "x"\n'}, {}, False),
            ({"pyproject.toml": '[tool.gitexp]\nevaluate = "x"\n'}, {}, True),
            ({}, {"exp.evaluate": "x"}, True),
            ({}, {"exp.metricsFiles": "x"}, True),
        ],
    )
    def test_shim_calls_gitexp_only_if_needed(
        self, pushing: Pushing, files: dict[str, str], settings: dict[str, str], asks: bool
    ) -> None:
        install(pushing)
        del pushing.env["GITEXP_EVALUATE"]
        for name, text in files.items():
            pushing.repo.write(name, text)
        for key, value in settings.items():
            pushing.repo.git("config", key, value)
        assert pushing.push().returncode == 0
        assert bool(pushing.said()) is asks

    def test_foreign_hook_that_reads_no_input_works(self, pushing: Pushing) -> None:
        pushing.foreign("exit 0")
        install(pushing)
        pushing.fake("git-exp", "exit 0")
        for n in range(300):
            pushing.repo.git("branch", f"{'b' * 200}{n}")
        done = pushing.push("refs/heads/*:refs/heads/*")
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_foreign_hook_runs_first_with_arguments_and_input(self, pushing: Pushing) -> None:
        pushing.foreign('echo "foreign $*" >> "$SHIM_LOG"; cat >> "$SHIM_LOG"')
        install(pushing)
        assert pushing.push().returncode == 0
        url = pushing.hub.path
        line = f"refs/heads/main {pushing.repo.head} refs/heads/main {'0' * 40}"
        assert pushing.said() == [
            f"foreign hub {url}",
            line,
            f"exp hook pre-push hub {url}",
            line,
        ]

    def test_the_foreign_hook_fails_the_push_as_before(self, pushing: Pushing) -> None:
        pushing.foreign("echo never >&2; exit 3")
        install(pushing)
        done = pushing.push()
        assert done.returncode != 0
        assert "never" in done.stderr
        assert pushing.said() == []

    def test_a_foreign_hook_that_git_would_not_run_is_not_run(self, pushing: Pushing) -> None:
        pushing.foreign("exit 3")
        (pushing.repo.path / ".git/hooks/pre-push").chmod(0o644)
        install(pushing)
        assert pushing.push().returncode == 0

    def test_push_of_gitexp_runs_only_the_foreign_hook(self, pushing: Pushing) -> None:
        pushing.foreign('echo foreign >> "$SHIM_LOG"')
        install(pushing)
        pushing.env["GITEXP_IN_PUSH"] = "1"
        assert pushing.push().returncode == 0
        assert pushing.said() == ["foreign"]

    def test_shim_works_in_a_linked_worktree_with_a_relative_hooks_path(
        self, pushing: Pushing
    ) -> None:
        install(pushing)
        linked = pushing.repo.path.parent / "linked"
        pushing.repo.git("worktree", "add", "--quiet", "-b", "side", str(linked))
        replace(pushing, repo=RepoBuilder(linked)).push("side")
        assert len(pushing.said()) == 2
        pushing.repo.git("config", "core.hooksPath", ".git/hooks")
        pushing.push("main")
        assert len(pushing.said()) == 4


ONE, TWO, ZERO = "1" * 40, "2" * 40, "0" * 40


class TestPlan:
    @pytest.mark.parametrize(
        ("lines", "commits"),
        [
            ([], ()),
            ([f"refs/heads/main {ONE} refs/heads/main {TWO}\n"], (ONE,)),
            ([f"HEAD {ONE} refs/heads/x {ZERO}", f"HEAD~ {TWO} refs/heads/y {ZERO}"], (ONE, TWO)),
            ([f"HEAD {ONE} refs/heads/x {ZERO}", f"HEAD {ONE} refs/heads/y {ZERO}"], (ONE,)),
            ([f"(delete) {ZERO} refs/heads/main {ONE}"], ()),
            ([f"refs/heads/gitexp {ONE} refs/heads/gitexp {ZERO}"], ()),
            ([f"refs/heads/gitexp-code {ONE} refs/heads/gitexp-code {ZERO}"], ()),
            ([f"refs/tags/v1 {ONE} refs/tags/v1 {ZERO}"], ()),
            ([f"HEAD {'a' * 64} refs/heads/main {ZERO}"], ("a" * 64,)),
            (["not git's", "", f"x {ONE[:7]} refs/heads/main {ZERO}", "a b c d"], ()),
        ],
    )
    def test_push_input_of_git_is_parsed(self, lines: list[str], commits: tuple[str, ...]) -> None:
        plan = plan_pre_push(["origin", "url"], lines, {}, "gitexp")
        assert (plan.remote, plan.url) == ("origin", "url")
        assert plan.commits == tuple(ObjectId(oid) for oid in commits)

    def test_push_variables_of_pre_commit_are_parsed(self) -> None:
        environ = {
            "PRE_COMMIT_REMOTE_NAME": "upstream",
            "PRE_COMMIT_TO_REF": ONE,
            "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main",
        }
        line = f"HEAD {ONE} refs/heads/main {ONE}"
        plan = PushPlan("upstream", (ObjectId(ONE),), "", (line,))
        assert plan_pre_push([], [], environ, "gitexp") == plan
        environ["PRE_COMMIT_REMOTE_BRANCH"] = "refs/heads/gitexp"
        assert plan_pre_push([], [], environ, "gitexp") == PushPlan("upstream", ())


def gate(
    best: float | None,
    value: float | None,
    direction: Direction = Direction.MAXIMIZE,
    *,
    slack: float = 0.01,
    noise: float | None = 0.0,
) -> Gate:
    """Return a gate on a metric of two single runs with declared noise; `None` means unknown."""
    groups = [
        group_of([Measurement(RunId(f"{n:016x}"), n, number, group=str(n))])
        for n, number in enumerate((best, value))
    ]
    question = Question(
        metric="accuracy",
        new=groups[1],
        old=groups[0],
        direction=direction,
        rule=MetricRule(noise=noise),
    )
    return Gate("accuracy", slack, judge_metric(question))


class TestGates:
    @pytest.mark.parametrize(
        ("best", "value", "direction", "slack", "state"),
        [
            (0.9, 0.9, Direction.MAXIMIZE, 0.0, "open"),
            (0.9, 0.95, Direction.MAXIMIZE, 0.0, "open"),
            (0.9, 0.89, Direction.MAXIMIZE, 0.0, "closed"),
            (0.75, 0.5, Direction.MAXIMIZE, 0.25, "open"),
            (0.75, 0.49, Direction.MAXIMIZE, 0.25, "closed"),
            (0.5, 0.4, Direction.MINIMIZE, 0.0, "open"),
            (0.5, 0.6, Direction.MINIMIZE, 0.0, "closed"),
            (0.5, 0.75, Direction.MINIMIZE, 0.25, "open"),
            (None, 0.1, Direction.MAXIMIZE, 0.0, "open"),
            (0.9, None, Direction.MAXIMIZE, 0.0, "open"),
        ],
    )
    def test_gate_without_noise_compares_numbers(
        self,
        best: float | None,
        value: float | None,
        direction: Direction,
        slack: float,
        state: str,
    ) -> None:
        assert gate(best, value, direction, slack=slack).state == state

    def test_loss_within_the_noise_passes_the_gate(self) -> None:
        assert gate(0.9, 0.85, noise=0.05).state == "unsure"
        assert gate(0.9, 0.5, noise=0.05).state == "closed"

    def test_loss_that_is_not_shown_passes_the_gate(self) -> None:
        assert gate(0.9, 0.5, noise=None).state == "unsure"


SETTINGS = Settings(gates={"accuracy": 0.0})


@dataclass
class Calls:
    """Steps of the hook: logs their calls in order and returns prepared answers."""

    made: list[str] = field(default_factory=list)
    gates: tuple[Gate, ...] = ()
    error: GitexpError | None = None

    def recover(self) -> None:
        self.made.append("recover")
        if self.error:
            raise self.error

    def record_pushed(self, commit: ObjectId) -> Sequence[str]:
        self.made.append(f"record {commit}")
        return [f"recorded {commit[:7]}"]

    def find_gates(self, commit: ObjectId) -> Sequence[Gate]:
        self.made.append(f"gates {commit}")
        return self.gates


def run_hook(
    repo: RepoBuilder,
    calls: Calls,
    *,
    settings: Settings = SETTINGS,
    environ: Mapping[str, str] | None = None,
    remote: str = "hub",
    url: str = "url",
) -> PrePushResult:
    return run_pre_push(
        discover(repo),
        settings,
        PushPlan(remote, (ObjectId(repo.head),), url),
        environ=environ or {},
        recover=calls.recover,
        record_pushed=calls.record_pushed,
        find_gates=calls.find_gates,
        foresee=lambda: "1 run",
    )


def record_run(repo: RepoBuilder) -> RunBranch:
    store = RunBranch(discover(repo), "gitexp", durable=False)
    run = Run(
        id=RunId("ab" * 8),
        name="otter",
        outcome=Outcome.SUCCEEDED,
        clock=1,
        started=datetime(2026, 11, 23, tzinfo=UTC),
        author="Ada <ada@example.org>",
        origin=Origin.RUN,
        code=Code(commit=ObjectId(repo.head), tree=ObjectId(repo.git("rev-parse", "HEAD^{tree}"))),
    )
    with store.transaction(Identity("A", "a@b"), run.started) as transaction:
        transaction.add(sealed(run, [], "done"))
    return store


@pytest.fixture
def with_hub(repo: RepoBuilder, make_repo: MakeRepo) -> RepoBuilder:
    hub = make_repo("hub.git", bare=True)
    repo.git("remote", "add", "hub", str(hub.path))
    return repo


class TestHook:
    def test_hook_does_its_steps_in_order(self, with_hub: RepoBuilder) -> None:
        calls = Calls()
        answer = run_hook(with_hub, calls)
        head = with_hub.head
        assert calls.made == ["recover", f"record {head}", f"gates {head}"]
        assert answer == PrePushResult(0, (f"recorded {head[:7]}",))

    def test_hook_does_nothing_during_a_push_of_gitexp(self, with_hub: RepoBuilder) -> None:
        calls = Calls()
        assert run_hook(with_hub, calls, environ={"GITEXP_IN_PUSH": "1"}) == PrePushResult(0)
        assert calls.made == []

    def test_hook_does_nothing_when_turned_off(self, with_hub: RepoBuilder) -> None:
        calls = Calls()
        assert run_hook(with_hub, calls, settings=Settings(hooks=False)) == PrePushResult(0)
        assert calls.made == []

    def test_error_in_the_hook_is_reported_and_fails_no_push(self, with_hub: RepoBuilder) -> None:
        calls = Calls(error=GitexpError("cannot record", why="the disk is full"))
        answer = run_hook(with_hub, calls)
        assert answer.status == 0
        assert answer.messages[0] == "cannot record: the disk is full"
        assert len(calls.made) == 3

    def test_worse_metric_fails_the_gate(self, with_hub: RepoBuilder) -> None:
        answer = run_hook(with_hub, Calls(gates=(gate(0.9, 0.85),)))
        assert answer.status == 1
        assert answer.messages[1:] == (
            "the gate on 'accuracy' says no: 0.85 is worse than the best, 0.9, by more than 0.01 "
            "(higher is better)",
            "`git push --no-verify` pushes anyway",
        )

    def test_equal_metric_passes_the_gate(self, with_hub: RepoBuilder) -> None:
        better = gate(0.5, 0.55, Direction.MINIMIZE, slack=0.1)
        assert run_hook(with_hub, Calls(gates=(better,))).status == 0

    def test_unsure_gate_says_so_and_passes(self, with_hub: RepoBuilder) -> None:
        answer = run_hook(with_hub, Calls(gates=(gate(0.9, 0.85, noise=None),)))
        assert answer.status == 0
        assert any("lets this pass although 0.85 is worse" in m for m in answer.messages)
        assert any("the noise is unknown" in m for m in answer.messages)

    def test_hook_without_gates_compares_nothing(self, with_hub: RepoBuilder) -> None:
        calls = Calls()
        run_hook(with_hub, calls, settings=Settings())
        assert not [made for made in calls.made if made.startswith("gates")]

    def test_a_tag_object_is_peeled_and_an_unknown_one_is_left_out(
        self, with_hub: RepoBuilder
    ) -> None:
        with_hub.git("tag", "-a", "-m", "x", "v1")
        tag = ObjectId(with_hub.git("rev-parse", "v1"))
        calls = Calls()
        run_pre_push(
            discover(with_hub),
            Settings(),
            PushPlan("hub", (tag, ObjectId(ONE))),
            environ={},
            recover=calls.recover,
            record_pushed=calls.record_pushed,
            find_gates=calls.find_gates,
            foresee=lambda: "",
        )
        assert calls.made == ["recover", f"record {with_hub.head}"]

    def test_push_to_a_url_sends_no_runs(self, with_hub: RepoBuilder) -> None:
        record_run(with_hub)
        url = str(with_hub.path.parent / "hub.git")
        answer = run_hook(with_hub, Calls(), remote=url, url=url)
        assert answer.messages[1:] == (
            "the runs are not pushed to a URL; `git exp push NAME` sends them to a remote",
        )
        assert not answer.sends

    def test_a_first_push_says_what_will_be_published(self, with_hub: RepoBuilder) -> None:
        record_run(with_hub)
        first = run_hook(with_hub, Calls())
        assert first.sends
        assert "your push also sends to 'hub': 1 run" in first.messages[1]
        mark_told(discover(with_hub), "url")
        assert len(run_hook(with_hub, Calls()).messages) == 1

    @pytest.mark.parametrize("settings", [Settings(auto_push=False), Settings(hooks=False)])
    def test_setting_turns_sending_off(self, with_hub: RepoBuilder, settings: Settings) -> None:
        record_run(with_hub)
        assert not run_hook(with_hub, Calls(), settings=settings).sends

    def test_failed_gate_sends_nothing(self, with_hub: RepoBuilder) -> None:
        record_run(with_hub)
        assert not run_hook(with_hub, Calls(gates=(gate(0.9, 0.85),))).sends


def test_the_shim_is_found_beside_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = hook_install.shim()
    monkeypatch.setattr(
        hook_install, "__file__", str(tmp_path / "gitexp" / "features" / "sync" / "hook_install.py")
    )
    put_hook(tmp_path / "gitexp" / "shims" / "pre-push", text)
    assert hook_install.shim() == text
