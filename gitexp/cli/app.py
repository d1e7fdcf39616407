"""The root command, the list of commands, and the entry point.

Each command is a module that is imported when the command is called. A short command therefore does
not wait for the imports of the others.
"""

import atexit
import gc
import importlib
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import click

from gitexp.cli.output.errors import SafeStream, report
from gitexp.core.errors import ExitCode

COMMANDS: Mapping[str, str] = {
    "init": "get this repository ready",
    "run": "record parameters, run a command, record its results",
    "sweep": "run a command with many values of its parameters",
    "record": "record a run that was made elsewhere",
    "import": "import runs of other trackers",
    "start": "begin a run by hand",
    "note": "say something about a run",
    "finish": "end a run begun by hand",
    "log": "tell the history of the runs",
    "list": "show the runs as a table",
    "show": "show a run in full",
    "compare": "say which run is better",
    "diff": "show what changed between two runs, causes beside effects",
    "noise": "show how much each metric varies between equal runs",
    "best": "show the best runs by a metric",
    "brief": "say where the search stands, and what to try next",
    "plot": "draw metrics in the terminal",
    "report": "show the search as one page, or as a comment",
    "ui": "show the search as a live page",
    "decide": "say what to do with a run, and why",
    "tag": "add or remove tags of a run",
    "tried": "ask whether a trial was tried before",
    "reproduce": "run a recorded run again and judge the result",
    "apply": "put a run's code into the work tree",
    "branch": "make a branch of a run's code",
    "push": "send the runs to a remote",
    "fetch": "bring a remote's runs here",
    "sync": "fetch and push in one go",
    "export": "write runs out for other tools",
    "hooks": "install, inspect or remove the pre-push hook",
    "doctor": "check everything gitexp keeps and say how to fix it",
    "recover": "complete the records of runs that were killed",
    "remove": "take runs off the branch, for good and everywhere",
    "gc": "tidy gitexp's local state",
    "purge": "take records or code out of both branches for good",
    "upgrade": "change the branches to the newest format",
    "config": "list the settings with where they come from",
    "demo": "show the whole loop on real data in a temporary repository",
    "man": "show the manual or install its pages",
    "completion": "print or install completion for bash, zsh or fish",
}
ALIASES: Mapping[str, str] = {"ls": "list", "rm": "remove"}
HIDDEN: Mapping[str, str] = {
    "help": "show the help of a command",
    "hook": "what the installed hooks call",
    "complete": "what the shells' completion calls",
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "record": ("run", "sweep", "record", "start", "note", "finish", "import"),
    "look": ("list", "log", "show", "best", "brief", "plot", "report", "ui"),
    "compare and decide": ("compare", "diff", "noise", "decide", "tag", "tried"),
    "go back": ("reproduce", "apply", "branch"),
    "share": ("push", "fetch", "sync", "export", "hooks"),
    "look after": ("init", "config", "doctor", "recover", "remove", "purge", "gc", "upgrade"),
    "learn": ("demo", "man", "completion"),
}

DAILY = ("run", "list", "compare", "decide", "tried", "reproduce")
"""The commands that `git exp -h` explains. It only lists the names of the others."""


class Commands(click.Group):
    """A click group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all visible commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module of a command. Return `None` for an unknown name."""
        name = ALIASES.get(name, name)
        if name not in COMMANDS and name not in HIDDEN:
            return None
        module = importlib.import_module(f"gitexp.cli.{name}_command")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - our own files
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises `click.UsageError` with a similar name for an unknown one."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise click.UsageError(f"there is no command '{name}'{_meant(name)}", ctx)
        found, command, rest = super().resolve_command(ctx, args)
        return (command.name if command else found), command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A closed pipe is reported here, since click would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            return report(error)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of `git exp -h`, which fits a screen of 24 lines by 80 columns."""
        formatter.write_usage("git exp", "[--no-pager] [--version] COMMAND [ARGS]...")
        formatter.write_paragraph()
        formatter.write_text(self.help or "")
        with formatter.section("Every day"):
            formatter.write_dl([(name, COMMANDS[name]) for name in DAILY])
        with formatter.section("All commands"):
            formatter.write_dl([(title, ", ".join(names)) for title, names in GROUPS.items()])
        formatter.write_paragraph()
        formatter.write(
            "`git exp COMMAND -h` explains a command, `git exp help` says what each does.\n"
        )


def list_all_commands() -> str:
    """Return one line for each command, by group, for `git exp help`."""
    formatter = click.HelpFormatter(max_width=100)
    for title, names in GROUPS.items():
        with formatter.section(title.capitalize()):
            formatter.write_dl([(name, COMMANDS[name]) for name in names])
    return formatter.getvalue().strip("\n")


def _meant(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Commands, context_settings=CONTEXT, invoke_without_command=True)
@click.option("--no-pager", is_flag=True, help="Print long answers, do not page them.")
@click.version_option(package_name="gitexp", message="git-exp %(version)s")
@click.pass_context
def root(ctx: click.Context, no_pager: bool) -> None:
    """Record experiments: `git exp run -- python train.py`, then `git exp list`."""
    ctx.color = True  # `terminal` decides about colour; click must not remove any
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def context_of(*words: str) -> click.Context:
    """Return the click context of a command without running it, for the help of `git exp WORDS -h`.

    Raises `KeyError` if there is no such command.
    """
    context = click.Context(root, info_name="git exp", **root.context_settings)
    for word in words:
        group = context.command
        found = group.get_command(context, word) if isinstance(group, click.Group) else None
        if found is None:
            raise KeyError(word)
        context = click.Context(found, context, word, **found.context_settings)
    return context


def main(args: Iterable[str] | None = None) -> None:
    """Run a command and end the process with its exit code. The entry point of the console script.

    Garbage collection is rare and the interpreter's shutdown is skipped. A short command needs
    neither, and together they are a fifth of its time.
    """
    gc.set_threshold(100_000, 50, 50)
    unfailing: Any = SafeStream(sys.stderr or open(os.devnull, "w"))  # noqa: PTH123, SIM115
    sys.stderr = unfailing
    code = run(args)
    if "coverage" in sys.modules or threading.active_count() > 1:
        sys.exit(code)  # coverage, or another thread, needs the interpreter's shutdown
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the reader closed the pipe; `run` has reported it
    atexit._run_exitfuncs()
    os._exit(code)


def run(args: Iterable[str] | None = None) -> int:
    """Run a command and return its exit code. Errors are printed on standard error."""
    try:
        words = sys.argv[1:] if args is None else list(args)
        if any("\0" in word for word in words):
            raise click.UsageError("an argument holds a NUL character, as no process may be given")
        result = root.main(args=words, prog_name="git exp", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place that catches everything
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else ExitCode.FAILED
        return report(error)
    finally:
        paging = sys.modules.get("gitexp.cli.output.pager")
        if paging is not None:
            paging.end()
    return result if isinstance(result, int) else ExitCode.DONE
