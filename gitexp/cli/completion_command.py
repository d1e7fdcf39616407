"""`git exp completion`: print or install the completion script of a shell."""

import os
from pathlib import Path

import click

from gitexp.cli.output.terminal import answer, say
from gitexp.core.errors import GitexpError

SCRIPTS = {"bash": "git-exp.bash", "zsh": "_git-exp", "fish": "git-exp.fish"}


@click.command("completion")
@click.option("--install", is_flag=True, help="Write it where the shell looks for it.")
@click.argument("shell", type=click.Choice(list(SCRIPTS)), required=False)
def command(install: bool, shell: str | None) -> None:
    """Print or install completion for bash, zsh or fish

    Completes `git exp` and `git-exp`: commands, options, runs, metrics, parameters and tags.
    Without an argument: for the current shell. Installers that give gitexp its own prefix have
    already put the scripts below its `share` folder.

    \b
    git exp completion bash
    git exp completion zsh --install
    """
    shell = shell or _own_shell()
    text = script(shell)
    if not install:
        answer(text.rstrip("\n"))
        return
    path = _home(shell)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GitexpError(f"cannot write '{path}'", why=error.strerror) from error
    answer(str(path))
    say(_next(shell, path))


def script(shell: str) -> str:
    """Return the completion script of a shell."""
    folder = Path(__file__).parent / "completion"
    return (folder / SCRIPTS[shell]).read_text(encoding="utf-8")


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SCRIPTS:
        raise GitexpError(
            "cannot tell which shell you use",
            why=f"SHELL is '{name}'" if name else "SHELL is not set",
            hints=["name it: `git exp completion bash`, `zsh` or `fish`"],
        )
    return name


def _home(shell: str) -> Path:
    shared = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    if shell == "bash":
        own = os.environ.get("BASH_COMPLETION_USER_DIR")
        folder = Path(own).expanduser() if own else shared / "bash-completion"
        return folder / "completions" / "git-exp"
    if shell == "zsh":
        return shared / "zsh" / "site-functions" / SCRIPTS["zsh"]
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return config / "fish" / "completions" / SCRIPTS["fish"]


def _next(shell: str, path: Path) -> str:
    if shell == "bash":
        return "next: open a new shell; it needs the package bash-completion"
    if shell == "zsh":
        return (
            f"next: put `fpath=({path.parent} $fpath)` before `compinit` in ~/.zshrc, and open a "
            "new shell"
        )
    return (
        "next: open a new shell; before fish 3.6.1 put `git exp completion fish | source` "
        "into config.fish"
    )
