"""A sweep that goes on uses the settings of its start."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from gitexp.features.sweeps.definition import Definition, decode_definition, encode_definition
from gitexp.features.sweeps.plan import with_code
from gitexp.features.sweeps.start_settings import use_start_settings
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder

BARE = Definition(
    argv=("true", "{n}"), directory=".", commit="0" * 40, tree="0" * 40, values=("n=1..3",)
)


def opened(path: Path, **changed: Any) -> Workspace:
    workspace = Workspace.open(path)
    workspace.settings = workspace.settings._replace(**changed)
    return workspace


def test_settings_of_the_start_replace_those_of_now(repo: RepoBuilder) -> None:
    repo.commit({"a.txt": "a"})
    started = opened(repo.path, harvest=("csv",), seed_params=("seed", "s"), remote="here")
    definition = decode_definition(encode_definition(with_code(started, BARE)))
    now = opened(repo.path, inject=False, remote="there")
    assert use_start_settings(now, definition) == ["harvest", "inject", "seed-params"]
    assert now.settings.harvest == ("csv",)
    assert now.settings.seed_params == ("seed", "s")
    assert now.settings.inject is True  # the default, as at the start
    assert now.settings.remote == "there"  # it does not shape trials
    assert use_start_settings(now, definition) == []


def test_the_id_does_not_depend_on_settings(repo: RepoBuilder) -> None:
    repo.commit({"a.txt": "a"})
    definition = with_code(opened(repo.path), BARE)
    other = with_code(opened(repo.path, inject=False), BARE)
    assert (other.id, other.study) == (definition.id, definition.study)
    assert other.settings != definition.settings


def test_settings_that_are_not_known_stay_those_of_now(repo: RepoBuilder) -> None:
    repo.commit({"a.txt": "a"})
    workspace = opened(repo.path, inject=False)
    for text in ("", "settings = 1", "= damaged"):
        assert use_start_settings(workspace, replace(BARE, settings=text)) == []
    odd = replace(BARE, settings='[settings]\ninject = "perhaps"\nfuture = 1\n')
    assert use_start_settings(workspace, odd) == []
    assert workspace.settings.inject is False
