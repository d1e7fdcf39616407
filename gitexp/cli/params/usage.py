"""Explain a usage error: the fault, similar names, an example.

Imported only after a usage error.
"""

import difflib
import inspect
import re
import sys

import click

_WRAPPING = ("run", "tried", "start", "record")
"""Commands that take a command line of the user's as arguments."""

_NEAR = 0.7

_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)", re.DOTALL)


def explain(error: click.UsageError) -> tuple[str, list[str]]:
    """Return the fault in one line, and hints."""
    command = error.ctx.command if error.ctx else None
    if isinstance(error, click.NoSuchOption):
        return f"there is no option '{error.option_name}'", _meant(error, command)
    what = " ".join(error.format_message().rstrip(".").split())
    hints = []
    if isinstance(error, click.MissingParameter) and command is not None:
        what = f"{_name(error.param)} is missing"
        hints = [f"for example `{example}`" for example in examples(command)[:1]]
    elif isinstance(error, click.BadParameter) and isinstance(
        getattr(error.param, "type", None), click.Choice
    ):
        what = what.partition(": ")[2] if isinstance(error.param, click.Argument) else what
        hints = _near_choices(error)
    elif (extra := _EXTRA.fullmatch(what)) is not None and command is not None:
        what = f"too many arguments: '{extra[1]}'"
        hints = [f"for example `{example}`" for example in examples(command)[:1]]
    return what if what[:2].isupper() else what[:1].lower() + what[1:], hints


def examples(command: click.Command) -> list[str]:
    """Return the lines after the last `\\b` of a command's help."""
    _, mark, block = inspect.cleandoc(command.help or "").rpartition("\b\n")
    return block.splitlines() if mark else []


def _name(parameter: click.Parameter | None) -> str:
    if parameter is None:
        return "something"
    if isinstance(parameter.type, click.Choice):
        return "one of " + ", ".join(map(str, parameter.type.choices))
    if isinstance(parameter, click.Option):
        return parameter.opts[-1]
    return "the command to run" if parameter.name == "argv" else parameter.human_readable_name


def _meant(error: click.NoSuchOption, command: click.Command | None) -> list[str]:
    names = [
        name
        for parameter in (command.params if command else ())
        if isinstance(parameter, click.Option) and not parameter.hidden
        for name in parameter.opts
    ]
    asked = error.option_name
    near = difflib.get_close_matches(asked, names, n=3, cutoff=_NEAR) if len(asked) > 3 else []
    hints = [f"did you mean {' or '.join(f'`{name}`' for name in near)}?"] if near else []
    if command is not None and command.name in _WRAPPING and not near:
        hints.append(
            "options of your own command come after it: "
            f"`git exp {command.name} -- CMD {asked} ...`"
        )
    return hints


def _near_choices(error: click.BadParameter) -> list[str]:
    typed = [word for word in sys.argv[1:] if word]
    choices = [str(choice) for choice in error.param.type.choices]  # type: ignore[union-attr]
    near = [match for word in typed for match in difflib.get_close_matches(word, choices, 1, _NEAR)]
    return [f"did you mean `{near[0]}`?"] if near else []
