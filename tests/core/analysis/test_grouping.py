"""Keys of groups and families."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.fingerprint import command_template, fingerprint
from gitexp.core.analysis.grouping import KEY_LENGTH, TrialKeys, keys_of
from gitexp.core.model.run import Code, Command, FileState, Run, Value
from tests.core.sample_runs import COMMIT, TREE, make_run

WORDS = ("python", "train.py")


def run_of(
    params: dict[str, Value] | None = None,
    words: tuple[str, ...] = WORDS,
    *,
    template: tuple[str, ...] = (),
    directory: str = ".",
    digest: str = "d1",
    inputs: dict[str, FileState] | None = None,
    number: int = 1,
) -> Run:
    """Return a run with the fingerprint that gitexp records for it."""
    params, inputs = params or {}, inputs or {}
    recorded = fingerprint(
        digest,
        command_template(template or words, params),
        directory=directory,
        params=params,
        inputs=inputs,
    )
    return make_run(
        number,
        code=Code(commit=COMMIT, tree=TREE, digest=digest),
        command=Command(argv=words, template=template, directory=directory, exit_code=0),
        params=params,
        inputs=inputs,
        fingerprint=recorded,
    )


def keys(params: dict[str, Value] | None = None, *args: Any, **changes: Any) -> TrialKeys:
    return keys_of(run_of(params, *args, **changes))


def test_runs_with_other_seeds_are_one_group() -> None:
    one, two = keys({"lr": 0.1, "seed": 1}), keys({"lr": 0.1, "seed": 2})
    assert one.group == two.group
    assert one.family == two.family
    assert one.seeds != two.seeds
    assert keys({"lr": 0.2, "seed": 1}).group != one.group


SEEDS = ["seed", "random_state", "torch_seed", "data.seed", "randomSeed", "rng-seed"]


@pytest.mark.parametrize("name", SEEDS)
def test_usual_names_of_seeds(name: str) -> None:
    assert keys({name: 1}).group == keys({name: 2}).group
    assert keys({name: 1}).seeds


@pytest.mark.parametrize("name", ["seed_count", "num_seeds", "lr", "seedling", "n_random_state"])
def test_names_that_are_no_seeds(name: str) -> None:
    assert keys({name: 1}).group != keys({name: 2}).group
    assert keys({name: 1}).seeds == ""


@pytest.mark.parametrize("value", ["a.txt", 0.5, True])
def test_a_seed_is_a_whole_number(value: Value) -> None:
    assert keys({"seed": value}).seeds == ""


def test_seed_option_is_removed_from_the_command() -> None:
    found = {
        keys({"seed": n}, (*WORDS, *words)).group
        for n, words in ((1, ("--seed", "1")), (2, ("--seed=2",)), (3, ("--seed={seed}",)))
    }
    assert len(found) == 1


def test_a_filled_template_is_the_trial() -> None:
    words = (*WORDS, "--seed", "3")
    filled = keys({"seed": 3}, words, template=(*WORDS, "--seed", "{seed}"))
    assert filled.group == keys({"seed": 4}, (*WORDS, "--seed", "4")).group


def test_another_option_with_the_same_value_stays() -> None:
    three = keys({"seed": 3, "layers": 3}, (*WORDS, "--seed", "3", "--layers", "3"))
    four = keys({"seed": 4, "layers": 3}, (*WORDS, "--seed", "4", "--layers", "3"))
    assert three.group == four.group
    other = keys({"seed": 3, "layers": 4}, (*WORDS, "--seed", "3", "--layers", "4"))
    assert other.group != three.group


def test_without_seeds_the_group_is_the_fingerprint() -> None:
    run = run_of({"lr": 0.1})
    assert keys_of(run).group == run.fingerprint.partition(":")[2][:KEY_LENGTH]


def test_a_fingerprint_of_an_older_version_gives_the_same_group() -> None:
    run = run_of({"lr": 0.1})
    assert keys_of(replace(run, fingerprint="f" * 64)).group == keys_of(run).group


def test_code_data_and_directory_separate_groups() -> None:
    data = {"train.csv": FileState(sha256="1" * 64, bytes=1)}
    found = [
        keys({"seed": 1}),
        keys({"seed": 1}, digest="d2"),
        keys({"seed": 1}, inputs=data),
        keys({"seed": 1}, directory="sub"),
        keys({"seed": 1}, (*WORDS, "--fast")),
    ]
    assert len({k.group for k in found}) == len(found)


def test_a_family_has_the_same_command_whatever_its_options_and_code() -> None:
    base = keys({"lr": 0.1}, (*WORDS, "--lr", "0.1"))
    assert keys({"lr": 0.2, "seed": 1}, (*WORDS, "--lr=0.2", "--seed", "1")).family == base.family
    assert keys({"lr": 0.1}, digest="d2").family == base.family
    assert keys({"lr": 0.1}, ("python", "other.py", "--lr", "0.1")).family != base.family
    assert keys({"lr": 0.1}, (*WORDS, "--lr", "0.1"), directory="sub").family != base.family


def test_run_without_command_and_parameters_is_its_own_group() -> None:
    one, two = (make_run(n, command=None, params={}, fingerprint="f" * 64) for n in (1, 2))
    assert keys_of(one).group == one.id
    assert keys_of(two).group == two.id
    old = make_run(3, fingerprint="")
    assert keys_of(old).group == old.id


def test_parameters_alone_make_a_group() -> None:
    one = make_run(1, command=None, params={"lr": 0.1, "seed": 1}, fingerprint="1" * 64)
    two = make_run(2, command=None, params={"lr": 0.1, "seed": 2}, fingerprint="2" * 64)
    assert keys_of(one).group == keys_of(two).group


def test_the_project_names_its_seeds() -> None:
    one, two = run_of({"fold": 1}), run_of({"fold": 2})
    assert keys_of(one).group != keys_of(two).group
    assert keys_of(one, ["fold"]).group == keys_of(two, ["fold"]).group
    assert keys_of(one, ["fold"]).seeds != keys_of(two, ["fold"]).seeds


def test_project_can_exclude_a_seed() -> None:
    one, two = run_of({"seed": 1}), run_of({"seed": 2})
    assert keys_of(one, ["!seed"]).group != keys_of(two, ["!seed"]).group
    assert keys_of(one, ["!seed", "seed"]).seeds == "", "what is taken back stays so"


def test_a_seed_that_only_the_parser_told_marks_repeats_but_not_the_group() -> None:
    given = run_of({"lr": 0.1})
    parsed = replace(given, parsed={"lr": 0.1, "seed": 0})
    assert keys_of(parsed).group == keys_of(given).group
    assert keys_of(given).seeds == ""
    assert keys_of(parsed).seeds == keys({"seed": 0}).seeds
    assert keys_of(parsed, ["!seed"]).seeds == ""
    assert keys_of(replace(given, parsed={"fold": 0}), ["fold"]).seeds
    both = replace(run_of({"seed": 3}), parsed={"seed": 3, "data": {"seed": 1}})
    assert keys_of(both).seeds == keys({"seed": 3}).seeds


def test_nested_seeds() -> None:
    one, two = (keys({"data": {"seed": n, "size": 5}}) for n in (1, 2))
    assert one.group == two.group


@given(
    st.dictionaries(st.sampled_from(["lr", "layers", "name"]), st.integers(0, 9), max_size=3),
    st.integers(0, 99),
    st.integers(0, 99),
)
def test_a_group_never_depends_on_the_seed(params: dict[str, int], seed: int, other: int) -> None:
    options = [f"--{name}={value}" for name, value in params.items()]
    one, two = (
        keys({**params, "seed": n}, (*WORDS, *options, "--seed", str(n))) for n in (seed, other)
    )
    assert one.group == two.group
    assert one.family == two.family
    assert (one.seeds == two.seeds) == (seed == other)
