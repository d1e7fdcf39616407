"""Suggest the next word of a command line, for all shells.

The scripts in this directory pass the suggestions to bash, zsh and fish. A key press waits for
them, so they must be fast. They change no run. Without a suggestion nothing is printed, not even an
error.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from gitexp.cli.app import ALIASES, COMMANDS, root
from gitexp.cli.completion import words as known

FILES = ":files"
"""Instead of a word: the shell completes file names."""
COMMAND = ":command"
"""Instead of a word: the shell completes the user's own command line.

The meaning is the number of words after `git exp` to skip.
"""


@dataclass(frozen=True, slots=True)
class Word:
    """A suggestion and its meaning."""

    text: str
    meaning: str = ""


def suggest(typed: Sequence[str]) -> list[Word]:
    """Return suggestions for the last, unfinished word, given all words after `git exp`."""
    *before, unfinished = typed or ("",)
    before_command = [word for word in before if word != "--no-pager"]
    if not before_command:
        return _starting(unfinished, [*_commands(), *_options(root, unfinished)])
    name, *rest = before_command
    context = click.Context(root)
    command = root.get_command(context, name)
    if command is None:
        return []
    if isinstance(command, click.Group):
        if not rest:
            return _starting(unfinished, list(_inner(command)))
        inner = command.get_command(context, rest[0])
        if inner is None:
            return []
        command, rest = inner, rest[1:]
    inner_commands: Mapping[str, click.Command] = getattr(command, "subcommands", {})
    found = []
    if rest and rest[0] in inner_commands:
        command, rest = inner_commands[rest[0]], rest[1:]
    elif not rest:
        words = [Word(n, (c.help or "").partition("\n")[0]) for n, c in inner_commands.items()]
        found = _starting(unfinished, words)
    return [*found, *_of_command(command, rest, unfinished, taken=len(before) - len(rest))]


def _of_command(
    command: click.Command, before: list[str], unfinished: str, *, taken: int
) -> list[Word]:
    if "--" in before:
        return [Word(COMMAND, str(taken + before.index("--") + 1))]
    option, arguments = _read(command, before)
    if arguments and not command.context_settings.get("allow_interspersed_args", True):
        return [Word(COMMAND, str(taken + before.index(arguments[0])))]
    if option is not None:
        return _starting(unfinished, _values(option, unfinished))
    name, equals, value = unfinished.partition("=")
    if equals and name.startswith("--"):
        named = _option(command, name)
        found = [] if named is None else _values(named, value)
        return _starting(
            unfinished,
            [Word(f"{name}={w.text}", w.meaning) if w.text != FILES else w for w in found],
        )
    if unfinished.startswith("-"):
        return _starting(unfinished, _options(command, unfinished))
    argument = _argument(command, len(arguments))
    return [] if argument is None else _starting(unfinished, _values(argument, unfinished))


def _starting(unfinished: str, offered: Sequence[Word]) -> list[Word]:
    return [w for w in offered if w.text.startswith(unfinished) or w.text in (FILES, COMMAND)]


def _commands() -> Iterator[Word]:
    yield from (Word(name, COMMANDS[name]) for name in COMMANDS)
    yield from (Word(alias, COMMANDS[name]) for alias, name in ALIASES.items())


def _inner(group: click.Group) -> Iterator[Word]:
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        if found is not None and not found.hidden:
            yield Word(name, (found.help or "").partition("\n")[0])


def _options(command: click.Command, unfinished: str) -> list[Word]:
    if not unfinished.startswith("-"):
        return []
    offered = []
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            names = [
                n for n in option.opts if n.startswith("--") or not unfinished.startswith("--")
            ]
            meaning = (option.help or "").partition(". ")[0].rstrip(".")
            offered += [Word(name, meaning) for name in names]
    return [*offered, Word("--help", "Show the options")]


def _option(command: click.Command, name: str) -> click.Option | None:
    options = (p for p in command.params if isinstance(p, click.Option))
    return next((option for option in options if name in option.opts), None)


def _read(command: click.Command, before: Sequence[str]) -> tuple[click.Option | None, list[str]]:
    """Return the option whose value comes next, if any, and the arguments before it."""
    pending: click.Option | None = None
    arguments: list[str] = []
    ends = not command.context_settings.get("allow_interspersed_args", True)
    for word in before:
        if arguments and ends:
            break
        if pending is not None:
            pending = None
        elif word.startswith("-") and word != "-":
            found = _option(command, word)
            pending = found if found is not None and not found.is_flag else None
        else:
            arguments.append(word)
    return pending, arguments


def _argument(command: click.Command, position: int) -> click.Argument | None:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    if position < len(arguments):
        return arguments[position]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


def _values(parameter: click.Parameter, unfinished: str) -> list[Word]:
    if isinstance(parameter.type, click.Choice):
        return [Word(str(choice)) for choice in parameter.type.choices]
    kind = re.sub(r"[\[\].]+", " ", parameter.metavar or parameter.name or "").upper().split()[0]
    if kind in ("FILE", "PATH", "DIR") or isinstance(parameter.type, click.Path):
        return [Word(FILES)]
    if parameter.name == "argv":
        return [Word("--", "the command follows")]
    if kind in _FIXED:
        return _FIXED[kind]()
    if kind == "NAME=VALUE" and "--metric" in parameter.opts:
        kind = "METRIC="
    return [Word(text, meaning) for text, meaning in known.words(kind, unfinished)]


def _settings() -> list[Word]:
    from gitexp.storage.settings.options import OPTIONS

    return [Word(option.name, option.meaning) for option in OPTIONS]


_FIXED: Mapping[str, Callable[[], list[Word]]] = {
    "SETTING": _settings,
    "COMMAND": lambda: [Word(name, COMMANDS[name]) for name in COMMANDS],
}
"""Suggestions that need no repository, by kind of value."""
