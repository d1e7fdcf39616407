"""Generate the manual: an overview and one page for each command, from the commands' help.

The pages are in roff. `python -m gitexp.cli.manual DIRECTORY` writes all of them.
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from gitexp import __version__
from gitexp.cli.app import COMMANDS, GROUPS, context_of
from gitexp.cli.manual import roff
from gitexp.storage.settings.options import OPTIONS

OVERVIEW = "git-exp"


def pages() -> dict[str, str]:
    """Return all pages by name: `git-exp`, `git-exp-run`, and the alias `gitexp-run`.

    `git help exp-run` opens the page `gitexp-run`, since there is no `git-exp-run` on PATH.
    """
    found = {OVERVIEW: overview(), **{f"git-exp-{name}": command_page(name) for name in COMMANDS}}
    return {**found, **{f"gitexp-{name}": f".so man1/git-exp-{name}.1\n" for name in COMMANDS}}


def write(folder: Path) -> list[Path]:
    """Write every page as `NAME.1`; create the directory. Return the files, sorted by name."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in sorted(pages().items()):
        path = folder / f"{name}.1"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def overview() -> str:
    """Return the page about concepts, settings, environment, files and exit codes."""
    text = (Path(__file__).parent / "overview.md").read_text(encoding="utf-8")
    tables = {"commands": _commands, "settings": _settings}
    lines = [_title(OVERVIEW)]
    for part in text.split("\n\n"):
        name = part.strip().removeprefix("{{").removesuffix("}}")
        lines += tables[name]() if part.strip() == f"{{{{{name}}}}}" else roff.format_roff(part)
    return "\n".join(lines) + "\n"


def command_page(name: str) -> str:
    """Return the page of one command."""
    command = context_of(name).command
    summary, prose, examples = _read_help(command)
    lines = [
        _title(f"git-exp-{name}"),
        ".SH NAME",
        f"git\\-exp\\-{roff.escape(name)} \\- {roff.escape(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        *_synopses(command, f"git exp {name}"),
        ".SH DESCRIPTION",
        *(roff.format_roff(prose) if prose else roff.format_roff(summary + ".")),
    ]
    if isinstance(command, click.Group):
        lines.append(".SH SUBCOMMANDS")
        for inner in _inner(command):
            lines += _inner_section(inner)
    else:
        lines += [".SH OPTIONS", *_options(command)]
        subcommands: Mapping[str, click.Command] = getattr(command, "subcommands", {})
        lines += [".SH SUBCOMMANDS"] if subcommands else []
        for inner in subcommands.values():
            lines += _inner_section(inner)
    if examples:
        lines += [".SH EXAMPLES", *roff.code(examples)]
    lines += [
        ".SH EXIT STATUS",
        *roff.format_roff(_STATUS.get(name, "See EXIT STATUS in **git-exp**(1).")),
        ".SH SEE ALSO",
        roff.line(", ".join(_related(name))),
    ]
    return "\n".join(lines) + "\n"


_STATUS: Mapping[str, str] = {
    "run": "That of the command that was run; 128 when it was not run, 129 for a wrong option. "
    "See also EXIT STATUS in **git-exp**(1).",
    "compare": "0 when nothing is worse, 1 when something is, 125 when it cannot be told.",
    "sweep": "0 when every trial has a result, 1 when some failed or did not run, 125 when none "
    "has the metric, 128 when it could not run, 129 for a space that makes no sweep, 130 after "
    "Ctrl-C.",
    "tried": "0 when this is new, 1 when it was tried before.",
    "reproduce": "0 when reproduced or within tolerance, 1 when the result drifted, 125 when it "
    "failed or cannot be told.",
    "doctor": "0 when all is well, 1 when something is wrong, 125 when something could not be "
    "checked.",
}


def _title(name: str) -> str:
    shown = roff.escape(name.upper())
    lines = [
        '.\\" made by `python -m gitexp.cli.manual`',
        f'.TH {shown} 1 "" "gitexp {__version__}" gitexp',
        ".nh",
        ".ad l",
    ]
    return "\n".join(lines)


def _read_help(command: click.Command) -> tuple[str, str, list[str]]:
    """Return the first line, the paragraphs and the examples of a command's help."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    prose: list[str] = []
    examples: list[str] = []
    for paragraph in paragraphs[1:]:
        if paragraph.startswith("\b\n"):
            examples += paragraph.splitlines()[1:]
        else:
            prose.append(paragraph)
    return paragraphs[0], "\n\n".join(prose), examples


def _inner(group: click.Group) -> Iterator[click.Command]:
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        if found is not None and not found.hidden:
            yield found


def _inner_section(command: click.Command) -> list[str]:
    summary, prose, examples = _read_help(command)
    lines = [f'.SS "{roff.escape(command.name or "")}"', *roff.format_roff(summary + ".")]
    lines += roff.format_roff(prose) if prose else []
    lines += _options(command) if _visible_options(command) else []
    return lines + (roff.code(examples) if examples else [])


def _synopses(command: click.Command, words: str) -> list[str]:
    commands = (
        [(f"{words} {inner.name}", inner) for inner in _inner(command)]
        if isinstance(command, click.Group)
        else [(words, command)]
    )
    lines = []
    for shown, each in commands:
        rest = [_argument(p) for p in each.params if isinstance(p, click.Argument)]
        options = " [\\fIoptions\\fR]" if _visible_options(each) else ""
        lines += [f"\\fB{roff.escape(shown)}\\fR{options} {' '.join(rest)}".rstrip(), ".br"]
    return lines[:-1]


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    if argument.metavar is None and isinstance(argument.type, click.Choice):
        name = "|".join(map(str, argument.type.choices))
    if argument.metavar is None and not argument.required:
        name = f"[{name}]"
    return f"\\fI{roff.escape(name)}\\fR"


def _visible_options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def _options(command: click.Command) -> list[str]:
    lines: list[str] = []
    for option in _visible_options(command):
        names = ", ".join(f"\\fB{roff.escape(name)}\\fR" for name in option.opts)
        value = "" if option.is_flag else f" \\fI{roff.escape(_value(option))}\\fR"
        default = f" Default: {option.default}." if option.show_default else ""
        lines += roff.term(names + value, (option.help or "") + default)
    return lines + roff.term("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show the options.")


def _value(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    kind = option.type.name.partition(" ")[0]
    return {"text": "TEXT", "integer": "N", "float": "NUMBER"}.get(kind, kind.upper())


def _related(name: str) -> list[str]:
    group = next((names for names in GROUPS.values() if name in names), ())
    others = [f"**git-exp-{other}**(1)" for other in group if other != name]
    return ["**git-exp**(1)", *others]


def _commands() -> list[str]:
    lines: list[str] = []
    for title, names in GROUPS.items():
        lines.append(f'.SS "{roff.escape(title.capitalize())}"')
        for name in names:
            page = f"\\fB{roff.escape(f'git-exp-{name}')}\\fR(1)"
            summary = COMMANDS[name]
            lines += roff.term(page, summary[:1].upper() + summary[1:] + ".")
    return lines


def _settings() -> list[str]:
    lines: list[str] = []
    for option in OPTIONS:
        name = roff.line(f"`{option.git_spelling}`, `{option.variable}`")
        lines += roff.term(name, f"{option.meaning[:1].upper()}{option.meaning[1:]}.")
    return lines
