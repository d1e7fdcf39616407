"""`git exp help`: the same as `-h`, for fingers that type `help`."""

import click


@click.command("help", hidden=True)
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command"""
    around = ctx.parent
    assert around is not None  # noqa: S101 - we are a command of the group
    if name is None:
        click.echo(around.get_help())
        return
    group = around.command
    assert isinstance(group, click.Group)  # noqa: S101 - see above
    _, found, _ = group.resolve_command(around, [name])
    if found is not None:
        click.echo(found.get_help(click.Context(found, info_name=name, parent=around)))
