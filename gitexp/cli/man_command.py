"""`git exp man`: show or install the manual, for installers that did not link its pages."""

import os
import sys
from pathlib import Path

import click

from gitexp.cli.app import COMMANDS, context_of
from gitexp.cli.output.terminal import answer, say
from gitexp.core.errors import GitexpError, NotFound


@click.command("man")
@click.option("--install", is_flag=True, help="Put all pages where `man` and `git help` find them.")
@click.option("--directory", metavar="DIR", help="Put them there instead: DIR/git-exp.1 …")
@click.argument("page", metavar="[COMMAND]", required=False)
def command(install: bool, directory: str | None, page: str | None) -> None:
    """Show the manual, or install its pages

    After `--install`, `git help exp`, `git exp --help` and `git help exp-run` open the manual. Some
    installers, such as `pip` and `pipx`, have done that already; `uv tool` has not. If standard
    output is no terminal, prints the source of the page.

    \b
    git exp man run
    git exp man --install
    """
    if install or directory:
        _install(Path(directory).expanduser() if directory else _home())
    else:
        _show(_named(page))


def _named(page: str | None) -> str:
    wanted = (page or "").removeprefix("git-").removeprefix("exp").removeprefix("-")
    if wanted and wanted not in COMMANDS:
        import difflib

        raise NotFound(
            f"there is no page '{page}'",
            near=difflib.get_close_matches(wanted, COMMANDS, n=1),
            hints=["`git exp man` shows the overview"],
        )
    return wanted


def _show(name: str) -> None:
    from gitexp.cli.manual.pages import command_page, overview

    text = command_page(name) if name else overview()
    if not sys.stdout.isatty():
        answer(text.rstrip("\n"))
        return
    from gitexp.adapters.system.command import open_reader, which

    found = which("man", Path.cwd(), os.environ)
    reader = open_reader([str(found), "-l", "-"], os.environ) if found else None
    if reader is not None:
        reader.communicate(text.encode())
    if reader is None or reader.returncode != 0:
        answer(context_of(*filter(None, [name])).get_help())


def _home() -> Path:
    shared = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(shared).expanduser() / "man" / "man1"


def _install(folder: Path) -> None:
    from gitexp.cli.manual.pages import write

    try:
        written = write(folder)
    except OSError as error:
        raise GitexpError(
            f"cannot write into '{folder}'",
            why=error.strerror,
            hints=["`--directory DIR` puts the pages somewhere else"],
        ) from error
    answer(f"the manual is in {folder}, {len(written)} files")
    say("next: `git help exp` shows the first; if not, add to MANPATH: " + str(folder.parent))
