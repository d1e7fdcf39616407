"""`git exp demo` as a user runs it: real data and real processes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitexp.cli.demo.stage import Stage
from gitexp.cli.demo.story import SCENES, Line, Scene
from gitexp.cli.demo_command import way_in
from gitexp.core.errors import GitexpError
from tests.conftest import MakeRepo, RepoBuilder

DEMO = [sys.executable, "-m", "gitexp", "demo"]

IN_THIS_ORDER = (
    "$ git init",
    '$ git exp run --seeds 3 -m "a baseline" -- python train.py --model logistic --lr 0.01',
    "METRIC accuracy=0.",
    "3 of 3: ",
    ": cannot tell from the last, ",
    ": worse than the last, ",
    "decided discard: too narrow for raw pixels",
    "+SCALE = 1 / 16",
    "(mean of 3): better than the last, ",
    "best so far",
    "decided keep: 99 % is enough",
    "diverged: ",
    "(exit code 1)",
    "causes, from ",
    "effects:",
    "this very trial was run before:",
    "error: not run: this very trial was tried before",
    "(exit code 128)",
    "$ git exp reproduce best:accuracy",
    "reproduced: 1 metric equal",
    "$ git log --oneline gitexp",
    "Code-Tree: ",
    f"All {len(SCENES)} steps did what they should",
)


def demo(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        timeout=280,
    )


def test_demo_works_in_any_environment(
    repo: RepoBuilder, make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside another repository, without an identity, and with misleading variables."""
    other = make_repo("other")
    monkeypatch.chdir(repo.path)
    before = repo.git("for-each-ref"), repo.git("status", "--porcelain", "--ignored")
    config = repo.path.parent / "gitconfig"
    config.write_text("[commit]\n\tgpgSign = true\n[exp]\n\tbranch = elsewhere\n")
    surroundings = {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_DIR": str(other.path / ".git"),
        "GIT_WORK_TREE": str(other.path),
        "GIT_INDEX_FILE": str(other.path / "index"),
        "GITEXP_REPEAT": "skip",
        "GITEXP_BRANCH": "somewhere",
    }

    done = demo("inside", env=surroundings)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    position = 0
    for text in IN_THIS_ORDER:
        found = done.stdout.find(text, position)
        assert found >= 0, f"{text!r} is missing after character {position} of:\n{done.stdout}"
        position = found
    assert other.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    (repo.path / "inside").rename(repo.path.parent / "made")
    assert (repo.git("for-each-ref"), repo.git("status", "--porcelain", "--ignored")) == before
    assert_is_sound(RepoBuilder(repo.path.parent / "made"))


def assert_is_sound(made: RepoBuilder) -> None:
    """The directory is a normal repository afterwards, readable by plain git."""
    made.git("fsck", "--strict")
    assert made.git("status", "--porcelain") == ""
    assert made.git("config", "user.name") == "Demo"
    subjects = made.git("log", "--format=%s", "gitexp").splitlines()
    kinds = [subject.partition(" ")[0] for subject in reversed(subjects)]
    assert kinds.count("start") == kinds.count("run") == 11
    assert kinds.count("decision") == 2
    assert kinds[-1] == "reproduction"
    records = made.git("ls-tree", "-r", "--name-only", "gitexp", "runs").splitlines()
    outcomes = sorted(
        re.findall(r'^outcome = "(\w+)"', made.git("show", f"gitexp:{path}"), re.MULTILINE)[0]
        for path in records
    )
    assert outcomes == ["failed", *["succeeded"] * 10]


def test_every_scene_begins_with_one_sentence() -> None:
    for scene in SCENES:
        assert scene.sentence[0].isupper(), scene
        assert not scene.sentence.endswith("."), scene
        assert scene.lines, scene


def test_demo_refuses_a_directory_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")

    done = demo(str(tmp_path))

    assert (done.returncode, done.stdout) == (128, "")
    assert done.stderr == (
        f"error: cannot use '{tmp_path}'\n"
        "because: it is not empty\n"
        "hint: name a folder that does not exist yet, or none at all\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_demo_without_scikit_learn_says_what_to_install(tmp_path: Path) -> None:
    without = "import sys; sys.modules['sklearn'] = None; from gitexp.cli.app import main; "

    done = subprocess.run(
        [sys.executable, "-c", without + f"main(['demo', {str(tmp_path / 'new')!r}])"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (128, "")
    assert "hint: `pip install 'gitexp[demo]'`\n" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            Line(argv=("git", "cat-file", "-e", "HEAD")),
            "it ended with exit code 128 instead of 0",
        ),
        (
            Line(argv=("git", "--version"), says=("subversion",)),
            "its output has nothing like 'subversion'",
        ),
    ],
)
def test_demo_step_with_another_result_is_an_error(line: Line, why: str, tmp_path: Path) -> None:
    stage = Stage.build(tmp_path / "new")
    stage.prepare(Scene(sentence="Nothing is edited", lines=(line,)))

    with pytest.raises(GitexpError) as caught:
        stage.play(line)

    assert caught.value.why == why
    assert str(tmp_path / "new") in caught.value.hints[0]


def test_demo_says_how_to_continue_when_git_exp_is_not_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, {})
    git = shutil.which("git")
    assert git is not None
    monkeypatch.setenv("PATH", str(Path(git).parent))

    assert way_in(stage)[-1] == f"export PATH={Path(sys.executable).parent}:$PATH"

    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert way_in(stage) == [f"cd {tmp_path}"]
