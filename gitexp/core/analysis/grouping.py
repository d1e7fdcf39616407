"""Keys of groups and families of runs.

A *group* is the set of runs with equal fingerprints, random seeds aside. A *family* is the set of
groups with pooled noise: the same words of the command, whatever the options, code and parameters
are.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gitexp.core.analysis.fingerprint import (
    VERSION,
    canonical,
    command_template,
    fingerprint,
    outside_of,
    trial_command,
    version_of,
)
from gitexp.core.analysis.seeds import is_seed
from gitexp.core.model.run import FileState, Run, Table, Value, flatten
from gitexp.core.model.tables import Outline, leaf_paths, outline

KEY_LENGTH: Final = 16
"""Hex digits of a hash: with 64 bits, no two of a million groups collide by chance."""


_LONGEST_KEY: Final = 60
"""Characters of a command that is its own key; most are shorter without their options."""


class TrialKeys(NamedTuple):
    """Keys of the group and the family of a run."""

    group: str
    family: str
    """Working directory and words of the command, or their hash."""
    seeds: str
    """Seed parameters as canonical text; empty without seeds."""


def keys_of(run: Run, seed_params: Sequence[str] = ()) -> TrialKeys:
    """Return the keys of a run.

    `seed_params` adds parameters that only choose random numbers to the well-known names; a leading
    `!` excludes a name. A seed that only the program's parser told, such as a default, does not
    shape the group, but says that equal numbers of repeats show no noise.
    """
    keys = keys_from(
        run.id,
        run.fingerprint,
        run.code.digest,
        () if run.command is None else run.command.template or run.command.argv,
        run.params,
        run.inputs,
        directory="." if run.command is None else run.command.directory,
        seed_params=seed_params,
        outside=outside_of(run),
    )
    if keys.seeds or not _may_have_seeds(outline(run.parsed), tuple(seed_params)):
        return keys
    parsed = flatten(run.parsed)
    seeds: Table = {n: value for n, value in parsed if is_seed_param(n, value, seed_params)}
    return keys._replace(seeds=canonical(seeds)) if seeds else keys


def keys_from(
    run_id: str,
    recorded: str,
    digest: str,
    words: tuple[str, ...],
    params: Mapping[str, Value],
    inputs: Mapping[str, FileState],
    *,
    directory: str,
    seed_params: Sequence[str] = (),
    outside: Mapping[str, FileState] = {},
) -> TrialKeys:
    """Return the keys from the parts of a record without `parsed`, as `keys_of`.

    `recorded` is its fingerprint. `words` is the command, as a template if there is one. A run
    without command and parameters is a group of its own, because its trial is unknown.
    """
    family = _family(directory, words, params)
    if not recorded or not (words or any(True for _ in flatten(params))):
        return TrialKeys(run_id, family, "")
    named: Table = {}
    if _may_have_seeds(outline(params), tuple(seed_params)):
        named = dict(flatten(params))
    seeds = {
        name: value for name, value in named.items() if is_seed_param(name, value, seed_params)
    }
    if not seeds and version_of(recorded) == VERSION:
        return TrialKeys(recorded.partition(":")[2][:KEY_LENGTH], family, "")
    kept: Table = {name: value for name, value in flatten(params) if name not in seeds}
    # Match the options with all parameters, so that the value of a seed is not part of the command.
    template = [w for w in command_template(words, params) if not _repeats_a_seed(w, seeds)]
    group = fingerprint(
        digest, template, directory=directory, params=kept, inputs=inputs, outside=outside
    )
    group = group.partition(":")[2][:KEY_LENGTH]
    return TrialKeys(group, family, canonical(seeds) if seeds else "")


@lru_cache(maxsize=1024)  # a branch has many runs and few sets of names
def _may_have_seeds(names: Outline, seed_params: tuple[str, ...]) -> bool:
    """Return whether a parameter could be a seed by its name."""
    return any(is_seed_param(".".join(path), 0, seed_params) for path in leaf_paths(names))


def is_seed_param(name: str, value: Value, seed_params: Sequence[str]) -> bool:
    """Return whether a parameter is a random seed; `seed_params` are as for `keys_of`."""
    if "!" + name in seed_params:
        return False
    return name in seed_params or is_seed(name.rpartition(".")[2], value)


def _repeats_a_seed(word: str, seeds: Mapping[str, Value]) -> bool:
    found = re.fullmatch(r"--[^=]+=\{([^{}]+)\}", word)
    return found is not None and found[1] in seeds


def _words(words: Sequence[str], params: Mapping[str, Value]) -> list[str]:
    """Return the command without options that only repeat a parameter."""
    kept = trial_command(words, params)
    return [word for word in kept if not re.fullmatch(r"--[^=]+=\{[^{}]+\}", word)]


def _family(directory: str, words: tuple[str, ...], params: Mapping[str, Value]) -> str:
    if any(word.startswith("--") for word in words):
        return _key(directory, *_words(words, params))
    return _plain_family(directory, words)


@lru_cache(maxsize=1024)  # a branch has many runs and few commands
def _plain_family(directory: str, words: tuple[str, ...]) -> str:
    """Return the family of a command without options, which parameters do not change."""
    return _key(directory, *_words(words, {}))


def _key(*parts: str) -> str:
    """Return a text that is equal for equal parts: the parts themselves, or the hash of long ones.

    Loading `hashlib` takes 4 ms, as long as all other work of an update of the cache by one run.
    """
    text = "\0".join(parts)
    if len(text) <= _LONGEST_KEY:
        return text
    import hashlib

    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:KEY_LENGTH]
