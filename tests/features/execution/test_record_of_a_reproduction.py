"""The record with which a reproduction starts."""

from dataclasses import fields, replace

from gitexp.adapters.system import clock
from gitexp.core.model.run import Run
from gitexp.features.execution.reproduce import _running
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder
from tests.core.sample_runs import full_run


def test_reproduction_starts_with_what_makes_the_trial_and_nothing_else(repo: RepoBuilder) -> None:
    recorded = replace(full_run(), clock=9)
    snapshot = recorded.code.snapshot
    assert snapshot is not None
    again = _running(Workspace.open(repo.path), recorded, clock.new_run_id(), snapshot)
    taken = {
        field.name
        for field in fields(Run)
        if getattr(again, field.name)
        and getattr(again, field.name) == getattr(recorded, field.name)
    }
    assert taken == {"code", "fingerprint", "params", "inputs", "directions"}
