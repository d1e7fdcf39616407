"""Select the run that the user typed as RUN.

A selector is an id or the beginning of one, a name, `last`, `last~N`, `@{N}`, `last:any`,
`last:any~N`, `best`, `best:METRIC`, a commit of the run branch, or any revision that git resolves
to a code commit (its latest run). gitexp never guesses: it rejects a selector of several runs and
lists them. `last` and `@{N}` count the runs of the caller's session, `last:any` those of the
repository.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import Ambiguous, InvalidInput, NotFound, Refused
from gitexp.core.model.ids import RUN_ID_LENGTH, ObjectId, RunId
from gitexp.storage.cache.runs import CachedRuns

MIN_TYPED: Final = 4
"""Fewest digits of a run id prefix, as git requires for objects."""

_BACK: Final = re.compile(r"(?:last(?P<any>:any)?(?:~(?P<n>\d*))?|@\{(?P<m>\d+)\})\Z", re.ASCII)
_BEST: Final = re.compile(r"best(?::(?P<metric>.+))?\Z", re.DOTALL)
_ID: Final = re.compile(rf"[0-9a-f]{{{MIN_TYPED},{RUN_ID_LENGTH}}}\Z")
_TRAILER: Final = re.compile(r"^Run-Id: *([0-9a-f]{16}) *$", re.MULTILINE)

_SHOWN: Final = 8
"""Most candidates that an error lists."""

_NEAR: Final = 1000
"""Number of newest runs whose names are searched for similar ones."""

_LIST_HINT: Final = "`git exp list` shows the runs"

BestRun = Callable[[str], RunId | None]
"""Returns the run that represents the best group by a metric."""


class Own(NamedTuple):
    """The session whose runs `last` and `@{N}` count."""

    session: str | None
    """Its id; `None` where no run was started yet."""
    is_named: bool = False
    """True when `GITEXP_SESSION` names it."""
    to_change: bool = False
    """True when the command changes the run permanently; then a run of others is refused."""
    has_failed_start: bool = False
    """True when the last attempt to start a run failed."""
    on_others: Callable[[str], None] = lambda _sentence: None
    """Gets a sentence when the session has no run, so that the repository's runs are counted."""

    @property
    def place(self) -> str:
        """How messages name the session."""
        return f"session '{self.session}'" if self.is_named else "this work tree"


class Newest(NamedTuple):
    """The newest runs of a session, or of the repository if the session has none."""

    runs: list[RunId]
    """Newest first."""
    are_own: bool
    """False when the session has no such run."""


def newest_of(index: CachedRuns, session: str | None, n: int, **terms: Any) -> Newest:
    """Return the newest runs of a session, or of the repository if the session has none.

    `terms` are those of `CachedRuns.newest`.
    """
    own = [] if session is None else index.newest(n, session=session, **terms)
    return Newest(own or index.newest(n, **terms), are_own=bool(own))


def select_run(
    text: str,
    repo: Repo,
    index: CachedRuns,
    *,
    best_run: BestRun,
    metric: str | None = None,
    own: Own | None = None,
) -> RunId:
    """Return the run that a selector names. Plain `best` uses `metric`, or the only metric.

    Without `own`, `last` counts the repository's runs. Raises `NotFound` with similar names,
    `Ambiguous` with the candidates, `InvalidInput` when the metric of `best` is unclear, `Refused`
    when `last` could be another user's run and the command would change it.
    """
    if not text or "\0" in text:
        raise InvalidInput("cannot select a run by an empty name", hints=[_LIST_HINT])
    back = _BACK.match(text)
    if back:
        digits = back["m"] or (back["n"] if back["n"] is not None else "0") or "1"
        return _back(text, int(digits[:10]), index, None if back["any"] else own)
    best = _BEST.match(text)
    if best:
        return _best(best["metric"] or metric, index, best_run)
    return _named(text, index) or _of_commit(text, repo, index)


def _back(text: str, n: int, index: CachedRuns, own: Own | None) -> RunId:
    newest = newest_of(index, own and own.session, n + 1, sealed=False)
    runs, are_own = newest
    if not runs:
        raise NotFound("no run is recorded yet", hints=["`git exp run -- COMMAND` records one"])
    if own is not None:
        _check_own(text, newest, index, own)
    if len(runs) > n:
        return runs[n]
    count = "is 1 run" if len(runs) == 1 else f"are {len(runs):,} runs"
    whose = f"of {own.place}; `last:any~{n}` counts all" if own and are_own else "in all"
    raise NotFound(f"cannot go back {n:,} runs", hints=[f"there {count} {whose}"])


def _check_own(text: str, newest: Newest, index: CachedRuns, own: Own) -> None:
    """Report or refuse a run that another session may have started. Raises `Refused`."""
    if not own.to_change:
        if not newest.are_own:
            own.on_others(f"{own.place} has no run yet: '{text}' counts those of the repository")
        return
    if newest.are_own and not own.has_failed_start:
        return
    run = index.entry(newest.runs[0]).run
    by = "" if newest.are_own else f", by {run.author.partition(' <')[0]}"
    whose = own.place if newest.are_own else "the repository"
    found = f"the newest of {whose} is {index.shortest_prefix(run.id)} {run.name}{by}"
    why = f"{own.place} has no run yet"
    if own.has_failed_start:
        why = f"the last attempt to start a run in {own.place} started none"
    raise Refused(
        f"cannot tell which run '{text}' means",
        why=why,
        hints=[f"{found}: if you mean it, name it by its id"],
    )


def _best(metric: str | None, index: CachedRuns, best_run: BestRun) -> RunId:
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
            hints=[
                "no run with a value for it succeeded, or all of them were discarded",
                _LIST_HINT,
            ],
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


def _named(text: str, index: CachedRuns) -> RunId | None:
    """Return the run with that id, id prefix or name."""
    by_id = index.by_prefix(text) if _ID.match(text) else []
    if len(text) == RUN_ID_LENGTH and by_id:
        return by_id[0]
    found = list(dict.fromkeys([*by_id, *index.by_name(text)]))
    if len(found) > 1:
        raise _ambiguous(f"'{text}' names {len(found)} runs", found, index)
    return found[0] if found else None


def _of_commit(text: str, repo: Repo, index: CachedRuns) -> RunId:
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


def _of_event(commit: ObjectId, repo: Repo, index: CachedRuns) -> RunId:
    """Return the run that a commit of the run branch concerns, from its trailer."""
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


def _ambiguous(what: str, runs: Sequence[RunId], index: CachedRuns) -> Ambiguous:
    short = index.short(runs[:_SHOWN])
    candidates = [
        f"{short[run.id]} {run.name} ({run.outcome.value}, {run.started:%Y-%m-%d})"
        for run in (entry.run for entry in index.entries(runs[:_SHOWN]))
    ]
    if len(runs) > _SHOWN:
        candidates.append(f"{len(runs) - _SHOWN:,} more")
    return Ambiguous(what, candidates=candidates, hints=["give more digits of the id"])


def _recent_names(index: CachedRuns) -> list[str]:
    names = index.column("name", index.ids(limit=_NEAR)).values()
    return sorted({str(name) for name in names} | {"last", "last:any", "best"})


def _near(text: str, names: Iterable[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(text[:100], list(names), 3)


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])
