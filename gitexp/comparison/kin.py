"""How two runs are related, and what differs between two tables of theirs.

Floor 1, pure. Fingerprints are imported when first needed: every command reads the settings, whose
tolerances stand beside this module, and few ask for kin.
"""

from collections.abc import Mapping
from enum import StrEnum

from gitexp.model import Run, Value, flatten


class Kin(StrEnum):
    """The one thing in which two runs of the same command differ."""

    IDENTICAL = "identical"
    """The same trial."""
    SEED = "only seed"
    """The same trial but for its random seed."""
    PARAMS = "other params"
    """The same code and data with other parameters."""
    CODE = "other code"
    """The same parameters and data with other code."""


def kinship(run: Run, other: Run) -> Kin | None:
    """The closest kinship of two runs; `None` when they differ in more than one respect.

    Code that has no digest (an imported run) is compared by its tree.
    """
    from gitexp.fingerprint import canonical, without_seeds  # noqa: PLC0415 - see above

    if _trial(run) != _trial(other):
        return None
    same_code = _code(run) == _code(other)
    if canonical(run.params) == canonical(other.params):
        return Kin.IDENTICAL if same_code else Kin.CODE
    if not same_code:
        return None
    seeds_apart = canonical(without_seeds(run.params)) == canonical(without_seeds(other.params))
    return Kin.SEED if seeds_apart else Kin.PARAMS


def _code(run: Run) -> str:
    return run.code.digest or run.code.tree


def _trial(run: Run) -> tuple[object, ...]:
    """What kin must share: the command, where it ran, and its inputs."""
    from gitexp.fingerprint import command_template, input_digests  # noqa: PLC0415 - see above

    command = run.command
    argv = () if command is None else command.template or command.argv
    directory = "." if command is None else command.directory
    return command_template(argv, run.params), directory, input_digests(run.inputs)


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
