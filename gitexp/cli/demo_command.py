"""`git exp demo`: demonstrate the commands on real data, in a new repository."""

import shlex
import shutil
import sys
from pathlib import Path

import click

from gitexp.adapters.system import clock
from gitexp.cli.demo.stage import Stage
from gitexp.cli.demo.story import AFTERWARDS, SCENES, Line
from gitexp.cli.output.terminal import answer, wants_colour
from gitexp.core.errors import ExitCode
from gitexp.core.render.colour import style
from gitexp.core.render.text import clean, format_duration


@click.command("demo")
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[PATH]")
def command(path: Path | None) -> int:
    """Show the whole loop on real data

    Creates a repository in a temporary folder, or in PATH, trains classifiers of handwritten digits
    in it, and judges, decides, refuses and reproduces runs. The commands are real, and are shown as
    you would type them. Nothing outside the folder changes; it stays for your own tries.

    \b
    git exp demo
    git exp demo ~/digits
    """
    started_s = clock.monotonic_s()
    stage = Stage.build(path)
    colour = wants_colour()
    for number, scene in enumerate(SCENES, 1):
        heading = f"{number}/{len(SCENES)}  {scene.sentence}."
        answer("\n" + style(heading, "heading", enabled=colour) + "\n")
        stage.prepare(scene)
        for line in scene.lines:
            answer(style(f"$ {typed(line)}", "id", enabled=colour))
            stage.play(line)
            if line.exit_code:
                answer(style(f"(exit code {line.exit_code})", "quiet", enabled=colour))
    took = format_duration(clock.monotonic_s() - started_s)
    answer(f"\nAll {len(SCENES)} steps did what they should, in {took}. Go on from here:\n")
    for text in (*way_in(stage), *AFTERWARDS):
        answer(f"  {clean(text)}")
    return ExitCode.DONE


def way_in(stage: Stage) -> list[str]:
    """Return the commands to type before `git exp` works in the demonstration's repository."""
    lines = [f"cd {shlex.quote(str(stage.directory))}"]
    if shutil.which("git-exp") is None:
        lines.append(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH")
    return lines


_NEEDS_QUOTES = frozenset(" ?*|&;<>()#'")


def typed(line: Line) -> str:
    """Return a command as a user types it into a shell."""
    return clean(
        " ".join(f'"{word}"' if _NEEDS_QUOTES.intersection(word) else word for word in line.argv)
    )
