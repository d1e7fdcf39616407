"""How two runs are related, and what differs between two tables of theirs.

Floor 1, pure. Fingerprints are imported when first needed: every command reads the settings, whose
tolerances stand beside this module, and few ask for kin.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from gitexp.model import Run, Value, flatten

MAX_DIFFERENCES = 2
"""Runs that differ in more are no kin."""


class Kin(StrEnum):
    """In what two runs of the same program differ."""

    IDENTICAL = "identical"
    """In nothing: the same trial."""
    SEED = "only seed"
    """In nothing but the random seed."""
    UNTOLD = "not recorded"
    """In nothing that both records tell; one of them is of an older gitexp."""
    PARAMS = "other params"
    """In parameters and flags."""
    DATA = "other data"
    """In the content of an input."""
    ENVIRONMENT = "other environment"
    """In Python, its packages, or an environment variable that is recorded."""
    CODE = "other code"
    """In the code that counts."""
    COMMAND = "other command"
    """In an argument that is no parameter, or the directory."""
    SEVERAL = "several"
    """In two of these."""


class Difference(NamedTuple):
    """One thing in which a run differs from another."""

    kind: Kin
    name: str
    """A parameter by its dotted name, a path, a fact; empty for code."""
    before: Value | None = None
    """The value of the other run; absent when it has none."""
    after: Value | None = None

    @property
    def is_flag(self) -> bool:
        """True for an option without value that one of the two has."""
        return self.kind is Kin.PARAMS and {self.before, self.after} == {None, True}


class Kinship(NamedTuple):
    """How near a run is to another."""

    relation: Kin
    differences: tuple[Difference, ...] = ()

    @property
    def distance(self) -> tuple[int, int]:
        """Nearest first: fewer differences, then those that matter less."""
        kinds = {difference.kind for difference in self.differences}
        weight = sum(_ORDER.index(kind) for kind in kinds)
        return len(self.differences), weight


_ORDER = tuple(Kin)

ENVIRONMENT_FACTS = ("python", "python_implementation", "packages", "variables")
"""Facts of an environment that may change a result."""


def kinship(run: Run, other: Run) -> Kinship | None:
    """What differs between two runs of one program; `None` for more than two differences.

    All seeds count as one difference. Code that has no digest (an imported run) is compared by its
    tree. Environments are compared when both are recorded.
    """
    differences: list[Difference] = []
    for group in (_command, _params, _inputs, _code, _environment):
        found = group(run, other)
        if found is None:
            return None
        differences += found
        seeds = [d for d in differences if d.kind is Kin.SEED]
        if len(differences) - max(0, len(seeds) - 1) > MAX_DIFFERENCES:
            return None
    kinds = {difference.kind for difference in differences}
    relation = Kin.IDENTICAL if not kinds else kinds.pop() if len(kinds) == 1 else Kin.SEVERAL
    return Kinship(relation, tuple(differences))


def _command(run: Run, other: Run) -> list[Difference] | None:
    (program, words, directory), theirs = _shape(run), _shape(other)
    if program != theirs[0] or len(words) != len(theirs[1]):
        return None
    pairs = [(old, new) for old, new in zip(theirs[1], words, strict=True) if old != new]
    found = [Difference(Kin.COMMAND, "argument", old, new) for old, new in pairs]
    if directory != theirs[2]:
        found.append(Difference(Kin.COMMAND, "directory", theirs[2], directory))
    return found


def _shape(run: Run) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The program, its arguments but for those that only repeat a parameter, and the directory."""
    from gitexp.fingerprint import script_position, trial_command  # noqa: PLC0415 - see above

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
    from gitexp.fingerprint import is_seed  # noqa: PLC0415 - see above

    for name, before, after in diff_tables(other.params, run.params):
        present = before if after is None else after
        seed = present is not None and is_seed(name.rpartition(".")[2], present)
        yield Difference(Kin.SEED if seed else Kin.PARAMS, name, before, after)


def _inputs(run: Run, other: Run) -> Iterator[Difference]:
    from gitexp.fingerprint import VERSION, version_of  # noqa: PLC0415 - see above

    older = 0 < version_of(other.fingerprint) < VERSION
    untold = []
    now, then = {**run.code.hashed, **run.inputs}, {**other.code.hashed, **other.inputs}
    for path in sorted({*now, *then}):
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


def _code(run: Run, other: Run) -> list[Difference]:
    before, after = other.code.digest or other.code.tree, run.code.digest or run.code.tree
    return [] if before == after else [Difference(Kin.CODE, "")]


def _environment(run: Run, other: Run) -> Iterator[Difference]:
    from gitexp.fingerprint import version_of  # noqa: PLC0415 - see above

    if run.environment and other.environment:
        told = ENVIRONMENT_FACTS if version_of(other.fingerprint) > 1 else ENVIRONMENT_FACTS[:-1]
        for fact in told:
            before, after = other.environment.get(fact), run.environment.get(fact)
            if before != after:
                yield Difference(Kin.ENVIRONMENT, fact, before, after)
                return  # another Python has other packages: one difference


def diff_tables(
    before: Mapping[str, Value], after: Mapping[str, Value]
) -> list[tuple[str, Value | None, Value | None]]:
    """The dotted names whose values differ, sorted, as (name, before, after); absent is `None`.

    1 and 1.0 are the same value; NaN equals NaN.
    """
    from gitexp.fingerprint import canonical  # noqa: PLC0415 - see above

    old, new = dict(flatten(before)), dict(flatten(after))
    return [
        (name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if name not in old or name not in new or canonical(old[name]) != canonical(new[name])
    ]
