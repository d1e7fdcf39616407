"""`git exp complete`: the hidden command that the completion scripts of the shells call.

It prints one word a line, followed by a tab and its meaning if the shell shows meanings.
"""

import click


@click.command("complete", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.argument("typed", nargs=-1, type=click.UNPROCESSED)
def command(shell: str, typed: tuple[str, ...]) -> None:
    """Say what may come next on a command line"""
    from gitexp.cli.completion.suggest import FILES, suggest  # imports all commands

    for word in suggest(typed):
        meaning = " ".join(word.meaning.split())
        special = word.text.startswith(":") or word.text == FILES
        text = word.text if word.text.isprintable() else ""
        if text:
            click.echo(f"{text}\t{meaning}" if special or shell != "bash" else text)
