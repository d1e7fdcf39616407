"""`git exp report --publish`: say what becomes public, ask, and replace the branch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from gitexp.cli.output.terminal import say
from gitexp.cli.params.confirm import confirm
from gitexp.cli.params.options import Command, dry_run_option, yes_option
from gitexp.core.errors import InvalidInput
from gitexp.core.render.text import clean
from gitexp.features.report import publish
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Publishing:
    """Where the page is to be published, and how."""

    remote: str | None
    """`None` for the remote that git pushes to."""
    branch: str
    directory: str
    force: bool
    yes: bool
    dry_run: bool


def publishing_options(command: Command) -> Command:
    """Add the options of `--publish` to a command, whose parameter for them is `publishing`."""
    options: tuple[Callable[[Any], Any], ...] = (
        click.option(
            "--publish",
            "remote",
            is_flag=False,
            flag_value="",
            metavar="[REMOTE]",
            help="Put the page on a branch of a remote, as a web site; it says what and asks.",
        ),
        click.option(
            "--branch",
            metavar="NAME",
            help=f"With --publish: the branch, which is replaced [default: {publish.BRANCH}].",
        ),
        click.option("--directory", metavar="DIR", help="With --publish: where, in the branch."),
        click.option(
            "--force", is_flag=True, help="Also replace a branch that gitexp did not make."
        ),
        dry_run_option,
        yes_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_publishing(
    remote: str | None,
    branch: str | None,
    directory: str | None,
    *,
    force: bool,
    yes: bool,
    dry_run: bool,
) -> Publishing | None:
    """Return what the options say, `None` without `--publish`. Raises `InvalidInput`."""
    if remote is None:
        named = {"--branch": branch, "--directory": directory, "--force": force}
        named |= {"--yes": yes, "--dry-run": dry_run}
        for name, value in named.items():
            if value:
                raise InvalidInput(f"{name} goes with --publish")
        return None
    return Publishing(
        remote or None, branch or publish.BRANCH, directory or "", force, yes, dry_run
    )


def look(workspace: Workspace, asked: Publishing) -> publish.Place:
    """Look at the remote's branch, before the page is made. Raises what `publish.look_at` does."""
    return publish.look_at(
        workspace,
        asked.remote,
        branch=asked.branch,
        directory=asked.directory,
        force=asked.force,
    )


def publish_page(
    workspace: Workspace,
    place: publish.Place,
    asked: Publishing,
    page: bytes,
    payload: Mapping[str, Any],
    *,
    anonymous: bool,
) -> None:
    """Say what becomes public and where, ask, and push.

    Raises `Refused` without a terminal and `--yes`, `click.Abort` when the answer is no.
    """
    urls = ", ".join(map(clean, place.remote.shown_urls))
    say(f"THIS BECOMES PUBLIC on branch '{place.branch}' of '{place.remote.name}' ({urls}):")
    facts = publish.publication_lines(
        payload, len(page), anonymous=anonymous, code=workspace.settings.push_code
    )
    for line in facts:
        say(f"  {line}")
    say("everyone who can read that repository can read it, and a web site is often open to all")
    say(_replaced(place))
    if asked.dry_run:
        return
    confirm("Publish it?", yes=asked.yes)
    publish.publish(workspace, place, page, anonymous=anonymous)
    say(f"published to branch '{place.branch}' of '{place.remote.name}'")
    if place.tip is None:
        say("turn on Pages for that branch once, in the settings of the repository on its forge")


def _replaced(place: publish.Place) -> str:
    if place.tip is None:
        return "the branch is new there"
    if place.is_ours:
        return f"it replaces the page that is there ({place.tip[:7]})"
    return f"it replaces a branch ({place.tip[:7]}) that gitexp did not make, for good"
