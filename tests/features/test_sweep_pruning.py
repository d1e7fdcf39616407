"""A study compares a trial with all values of the others, also those that came with their end."""

from dataclasses import replace

import pytest

from gitexp.adapters.journal.journal import Journal
from gitexp.core.model.run import Outcome
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.plan import Choices, Planned, with_code
from gitexp.features.sweeps.proposed_plan import ProposedPlan
from gitexp.features.sweeps.proposed_trials import ProposedTrials
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder

pytest.importorskip("optuna")

STARTUP = 5
"""Trials that end before Optuna's median pruner stops any."""


def begin(workspace: Workspace, planned: Planned, loss: float) -> Journal:
    """Begin a trial that has printed its loss at step 4."""
    run = planned.prepared.run
    journal = Journal.create(workspace.journals, run.id, encode_run(run), durable=False)
    journal.metrics({"loss": loss}, step=4)
    return journal


def test_values_that_come_with_the_end_of_a_trial_count_when_others_are_judged(
    repo: RepoBuilder,
) -> None:
    repo.commit({"a.txt": "a"})
    workspace = Workspace.open(repo.path)
    bare = Definition(argv=("true", "{n}"), directory=".", commit="0" * 40, tree="0" * 40)
    definition = with_code(
        workspace,
        replace(
            bare, values=("n=1..99",), optuna=9, prune="median", metric="loss", direction="minimize"
        ),
    )
    plan = ProposedPlan(workspace, definition, Choices())
    trials = ProposedTrials(plan, plan.look_up())
    for number in range(STARTUP):
        planned = trials.take()
        assert planned is not None
        journal = begin(workspace, planned, loss=number)
        run = replace(
            planned.prepared.run, outcome=Outcome.SUCCEEDED, metrics={"loss": float(number)}
        )
        trials.note_end(planned, run)  # it printed and ended at once: `to_prune` never saw it
        journal.remove()
    bad, good = trials.take(), trials.take()
    assert bad is not None and good is not None
    running = [
        (bad, begin(workspace, bad, loss=50).path),
        (good, begin(workspace, good, loss=0).path),
    ]
    assert list(trials.to_prune(running)) == [(bad.prepared.run.id, 4)]
