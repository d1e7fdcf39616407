"""The record of one job of a Hydra sweep."""

from gitexp.features.execution.hydra_sweeps import _job_run
from gitexp.features.harvest.parsed_params import Job
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder
from tests.core.sample_runs import full_run


def test_job_has_no_results_of_its_sweep(repo: RepoBuilder) -> None:
    sweep = full_run()
    first = Job(values={}, overrides=("lr=0.1",), given=("lr",), directory="")
    job = _job_run(Workspace.open(repo.path), sweep, first, 1)
    for name in ("metrics", "units", "outputs", "harvested", "output_tail", "warnings"):
        assert not getattr(job, name), name
    assert job.parent == sweep.id
