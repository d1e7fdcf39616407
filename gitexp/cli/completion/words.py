"""Suggestions from the repository: runs, metrics, parameters, tags, sweeps, remotes.

Runs come from the cache. A missing cache is not built, since that takes longer than a user waits
for a key. After an error there are no suggestions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from gitexp.core.errors import GitexpError

if TYPE_CHECKING:
    from gitexp.storage.cache.runs import CachedRuns
    from gitexp.storage.workspace import Workspace

Pair = tuple[str, str]
"""A word and its meaning."""

_NEWEST = 500
"""Number of newest runs whose names are suggested. Ids of all runs match after one typed digit."""

_SHOWN = 100
"""Maximum number of suggested ids."""

_DIGITS = frozenset("0123456789abcdef")


def words(kind: str, unfinished: str) -> list[Pair]:
    """Return suggestions for a kind of value. Empty outside of a repository or after an error."""
    if kind not in _KINDS and kind not in _RUNS:
        return []
    try:
        from gitexp.storage.workspace import Workspace

        workspace = Workspace.open()
        return list(_runs(workspace, unfinished) if kind in _RUNS else _KINDS[kind](workspace))
    except (GitexpError, OSError):
        return []


def _index(workspace: "Workspace") -> "CachedRuns | None":
    from gitexp.storage.cache.cache import FILE_NAME

    exists = (workspace.repo.state_dir / FILE_NAME).exists()
    return workspace.index if exists else None


def _runs(workspace: "Workspace", unfinished: str) -> Iterator[Pair]:
    index = _index(workspace)
    if index is None:
        return
    if unfinished.startswith("best:"):
        for name in _bare(index.keys("metrics")):
            yield f"best:{name}", "the best run by this metric"
        return
    yield "last", "the newest run of this work tree"
    if unfinished and "last:any".startswith(unfinished):
        yield "last:any", "the newest run of the repository"
    yield "best", "the best run"
    if unfinished and "best".startswith(unfinished):
        yield "best:", "the best run by a metric"
    newest = index.ids(limit=_NEWEST)
    names = index.column("name", newest)
    outcomes = index.column("outcome", newest)
    for run in newest:
        yield str(names[run]), f"{run[:7]} {outcomes.get(run, '')}"
    if unfinished and set(unfinished) <= _DIGITS:
        found = index.by_prefix(unfinished)[:_SHOWN]
        shown = index.column("name", found)
        for run, short in index.short(found).items():
            yield (short if len(short) >= len(unfinished) else run), str(shown.get(run, ""))


def _tags(workspace: "Workspace") -> Iterator[Pair]:
    index = _index(workspace)
    if index is not None:
        yield from ((tag, "a tag") for tag in index.tags())


def _metrics(workspace: "Workspace") -> Iterator[Pair]:
    index = _index(workspace)
    if index is not None:
        yield from ((name, "") for name in _bare(index.keys("metrics")))


def _assigned(kind: str) -> "Callable[[Workspace], Iterator[Pair]]":
    """Return a function that suggests the names of a kind, each with `=`."""

    def found(workspace: "Workspace") -> Iterator[Pair]:
        index = _index(workspace)
        if index is not None:
            yield from ((f"{name}=", "") for name in _bare(index.keys(kind)))

    return found


def _keys(workspace: "Workspace") -> Iterator[Pair]:
    """Suggest the keys for sorting and filtering, the short names first."""
    from gitexp.core.query.names import ATTRIBUTES

    index = _index(workspace)
    names = [] if index is None else index.keys()
    short = _bare(name for name in names if name.startswith(("metrics.", "params.")))
    unique = [name for name in short if short.count(name) == 1 and name not in ATTRIBUTES]
    yield from ((name, "") for name in unique)
    yield from ((name, "") for name in ATTRIBUTES)
    yield from ((name, "") for name in names)


def _sweeps(workspace: "Workspace") -> Iterator[Pair]:
    for path in sorted((workspace.repo.state_dir / "sweeps").glob("*.toml")):
        yield path.stem[:7], "a sweep"


def _views(workspace: "Workspace") -> Iterator[Pair]:
    from gitexp.features.runs.views import view_names

    yield from ((name, "a view") for name in view_names(workspace))


def _remotes(workspace: "Workspace") -> Iterator[Pair]:
    for setting in workspace.repo.config().items("remote."):
        if setting.key.endswith(".url"):
            yield setting.key.removeprefix("remote.").removesuffix(".url"), setting.value


def _bare(keys: Iterable[str]) -> list[str]:
    names = (key.partition(".")[2] for key in keys)
    # The user may type a name without quotes if the quotes enclose all of it.
    return sorted(n[1:-1] if n[:1] == n[-1:] == '"' and "\\" not in n else n for n in names)


_RUNS = frozenset({"RUN", "RUNS", "OTHER", "A", "B"})
_KINDS: Mapping[str, Callable[["Workspace"], Iterable[Pair]]] = {
    "METRIC": _metrics,
    "METRIC=": _assigned("metrics"),
    "NAME=VALUE": _assigned("params"),
    "TAG": _tags,
    "TAGS": _tags,
    "KEY": _keys,
    "WHERE": _keys,
    "REMOTE": _remotes,
    "SWEEP": _sweeps,
    "VIEW": _views,
}
