"""The engine for Dask clusters, with a real scheduler and real workers."""

import os
import time

from gitexp.adapters.engines.dask_engine import DaskEngine
from gitexp.adapters.engines.protocol import Setting
from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.git.packs import commit_pack
from gitexp.adapters.git.repository import Repo
from tests.conftest import RepoBuilder
from tests.dask_cluster import PATIENCE_S, Cluster


def test_a_worker_that_was_away_when_a_run_was_recorded_forgets_it_when_it_is_back(
    repo: RepoBuilder, cluster: Cluster
) -> None:
    """It was killed right after the trial: its outbox is on its disk."""
    repo.commit({"a.txt": "a"})
    cluster.start_worker("w1")
    here = Repo.discover(repo.path)
    tree = repo.git("rev-parse", "HEAD^{tree}").strip()
    commit = write_code_commit(here, tree, "gitexp <gitexp@localhost>", durable=False)
    setting = Setting(
        owner="sweep-clone",
        commit=commit,
        pack=lambda known: commit_pack(here, commit, known),
        inputs={},
        jobs=None,
        streams=False,
        notice=print,
    )
    engine = DaskEngine(cluster.address, setting)
    try:
        engine.forget(["a" * 16])
        cache = cluster.home("w2") / ".cache/gitexp-worker" / os.uname().nodename
        box = cache / "outbox/sweep-clone"
        box.mkdir(parents=True)
        for run in "ab":
            (box / f"{run * 16}.json").write_text("{}")
        cluster.start_worker("w2")
        end = time.monotonic() + PATIENCE_S
        while (box / f"{'a' * 16}.json").exists():
            assert engine.slots
            assert time.monotonic() < end, "the worker still has the result"
            time.sleep(0.05)
        assert (box / f"{'b' * 16}.json").exists()
    finally:
        engine.close()
