"""A sweep on other machines: connect its engine, bring the code, find what was begun before."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from gitexp.adapters.engines.found import find_engine, is_exposed
from gitexp.adapters.engines.protocol import RemoteEngine, Setting
from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.git.packs import commit_pack
from gitexp.adapters.journal.journal import list_journals, read_journal
from gitexp.adapters.journal.liveness import ENGINE
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.features.sweeps.marks import OWNER_VARIABLE, marks_of
from gitexp.features.sweeps.plan import Plan, Planned, State
from gitexp.features.sweeps.remote import (
    Left,
    RemotePlace,
    check_travels,
    declared_inputs,
    find_left,
)
from gitexp.storage.workspace import Workspace

LOCAL: Final = "local"
"""The executor that runs trials as child processes on this machine."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The other machines of a sweep."""

    engine: RemoteEngine
    place: RemotePlace
    left: tuple[Left, ...]
    """Trials that its workers were given before, and that have no record yet."""

    def without_left(self, planned: Sequence[Planned]) -> list[Planned]:
        """Return the trials; those that workers have already count as running."""
        numbers = {each.number for each in self.left}
        return [
            replace(each, state=State.RUNNING) if each.number in numbers else each
            for each in planned
        ]


def check_executor(executor: str, *, in_place: bool) -> str | None:
    """Check the text after `--executor`. Returns a warning. Raises `InvalidInput`."""
    if executor == LOCAL:
        return None
    if in_place:
        raise InvalidInput("--in-place runs trials here, so it cannot go with --executor")
    find_engine(executor)
    if is_exposed(executor):
        return (
            f"{executor} is not on a private network and has no TLS: anyone who reaches it can run "
            "programs on its workers, and read your code; `tls://` is safe"
        )
    return None


def has_left(workspace: Workspace) -> bool:
    """Return whether trials of any sweep were given to other machines and have no record yet."""
    for path in list_journals(workspace.journals):
        try:
            if read_journal(path).extra.get(ENGINE):
                return True
        except (FileNotFoundError, GitexpError):
            continue
    return False


@contextmanager
def connected(
    workspace: Workspace,
    plan: Plan,
    executor: str,
    *,
    jobs: int | None,
    names: Sequence[str],
    streams: bool,
    notice: Callable[[str], None],
) -> Iterator[Cluster]:
    """Have an engine with the code of a plan. Call only while holding the sweep.

    Raises `InvalidInput` when the trials cannot run elsewhere, `GitexpError` when the engine cannot
    be reached.
    """
    check_travels(workspace.repo, plan.code.tree, plan.first, plan.definition.links)
    place = RemotePlace(workspace, executor, names)
    try:
        commit = write_code_commit(
            workspace.repo,
            plan.code.tree,
            workspace.branch.code_identity(),
            durable=workspace.settings.durable,
        )
        sweep = plan.definition.id
        setting = Setting(
            owner=marks_of(workspace, sweep)[OWNER_VARIABLE],
            commit=commit,
            pack=lambda known: commit_pack(workspace.repo, commit, known),
            inputs=declared_inputs(plan.first),
            jobs=jobs,
            streams=streams,
            notice=notice,
        )
        engine = find_engine(executor)(executor, setting)
    except BaseException:
        place.close()
        raise
    try:
        left, known, elsewhere = find_left(workspace, sweep, executor, engine.known, notice)
        engine.forget(known - {each.run.id for each in left})
        for content in elsewhere:
            other = content.extra[ENGINE]
            notice(
                f"run {content.run_id[:7]} was given to {other}, which may have its result: "
                f"`--executor {other}` collects it, `git exp recover {content.run_id[:7]} --force` "
                "gives it up"
            )
        yield Cluster(engine, place, tuple(left))
    finally:
        engine.close()
        place.close()
