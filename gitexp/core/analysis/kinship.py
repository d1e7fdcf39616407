"""Kinship: how two runs are related, and how their tables differ.

Imports fingerprints when first used, because every command imports this module for the settings,
but few look for kin.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from gitexp.core.model.run import FileState, Run, Value, flatten

MAX_DIFFERENCES = 2
"""Maximum number of differences between kin."""


class Kin(StrEnum):
    """Aspect in which two runs of the same program differ."""

    IDENTICAL = "identical"
    """No difference: the same trial."""
    SEED = "only seed"
    """Only the random seed."""
    UNTOLD = "not recorded"
    """No difference in what both records hold; one is from an older gitexp."""
    PARAMS = "other params"
    """Parameters and flags."""
    DATA = "other data"
    """Content of an input."""
    ENVIRONMENT = "other environment"
    """Python, its packages, or a recorded environment variable."""
    CODE = "other code"
    """Code that counts."""
    COMMAND = "other command"
    """An argument that is no parameter, or the directory."""
    SEVERAL = "several"
    """Two of these."""


class Difference(NamedTuple):
    """Difference between two runs."""

    kind: Kin
    name: str
    """Dotted name of a parameter, a path, or a fact; empty for code."""
    before: Value | None = None
    """Value of the other run; `None` if it has none."""
    after: Value | None = None

    @property
    def is_flag(self) -> bool:
        """True for a flag that only one of the two has."""
        return self.kind is Kin.PARAMS and {self.before, self.after} == {None, True}


class Kinship(NamedTuple):
    """Relation of a run to another."""

    relation: Kin
    differences: tuple[Difference, ...] = ()

    @property
    def distance(self) -> tuple[int, int]:
        """Sort key, nearest first: fewer differences, then less important ones."""
        kinds = {difference.kind for difference in self.differences}
        weight = sum(_ORDER.index(kind) for kind in kinds)
        return len(self.differences), weight


_ORDER = tuple(Kin)

ENVIRONMENT_FACTS = ("python", "python_implementation", "packages", "variables")
"""Facts of an environment that may change a result."""


Shape: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], str]
"""Program, arguments that are no parameters, and directory of a command."""


def kinship(run: Run, other: Run, *, shape: Shape | None = None) -> Kinship | None:
    """Return the differences between two runs of one program; `None` for more than two.

    All seeds count as one difference. Code without a digest (of an imported run) is compared by its
    tree. Environments are compared if both are recorded. `shape` is the run's, for callers that
    compare it with many.
    """
    differences: list[Difference] = []
    for group in (_code, _params, _inputs, _environment):  # the cheapest first
        differences += group(run, other)
        if _count(differences) > MAX_DIFFERENCES:
            return None
    words = _command(shape or shape_of(run), shape_of(other))
    if words is None or _count([*differences, *words]) > MAX_DIFFERENCES:
        return None
    differences += words
    kinds = {difference.kind for difference in differences}
    relation = Kin.IDENTICAL if not kinds else kinds.pop() if len(kinds) == 1 else Kin.SEVERAL
    return Kinship(relation, tuple(differences))


def _count(differences: Sequence[Difference]) -> int:
    seeds = sum(difference.kind is Kin.SEED for difference in differences)
    return len(differences) - max(0, seeds - 1)


def _command(ours: Shape, theirs: Shape) -> list[Difference] | None:
    (program, words, directory), (their_program, their_words, their_directory) = ours, theirs
    if program != their_program or len(words) != len(their_words):
        return None
    pairs = [(old, new) for old, new in zip(their_words, words, strict=True) if old != new]
    found = [Difference(Kin.COMMAND, "argument", old, new) for old, new in pairs]
    if directory != their_directory:
        found.append(Difference(Kin.COMMAND, "directory", their_directory, directory))
    return found


def shape_of(run: Run) -> Shape:
    """Return the shape: program, arguments except those that repeat a parameter, and directory."""
    from gitexp.core.analysis.fingerprint import script_position, trial_command

    command = run.command
    if command is None:
        return (), (), "."
    words = trial_command(command.template or command.argv, run.params)
    program = words[: script_position(words) + 1]
    names = {f"{{{name}}}" for name, _ in flatten(run.params)}
    rest = words[len(program) :]
    kept = [w for w in rest if not (w.startswith("--") and w.partition("=")[2] in names)]
    return program, tuple(kept), command.directory


def _params(run: Run, other: Run) -> Iterator[Difference]:
    from gitexp.core.analysis.seeds import is_seed

    for name, before, after in diff_tables(other.params, run.params):
        present = before if after is None else after
        seed = present is not None and is_seed(name.rpartition(".")[2], present)
        yield Difference(Kin.SEED if seed else Kin.PARAMS, name, before, after)


def _inputs(run: Run, other: Run) -> Iterator[Difference]:
    from gitexp.core.analysis.fingerprint import VERSION, outside_of, version_of

    older = 0 < version_of(other.fingerprint) < VERSION
    untold = []
    now, then = _files(run), _files(other)
    counted = {path for one in (run, other) for path in (*outside_of(one), *one.inputs)}
    for path in sorted(counted):
        new, old = now.get(path), then.get(path)
        unasked = path in run.code.hashed or (new is not None and new.named)
        if old is None and new is not None and unasked and older:
            untold.append(path)
            continue
        before, after = old.digest if old else None, new.digest if new else None
        if before != after:
            yield Difference(Kin.DATA, path, before, after)
    if untold:
        yield Difference(Kin.UNTOLD, ", ".join(untold))


def _files(run: Run) -> dict[str, FileState]:
    """All files that the run is known to have read and that git does not track."""
    return {**run.reads, **run.changed_reads, **run.code.hashed, **run.inputs}


def _code(run: Run, other: Run) -> list[Difference]:
    before, after = other.code.digest or other.code.tree, run.code.digest or run.code.tree
    return [] if before == after else [Difference(Kin.CODE, "")]


def _environment(run: Run, other: Run) -> Iterator[Difference]:
    from gitexp.core.analysis.fingerprint import version_of

    if run.environment and other.environment:
        is_older = any(version_of(one.fingerprint) < 2 for one in (run, other))
        for fact in ENVIRONMENT_FACTS[:-1] if is_older else ENVIRONMENT_FACTS:
            before, after = other.environment.get(fact), run.environment.get(fact)
            if fact == "variables":
                params = {*run.params, *other.params}
                before, after = _without(before, params), _without(after, params)
            if before != after:
                yield Difference(Kin.ENVIRONMENT, fact, before, after)
                return  # another Python has other packages: one difference


def _without(variables: Value | None, params: Collection[str]) -> Value | None:
    """Return the recorded variables except parameters, which are compared as such."""
    if not isinstance(variables, dict):
        return None
    return {name: value for name, value in variables.items() if name not in params} or None


def diff_tables(
    before: Mapping[str, Value], after: Mapping[str, Value]
) -> list[tuple[str, Value | None, Value | None]]:
    """Return the differing values as (name, before, after), sorted by dotted name.

    A missing value is `None`. 1 equals 1.0, and NaN equals NaN.
    """
    from gitexp.core.analysis.fingerprint import canonical

    def differ(one: Value, another: Value) -> bool:
        if type(one) is type(another) and not isinstance(one, dict | list) and one == another:
            return False
        return canonical(one) != canonical(another)

    old, new = dict(flatten(before)), dict(flatten(after))
    return [
        (name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if name not in old or name not in new or differ(old[name], new[name])
    ]
