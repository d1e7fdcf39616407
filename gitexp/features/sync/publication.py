"""Count what a push of the runs would publish, before it happens."""

from typing import NamedTuple

from gitexp.adapters.git.remotes import Remote
from gitexp.adapters.git.repository import Repo
from gitexp.core.render.text import counted
from gitexp.core.schema.layout import PathKind, parse_path
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.merge.code_states import format_of, read_code_states
from gitexp.storage.settings.options import Settings


class Publication(NamedTuple):
    """What a remote lacks, as far as this clone knows."""

    runs: int
    states: int
    """Code states: distinct trees that ran."""
    new_states: int
    """Code states that are not the tree of any commit on a branch of the remote."""
    is_first: bool
    """True when this clone never pushed runs to the remote and never fetched runs from it."""
    has_history: bool
    """True when the keep branch has format 1: pushing it publishes commits of the user."""

    def __str__(self) -> str:
        """Format as `12 runs, the files of 9 code states, 3 of them not on this remote`."""
        parts = [counted(self.runs, "run")]
        if self.states:
            parts.append(f"the files of {counted(self.states, 'code state')}")
            parts.append(f"{self.new_states:,} of them not on this remote")
        if self.has_history:
            parts.append("with your commits and their history (`git exp upgrade` stops that)")
        return ", ".join(parts)


def count_publication(branch: RunBranch, remote: Remote, settings: Settings) -> Publication:
    """Count what the next push of the runs to a remote would publish. Uses no network.

    Raises `UnreadableRecord` when a branch is damaged.
    """
    repo = branch.repo
    seen = remote.known(repo, (branch.run_ref, branch.code_ref))
    seen_runs, seen_code = seen.get(branch.run_ref), seen.get(branch.code_ref)
    runs = len(runs_on(repo, branch.tip()) - runs_on(repo, seen_runs))
    keep = repo.read_ref(branch.code_ref) if settings.push_code else None
    if keep is None or keep == seen_code:
        return Publication(runs, 0, 0, seen_runs is None, has_history=False)
    published = set() if seen_code is None else read_code_states(repo, seen_code).trees
    states = read_code_states(repo, keep)
    trees = states.trees - published
    branches = repo.git("log", "--format=%T", f"--remotes={remote.name}", check=False).text.split()
    return Publication(
        runs,
        len(trees),
        len(trees.difference(branches)),
        seen_runs is None,
        has_history=not states.is_pure and format_of(branch, branch.tip()) == 1,
    )


def runs_on(repo: Repo, tip: str | None) -> set[str]:
    """Return the ids of the runs that have a record on a run branch."""
    if tip is None:
        return set()
    listed = repo.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", tip, "--", "runs").text
    places = (parse_path(path) for path in listed.split("\0"))
    return {p.run for p in places if p is not None and p.kind is PathKind.RUN and p.run}
