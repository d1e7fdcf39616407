"""Which runs repeat each other: the keys of a run's group and of its family.

A *group* is the set of runs with equal fingerprint but for random seeds. A *family*
is the set of groups whose noise is pooled: the same command words whatever the options, code and
parameters are.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gitexp.core.analysis.fingerprint import (
    VERSION,
    canonical,
    command_template,
    fingerprint,
    is_seed,
    outside_of,
    trial_command,
    version_of,
)
from gitexp.core.model.run import Command, FileState, Run, Table, Value, flatten

KEY_LENGTH: Final = 16
"""Hex digits of a key: 64 bits, so that no two of a million groups meet by chance."""


class TrialKeys(NamedTuple):
    """The keys by which runs are put together."""

    group: str
    family: str
    seeds: str
    """The seed parameters as canonical text; empty when there are none."""


def keys_of(run: Run, seed_params: Sequence[str] = ()) -> TrialKeys:
    """The keys of a run.

    `seed_params` are names of parameters that only choose random numbers, beside those that are
    known by their names; a name with a leading `!` is no seed whatever it is called.
    """
    return keys_from(
        run.id,
        run.fingerprint,
        run.code.digest,
        run.command,
        run.params,
        run.inputs,
        seed_params=seed_params,
        outside=outside_of(run),
    )


def keys_from(
    run_id: str,
    recorded: str,
    digest: str,
    command: Command | None,
    params: Mapping[str, Value],
    inputs: Mapping[str, FileState],
    *,
    seed_params: Sequence[str] = (),
    outside: Mapping[str, FileState] = {},
) -> TrialKeys:
    """As `keys_of`, from the parts of a record; `recorded` is its fingerprint.

    A run that names neither command nor parameters says nothing about its trial, so it is a group
    of its own.
    """
    words = () if command is None else command.template or command.argv
    directory = "." if command is None else command.directory
    named = dict(flatten(params))
    family = _key("family", directory, *_words(words, named))
    if not recorded or not (words or named):
        return TrialKeys(run_id, family, "")
    seeds = {
        name: value for name, value in named.items() if is_seed_param(name, value, seed_params)
    }
    if not seeds and version_of(recorded) == VERSION:
        return TrialKeys(recorded.partition(":")[2][:KEY_LENGTH], family, "")
    kept: Table = {name: value for name, value in named.items() if name not in seeds}
    # The options are matched with all parameters, so that the value of a seed leaves the command.
    template = [w for w in command_template(words, params) if not _repeats_a_seed(w, seeds)]
    group = fingerprint(
        digest, template, directory=directory, params=kept, inputs=inputs, outside=outside
    )
    group = group.partition(":")[2][:KEY_LENGTH]
    return TrialKeys(group, family, canonical(seeds) if seeds else "")


def is_seed_param(name: str, value: Value, seed_params: Sequence[str]) -> bool:
    """Return whether a parameter is a random seed; `seed_params` are as for `keys_of`."""
    if "!" + name in seed_params:
        return False
    return name in seed_params or is_seed(name.rpartition(".")[2], value)


def _repeats_a_seed(word: str, seeds: Mapping[str, Value]) -> bool:
    found = re.fullmatch(r"--[^=]+=\{([^{}]+)\}", word)
    return found is not None and found[1] in seeds


def _words(words: Sequence[str], params: Mapping[str, Value]) -> list[str]:
    """The command without the options that only repeat a parameter."""
    kept = trial_command(words, params)
    return [word for word in kept if not re.fullmatch(r"--[^=]+=\{[^{}]+\}", word)]


def _key(*parts: str) -> str:
    import hashlib

    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[
        :KEY_LENGTH
    ]
