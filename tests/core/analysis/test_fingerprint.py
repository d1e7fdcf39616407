"""Fingerprints: which runs are the same trial."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.fingerprint import (
    DEFAULT_EXCLUDE,
    canonical,
    code_digest,
    command_template,
    fingerprint,
    fingerprint_1,
    group_key,
    key_of,
    path_matcher,
    trial_command,
    version_of,
)
from gitexp.core.analysis.seeds import without_seeds
from gitexp.core.model.run import Command, FileState, Run
from tests.core.sample_runs import make_run

OID = "5a" * 20


def entries(*paths: str) -> list[tuple[str, str, str]]:
    return [("100644", path, OID) for path in paths]


def matches(pattern: str, path: str) -> bool:
    return path_matcher([pattern])(path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.md", ["a.md", "x/y/a.md", "d.md/file"], ["a.mdx", "md", "a.md.txt"]),
        ("README*", ["README", "README.md", "x/README.rst"], ["xREADME", "readme"]),
        ("/README*", ["README.md"], ["x/README.md"]),
        ("docs/", ["docs/a", "x/docs/a/b"], ["docs", "docsy/a"]),
        ("/docs/", ["docs/a"], ["x/docs/a"]),
        ("src/data", ["src/data", "src/data/a"], ["x/src/data", "src/database"]),
        ("src/**/data", ["src/data", "src/a/data", "src/a/b/data/c"], ["data", "src/a"]),
        ("**/cache", ["cache", "a/cache/b"], ["caches"]),
        ("logs/**", ["logs/a", "logs/a/b"], ["logs", "x/logs/a"]),
        ("a?c", ["abc", "x/abc"], ["ac", "a/c", "abbc"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt", "ab.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt", "/.txt"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a*b/c", ["ab/c", "axxb/c"], ["a/b/c"]),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not matches(pattern, path)] == []
    assert [path for path in no if matches(pattern, path)] == []


def test_the_last_pattern_that_matches_decides() -> None:
    test = path_matcher(["*.md", "!prompts/*.md", "prompts/old.md", "", "/"])
    assert [test(p) for p in ("a.md", "prompts/a.md", "prompts/old.md", "a.py")] == [
        True,
        False,
        True,
        False,
    ]


def test_odd_paths_are_matched_whole() -> None:
    assert not matches("*.md", "a.md\n.py")
    assert matches("*.py", "ä\n\udcff.py")


def test_files_that_cannot_change_a_result_are_excluded() -> None:
    test = path_matcher(DEFAULT_EXCLUDE)
    assert all(
        map(test, ["README.md", "x/README", "NOTES.md", "docs/a.py", ".gitignore", "gitexp.toml"])
    )
    assert not any(map(test, ["train.py", "prompts/system.md", "src/docs/a.txt", "pyproject.toml"]))


def test_code_digest_has_its_golden_value() -> None:
    assert code_digest(entries("a.py", "b/c.py", "README.md")) == (
        "19b60df916ee338cbeb10e11441cdb36d613aac42af5a1e3b9587d54991fb887"
    )
    assert code_digest([]) == ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_code_digest_covers_only_files_that_count() -> None:
    digest = code_digest(entries("a.py", "b.py"))
    assert code_digest(entries("b.py", "a.py", "README.md", "docs/x")) == digest
    assert code_digest(entries("a.py", "b.py", "out.json"), produced={"out.json"}) == digest
    assert code_digest(entries("a.py", "b.py", "c.txt"), include=["*.py"]) == digest
    assert code_digest(entries("a.py", "b.py", "c.txt"), exclude=["c.*"]) == digest
    for other in (
        entries("a.py"),
        entries("a.py", "c.py"),
        [*entries("a.py"), ("100755", "b.py", OID)],
        [*entries("a.py"), ("100644", "b.py", "00" * 20)],
    ):
        assert code_digest(other) != digest


def test_path_with_a_line_end_cannot_forge_an_entry() -> None:
    forged = f"a\n100644 {OID}\tb"
    assert code_digest(entries(forged)) != code_digest(entries("a", "b"))
    assert code_digest(entries("bad\udcff"))


@pytest.mark.parametrize(
    ("argv", "params", "expected"),
    [
        (["train.py", "--lr", "0.1"], {"lr": 0.1}, ["train.py", "--lr={lr}"]),
        (["train.py", "--lr=1e-1"], {"lr": 0.1}, ["train.py", "--lr={lr}"]),
        (["train.py", "--lr={lr}"], {"lr": 0.1}, ["train.py", "--lr={lr}"]),
        (["train.py", "--lr", "{lr}"], {"lr": 0.1}, ["train.py", "--lr={lr}"]),
        (["train.py", "--lr", "0.2"], {"lr": 0.1}, ["train.py", "--lr", "0.2"]),
        (["train.py", "--lr", "0.1"], {}, ["train.py", "--lr", "0.1"]),
        (["x", "--n-layers", "3", "y"], {"n_layers": 3.0}, ["x", "--n-layers={n_layers}", "y"]),
        (["x", "--fast"], {"fast": True}, ["x"]),
        (["x", "--fast"], {"fast": False}, ["x", "--fast"]),
        (["x", "--m.d", "3"], {"m": {"d": 3}}, ["x", "--m.d={m.d}"]),
        (["x", "--l", "1", "--l", "2"], {"l": [1, 2]}, ["x", "--l={l}"]),
        (["x", "0.1"], {"lr": 0.1}, ["x", "0.1"]),
        ([], {"lr": 0.1}, []),
    ],
)
def test_command_template_replaces_parameters(
    argv: list[str], params: dict[str, Any], expected: list[str]
) -> None:
    assert command_template(argv, params) == tuple(expected)
    assert command_template(expected, params) == tuple(expected)


def test_seeds_are_left_out() -> None:
    params: dict[str, Any] = {
        "seed": 1,
        "random_state": 2,
        "torchSeed": 3,
        "data": {"rng_seed": 4, "size": 5},
        "seeds": [1, 2],
        "num_seeds": 3,
        "seed_url": "x",
        "seed_everything": True,
        "seedling": 7,
    }
    assert without_seeds(params) == {
        "data": {"size": 5},
        "num_seeds": 3,
        "seed_url": "x",
        "seed_everything": True,
        "seedling": 7,
    }


def hashed(which: Callable[..., str] = fingerprint, **changes: Any) -> str:
    given_: dict[str, Any] = {
        "digest": "d",
        "template": ["python", "train.py"],
        "directory": ".",
        "params": {"lr": 0.1, "n": 1},
        "inputs": {"a": FileState(sha256="ab", bytes=1)},
        **changes,
    }
    return which(
        given_["digest"],
        given_["template"],
        directory=given_["directory"],
        params=given_["params"],
        inputs=given_["inputs"],
        **({"outside": given_["outside"]} if "outside" in given_ else {}),
    )


def test_fingerprint_has_its_golden_value() -> None:
    assert hashed(fingerprint_1) == (
        "14c8c24677755c675206e0e17b6379e6fe682ac23ba1b97503b35c3af689d196"
    )
    assert hashed() == "2:14c8c24677755c675206e0e17b6379e6fe682ac23ba1b97503b35c3af689d196"


def test_the_version_is_in_the_fingerprint() -> None:
    assert (version_of(hashed()), version_of(hashed(fingerprint_1)), version_of("")) == (2, 1, 0)
    assert version_of("31:ab") == 31


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("python t.py --a 1 --b 2", "python t.py --b 2 --a 1", True),
        ("python t.py --a=1 --fast --b 2", "python t.py --b 2 --a=1 --fast", True),
        ("python t.py x --a 1 --b 2", "python t.py x --b 2 --a 1", True),
        ("./prog --a 1 --b 2", "./prog --b 2 --a 1", True),
        ("python -m pkg --a 1 --b 2", "python -m pkg --b 2 --a 1", True),
        ("python t.py --a 1 x --b 2", "python t.py --b 2 x --a 1", False),
        ("python t.py --a 1 x", "python t.py x --a 1", False),
        ("python t.py --a 1 --b 2 --a 3", "python t.py --a 1 --a 3 --b 2", False),
        ("python t.py --a --no-a --b", "python t.py --no-a --a --b", False),
        ("python t.py -- --a 1 --b 2", "python t.py -- --b 2 --a 1", False),
        ("python -c code --a 1 --b 2", "python -c code --b 2 --a 1", False),
        ("run --a 1 --b 2 t.py", "run --b 2 --a 1 t.py", False),
        ("python t.py", "python3 t.py", True),
        ("python t.py", ".venv/bin/python3.11 ./t.py", True),
        ("nice -n 5 python3 t.py", "nice -n 5 python t.py", True),
        ("python t.py", "pypy3 t.py", False),
        ("python t.py python3", "python t.py python", False),
        ("python src/t.py", "python t.py", False),
        ("./t.py", "t.py", False),
        ("python t.py ./x", "python t.py x", False),
    ],
)
def test_equal_commands_have_one_form(one: str, other: str, *, equal: bool) -> None:
    words = [line.split() for line in (one, other)]
    for params in ({}, {"a": 1, "b": 2}):
        left, right = (trial_command(argv, params) for argv in words)
        assert (left == right) is equal


def test_normal_form_of_a_command_is_stable() -> None:
    command = trial_command("python3 ./t.py --b 2 --a 1 x".split(), {"a": 1})
    assert command == ("python", "t.py", "--a={a}", "--b", "2", "x")
    assert trial_command(command, {"a": 1}) == command


def test_a_key_is_computed_from_an_older_record() -> None:
    command = Command(argv=("python3", "t.py", "--b", "2", "--a", "1"))
    params: dict[str, Any] = {"a": 1, "b": 2}
    new = make_run(command=command, params=params, fingerprint="2:ab")
    assert key_of(new) == "2:ab"
    assert key_of(replace(new, fingerprint="")) == ""
    older = replace(new, fingerprint="ab")
    words = "python t.py --a 1 --b 2".split()
    assert key_of(older) == fingerprint("d1", words, directory=".", params=params, inputs={})


def test_runs_of_other_seeds_are_one_group() -> None:
    def run(seed: int, lr: float = 0.1) -> Run:
        argv = ("python", "t.py", "--seed", str(seed), "--lr", str(lr))
        return make_run(command=Command(argv=argv), params={"seed": seed, "lr": lr})

    assert group_key(run(1), {"seed"}) == group_key(run(2), {"seed"})
    assert group_key(run(1), {"seed"}) != group_key(run(1, 0.2), {"seed"})
    assert group_key(run(1), ()) != group_key(run(2), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"n": 1, "lr": 0.1}},
        {"params": {"lr": 0.1, "n": 1.0}},
        {"inputs": {"a": FileState(sha256="ab", bytes=2)}},
    ],
    ids=["order", "1 is 1.0", "size of an input"],
)
def test_equal_trials_have_equal_fingerprints(changes: dict[str, Any]) -> None:
    assert hashed(**changes) == hashed()


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "e"},
        {"template": ["python", "test.py"]},
        {"template": ["python train.py"]},
        {"directory": "sub"},
        {"params": {"lr": 0.1, "n": True}},
        {"params": {"lr": "0.1", "n": 1}},
        {"params": {"lr": 0.1}},
        {"inputs": {"a": FileState(sha256="cd", bytes=1)}},
        {"inputs": {}},
        {"outside": {"a": FileState(sha256="ab", bytes=1)}},
    ],
    ids=range(10),
)
def test_different_trials_have_different_fingerprints(changes: dict[str, Any]) -> None:
    assert hashed(**changes) != hashed()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (math.nan, math.nan, True),
        (math.nan, "nan", False),
        (math.inf, -math.inf, False),
        (True, 1, False),
        (date(2026, 1, 2), "2026-01-02", False),
        ({"f": "nan"}, math.nan, False),
        ({"d": "2026-01-02"}, date(2026, 1, 2), False),
        ([1, 2], [1.0, 2.0], True),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": 2.0}, "a": 1}, True),
        (1e300, 10**18, False),
        (0.1, "0.1", False),
    ],
)
def test_values_are_equal_by_value(one: Any, other: Any, *, equal: bool) -> None:
    assert (canonical(one) == canonical(other)) is equal


@pytest.mark.slow
@given(st.dictionaries(st.text(), st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text()))
def test_order_of_parameters_does_not_matter(params: dict[str, Any]) -> None:
    assert canonical(params) == canonical(dict(reversed(params.items())))
