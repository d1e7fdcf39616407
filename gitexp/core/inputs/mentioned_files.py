"""Find the words of a command that may name a file it reads.

This guesses another program's syntax; the caller checks which of the words are files.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

from gitexp.core.inputs.argv import iter_options

_OUTPUTS = frozenset(
    """dest destination dump export log logdir logfile logs out outdir outfile output outputs report
    result results save saveto workdir write""".split()
)
"""Words in the name of an option whose value is written, not read."""

_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ksh"))
_WRITTEN = re.compile(r"(?:\d|&)?>>?\|?|tee")


def mentioned(argv: Sequence[str]) -> list[str]:
    """Return the texts that may name files the command reads, in order, each once.

    These are arguments, values of options and of `key=value`, items of comma-separated lists, the
    words of a shell script, and the files of `-m`. Excluded are values of options such as
    `--output` and targets of shell redirections.
    """
    found = dict.fromkeys(text for word in _words(argv) for text in _parts(word))
    return [text for text in found if text and not text.startswith("-") and len(text) < 4096]


def _words(argv: Sequence[str]) -> Iterator[str]:
    options = {option.start: option for option in iter_options(argv)}
    position = 1
    while position < len(argv):
        word, before = argv[position], argv[position - 1]
        if option := options.get(position):
            position = option.stop
            if option.value is not None and not is_output(option.name):
                yield option.value
            continue
        position += 1
        if before == "-c" and argv[0].rpartition("/")[2] in _SHELLS:
            yield from _script_words(word)
        elif before == "-m":
            path = word.replace(".", "/")
            yield from (f"{path}.py", f"{path}/__main__.py")
        elif before != "-o":
            yield word


def _parts(word: str) -> Iterator[str]:
    yield word
    if word.startswith("@"):
        yield word[1:]
    key, equals, value = word.partition("=")
    if equals and not key.startswith("-") and not is_output(key):
        yield value
        word = value
    if "," in word:
        yield from word.strip("[]").split(",")


def _script_words(script: str) -> Iterator[str]:
    """Return the words of a shell script except those that it writes to."""
    try:
        words = shlex.split(script, comments=True)
    except ValueError:
        words = script.split()
    before = ""
    for word in words:
        if not _WRITTEN.fullmatch(before) and not _WRITTEN.match(word):
            yield word.strip(";&|()<")
        before = word


def is_output(name: str) -> bool:
    """Return whether an option with this name takes a file or directory that is written."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    return not _OUTPUTS.isdisjoint(words)
