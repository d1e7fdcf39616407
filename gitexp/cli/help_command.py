"""`git exp help`: list all commands. With a COMMAND, print the same as `COMMAND -h`."""

import click

from gitexp.cli.app import list_all_commands


@click.command("help", hidden=True)
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command"""
    around = ctx.parent
    assert around is not None  # noqa: S101 - we are a command of the group
    if name is None:
        click.echo(list_all_commands())
        return
    group = around.command
    assert isinstance(group, click.Group)  # noqa: S101 - see above
    _, found, _ = group.resolve_command(around, [name])
    if found is not None:
        click.echo(found.get_help(click.Context(found, info_name=name, parent=around)))
