"""Code changes of runs, for `git exp brief`."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from gitexp.adapters.git.line_counts import LineCount, count_lines
from gitexp.core.analysis.fingerprint import DEFAULT_EXCLUDE, WRITTEN_BY_TOOLS, path_matcher
from gitexp.core.brief.summary import Brief
from gitexp.core.brief.trials import CodeChange, has_same_code
from gitexp.core.errors import GitexpError
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Run
from gitexp.features.execution.code_snapshot import observe_code
from gitexp.storage.workspace import Workspace

COMPARED: Final = 40
"""The maximum number of trials whose code is compared with the best's."""

Changes = dict[RunId, tuple[CodeChange, ...]]


def code_changes(
    workspace: Workspace, brief: Brief
) -> tuple[Changes, tuple[CodeChange, ...] | None]:
    """Return the code changes of the brief's runs, and those of the work tree.

    A run and the work tree are compared with the best run, the best run with its parent. Changes
    that cannot be computed are absent.
    """
    if brief.best is None:
        return {}, None
    best = brief.best.entry.run
    others = [attempt.entry.run for attempt in brief.attempts[1 : COMPARED + 1]]
    pairs: dict[RunId, tuple[Run, Run]] = {
        run.id: (best, run) for run in others if not has_same_code(best.code, run.code)
    }
    parent = _parent(workspace, best)
    if parent is not None and not has_same_code(parent.code, best.code):
        pairs[best.id] = (parent, best)
    changes = _count(workspace, list(pairs.values()))
    return changes, _work_tree(workspace, best)


def _parent(workspace: Workspace, run: Run) -> Run | None:
    if run.parent is None:
        return None
    try:
        return workspace.index.entry(run.parent).run
    except GitexpError:
        return None  # the parent was removed, or is not in this clone


def _count(workspace: Workspace, pairs: Sequence[tuple[Run, Run]]) -> Changes:
    """Return the changes of each pair's second run. Pairs without code in this clone are absent."""
    try:
        counted = count_lines(
            workspace.repo, ((old.code.tree, new.code.tree) for old, new in pairs)
        )
    except GitexpError:
        if len(pairs) <= 1:
            return {}
        middle = len(pairs) // 2  # git fails for the whole list if one tree is missing: halve it
        return {**_count(workspace, pairs[:middle]), **_count(workspace, pairs[middle:])}
    found: Changes = {}
    for old, new in pairs:
        counts = counted.get((old.code.tree, new.code.tree))
        if counts is not None:
            found[new.id] = _that_count(workspace, counts, {*old.produced, *new.produced})
    return found


def _that_count(
    workspace: Workspace, counts: Iterable[LineCount], written: Collection[str]
) -> tuple[CodeChange, ...]:
    """Return the changes of files that count as code; `written` are files that runs produced."""
    exclude = (*DEFAULT_EXCLUDE, *workspace.settings.code_exclude, *WRITTEN_BY_TOOLS)
    is_left_out = path_matcher(exclude)
    return tuple(
        CodeChange(*count)
        for count in counts
        if count.path not in written and not is_left_out(count.path)
    )


def _work_tree(workspace: Workspace, best: Run) -> tuple[CodeChange, ...] | None:
    """Return how the code in the work tree differs from the best's; `None` if not computable."""
    if workspace.repo.top is None:
        return None
    try:
        now = observe_code(workspace, best.command, best.produced).code
        if has_same_code(best.code, now):
            return ()
        counted = count_lines(workspace.repo, [(best.code.tree, now.tree)])
    except GitexpError:
        return None
    counts = counted.get((best.code.tree, now.tree))
    return None if counts is None else _that_count(workspace, counts, best.produced)
