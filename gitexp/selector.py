"""What the user typed as RUN, as the run it names.

Floor 4. A selector is an id or the beginning of one, a name, `last`, `last~N`, `@{N}`, `best`,
`best:METRIC`, any commit of the run branch, or whatever git reads as a code commit (its latest
run). Nothing is guessed: what could be several runs is refused with the list of them.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gitexp.errors import Ambiguous, InvalidInput, NotFound
from gitexp.ids import RUN_ID_LENGTH, ObjectId, RunId
from gitexp.index import RunIndex
from gitexp.repo import Repo

MIN_TYPED: Final = 4
"""The fewest digits of a run id that count as one, as git has it for objects."""

_BACK: Final = re.compile(r"(?:last(?:~(?P<n>\d*))?|@\{(?P<m>\d+)\})\Z", re.ASCII)
_BEST: Final = re.compile(r"best(?::(?P<metric>.+))?\Z", re.DOTALL)
_ID: Final = re.compile(rf"[0-9a-f]{{{MIN_TYPED},{RUN_ID_LENGTH}}}\Z")
_TRAILER: Final = re.compile(r"^Run-Id: *([0-9a-f]{16}) *$", re.MULTILINE)

_SHOWN: Final = 8
"""How many candidates an error lists."""

_NEAR: Final = 1000
"""Names of so many newest runs are searched for what was meant."""

_LIST_HINT: Final = "`git exp list` shows the runs"

BestRun = Callable[[str], RunId | None]
"""The run that stands for the best group by a metric."""


def select_runs(
    texts: Iterable[str],
    repo: Repo,
    index: RunIndex,
    *,
    best_run: BestRun,
    metric: str | None = None,
) -> list[RunId]:
    """Select several runs, in the order typed. Raises as `select_run`."""
    return [select_run(text, repo, index, best_run=best_run, metric=metric) for text in texts]


def select_run(
    text: str,
    repo: Repo,
    index: RunIndex,
    *,
    best_run: BestRun,
    metric: str | None = None,
) -> RunId:
    """The one run a selector names; plain `best` is about `metric`, or the only metric there is.

    Raises `NotFound` with near names, `Ambiguous` with the candidates, `InvalidInput` when `best`
    does not say by which metric.
    """
    if not text or "\0" in text:
        raise InvalidInput("cannot select a run by an empty name", hints=[_LIST_HINT])
    back = _BACK.match(text)
    if back:
        digits = back["m"] or (back["n"] if back["n"] is not None else "0") or "1"
        return _back(int(digits[:10]), index)
    best = _BEST.match(text)
    if best:
        return _best(best["metric"] or metric, index, best_run)
    return _named(text, index) or _of_commit(text, repo, index)


def _back(n: int, index: RunIndex) -> RunId:
    runs = index.newest(n + 1, sealed=False)
    if len(runs) > n:
        return runs[n]
    if not runs:
        raise NotFound("no run is recorded yet", hints=["`git exp run -- COMMAND` records one"])
    there = "is 1 run" if len(runs) == 1 else f"are {len(runs):,} runs"
    raise NotFound(f"cannot go back {n:,} runs", hints=[f"there {there} in all"])


def _best(metric: str | None, index: RunIndex, best_run: BestRun) -> RunId:
    names = [key.removeprefix("metrics.") for key in index.keys("metrics")]
    if metric is None:
        metric = _only_metric(names)
    bare = metric.removeprefix("metrics.")
    metric = metric if metric in names else bare
    if metric not in names:
        raise NotFound(
            f"no run has the metric '{metric}'",
            near=_near(metric, names),
            hints=[f"metrics: {_listed(names)}"] if names else [_LIST_HINT],
        )
    run = best_run(metric)
    if run is None:
        raise NotFound(
            f"no run is the best by '{metric}'",
            hints=["none succeeded with a number for it, or all were discarded", _LIST_HINT],
        )
    return run


def _only_metric(names: Sequence[str]) -> str:
    if not names:
        raise NotFound("no run has a metric yet", hints=[_LIST_HINT])
    if len(names) > 1:
        raise InvalidInput(
            "cannot tell which run is best",
            why=f"there are {len(names)} metrics: {_listed(names)}",
            hints=[f"write `best:{names[0]}`"],
        )
    return names[0]


def _named(text: str, index: RunIndex) -> RunId | None:
    """The run of that id, beginning of an id, or name."""
    by_id = index.by_prefix(text) if _ID.match(text) else []
    if len(text) == RUN_ID_LENGTH and by_id:
        return by_id[0]
    found = list(dict.fromkeys([*by_id, *index.by_name(text)]))
    if len(found) > 1:
        raise _ambiguous(f"'{text}' names {len(found)} runs", found, index)
    return found[0] if found else None


def _of_commit(text: str, repo: Repo, index: RunIndex) -> RunId:
    commit = repo.resolve(f"{text}^{{commit}}")
    if commit is None:
        raise NotFound(
            f"there is no run '{text}'", near=_near(text, _recent_names(index)), hints=[_LIST_HINT]
        )
    tip = index.tip
    if tip is not None and repo.is_ancestor(commit, tip):
        return _of_event(commit, repo, index)
    runs = index.by_commit(commit)
    if not runs:
        raise NotFound(
            f"no run was made from commit '{text}'",
            hints=[_LIST_HINT, "`git exp run -- COMMAND` records one"],
        )
    return runs[0]


def _of_event(commit: ObjectId, repo: Repo, index: RunIndex) -> RunId:
    """The run that a commit of the run branch is about, as its trailer says."""
    message = repo.read_messages([commit]).get(commit, "")
    trailers = message.rstrip().rpartition("\n\n")[2]
    named = dict.fromkeys(RunId(run) for run in _TRAILER.findall(trailers))
    runs = [run for run in named if run in index.by_prefix(run)]
    if len(runs) == 1:
        return runs[0]
    if runs:
        raise _ambiguous(f"commit {commit[:7]} is about {len(runs)} runs", runs, index)
    raise NotFound(
        f"commit {commit[:7]} of the run branch leads to no run",
        hints=[f"run {next(iter(named))} was deleted" if named else _LIST_HINT],
    )


def _ambiguous(what: str, runs: Sequence[RunId], index: RunIndex) -> Ambiguous:
    short = index.short(runs[:_SHOWN])
    candidates = [
        f"{short[run.id]} {run.name} ({run.outcome.value}, {run.started:%Y-%m-%d})"
        for run in (entry.run for entry in index.entries(runs[:_SHOWN]))
    ]
    if len(runs) > _SHOWN:
        candidates.append(f"{len(runs) - _SHOWN:,} more")
    return Ambiguous(what, candidates=candidates, hints=["give more digits of the id"])


def _recent_names(index: RunIndex) -> list[str]:
    names = index.column("name", index.ids(limit=_NEAR)).values()
    return sorted({str(name) for name in names} | {"last", "best"})


def _near(text: str, names: Iterable[str]) -> list[str]:
    import difflib  # noqa: PLC0415 - only for faults

    return difflib.get_close_matches(text[:100], list(names), 3)


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])
