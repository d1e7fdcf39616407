"""Tables and sentences fit the terminal and keep the important columns."""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from gitexp.api.tracker import Tracker
from gitexp.core.render.text import width_of
from gitexp.features.execution import prepare
from tests.cli.conftest import Exp
from tests.conftest import RepoBuilder

PARAMS = [f"param_{letter}" for letter in "abcdefghijklmnopqrst"]
METRICS = [*(f"a_metric_{n:02}" for n in range(13)), "train/loss", "val/loss"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> RepoBuilder:
    """A repository whose runs have 20 parameters, of which 4 vary, and 15 metrics."""
    repo = RepoBuilder(tmp_path_factory.mktemp("many"))
    repo.git("init", "--quiet")
    for name, value in (("name", "Ada Test"), ("email", "ada@example.org")):
        repo.git("config", f"user.{name}", value)
    repo.git("config", "exp.metric", "val/loss")
    repo.commit({"train.py": "import numpy\nfrom sklearn import svm\n"}, "start")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repo.path)
        for n in range(6):
            params = {name: n * 7 if k % 5 == 2 else 0.001 for k, name in enumerate(PARAMS)}
            metrics = {name: (n + 1) / (k + 7) for k, name in enumerate(METRICS)}
            Tracker().log({"params": params, "metrics": metrics})
    return repo


@pytest.fixture
def wide(
    many: RepoBuilder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Exp]:
    monkeypatch.chdir(many.path)
    yield Exp(many, capfd)


VARYING = [name for k, name in enumerate(PARAMS) if k % 5 == 2]


@pytest.mark.parametrize("columns", [80, 200])
def test_no_table_is_wider_than_the_terminal(
    wide: Exp, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (
        ("list",),
        ("list", "--sort-by", "val/loss"),
        ("list", "--keep", "."),
        ("list", "--columns"),
        ("list", "--only-changed"),
        ("compare",),
        ("compare", "last", "@{1}"),
        ("diff",),
        ("best", "val/loss"),
        ("brief",),
        ("log",),
        ("log", "--oneline"),
    ):
        done = wide(*words, check=None)
        assert done.code in (0, 1), done.err
        too_wide = [line for line in done.out.splitlines() if width_of(line) > columns]
        assert not too_wide, (words, too_wide)


@pytest.mark.parametrize("columns", [80, 200])
def test_main_metric_and_varying_columns_stay(
    wide: Exp, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    wide("decide", "last", "keep")
    lines = wide("list").out.splitlines()
    header = lines[0].split()
    assert header[:4] == ["id", "name", "decision", "val/loss"] or columns == 200
    assert {"decision", "val/loss"} <= set(header)
    shown = [name for name in VARYING if name in header]
    assert shown == VARYING if columns == 200 else len(shown) >= 2
    constant = [name for name in PARAMS if name not in VARYING]
    assert not set(constant) & set(header)
    assert any(line.startswith("same in all") for line in lines)


def test_columns_that_do_not_fit_are_listed_by_columns(
    wide: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert re.search(r"^no room for \d+ \(--columns lists them\): ", wide("list").out, re.MULTILINE)
    lines = wide("list", "--columns").out.splitlines()
    listed = {line.split()[0]: line.split(maxsplit=3)[1:] for line in lines[1:]}
    assert {f"params.{name}" for name in PARAMS} <= set(listed)
    assert {f"metrics.{name}" for name in METRICS} <= set(listed)
    assert listed["params.param_a"] == ["same", "6", "0.001"]
    assert listed["params.param_c"] == ["varies", "6", "0 to 35 (6 values)"]
    assert wide("list", "--columns", "--json", check=128).err.startswith("error: choose one of")


def test_metric_name_with_a_slash_can_be_requested(wide: Exp) -> None:
    low = wide("list", "--where", "val/loss < 0.1", "--name-only").out
    assert low == "<run 2>\n<run 1>"
    high = wide("list", "--where", "metrics.val/loss > 0.1", "--name-only").out
    assert high == "<run 6>\n<run 5>\n<run 4>\n<run 3>"


def test_the_packages_that_the_code_imports_come_first(
    exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp.repo.commit({"train.py": "import numpy\nfrom sklearn import svm\n"}, "imports")
    observe_environment = prepare.observe_environment

    def record(name: str, packages: dict[str, Any]) -> None:
        def around(*_: object) -> prepare.ObservedEnvironment:
            digest = sha256(repr(sorted(packages.items())).encode()).hexdigest()
            return prepare.ObservedEnvironment({"python": "3.12", "packages": digest}, packages)

        monkeypatch.setattr(prepare, "observe_environment", around)
        exp("record", "-n", name, "-M", "loss=1")

    others = {f"package-{n:03}": "1" for n in range(168)}
    record("before", {"numpy": "1.0", "scikit_learn": "1", **others})
    newer = dict.fromkeys(others, "2")
    record("after", {"numpy": "2.0", "scikit_learn": "2", **newer})
    record("same-imports", {"numpy": "2.0", "scikit_learn": "2", **others})
    monkeypatch.setattr(prepare, "observe_environment", observe_environment)
    out = exp("diff", "before", "after").out
    assert re.search(r"\npackages\nname .*\nnumpy .*\nscikit_learn .*\nand 168 more that", out)
    assert "package-000" not in out
    out = exp("diff", "after", "same-imports").out
    assert "\npackages\n168 that the code does not import: --packages lists them\n" in out
    assert "none: the two are the same trial" not in out
    assert exp("diff", "before", "after", "--packages").out.count("package-") == 168
    assert exp("diff", "before", "after", "--json").out.count('"name": "package-') == 168
