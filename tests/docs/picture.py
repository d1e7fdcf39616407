"""Draw docs/first-runs.svg, the picture of the README: `python -m tests.docs.picture`.

Runs the session of the README and then the commands below, and draws their output unchanged.
"""

import html
import os
import tempfile
from pathlib import Path

from tests.docs.reading import ROOT, Typed, play, session

PICTURE = ROOT / "docs" / "first-runs.svg"
COMMANDS = (
    'git exp run -q -m "smaller steps" -- python train.py --lr 0.1',
    "git exp list --only-changed",
    "git exp reproduce best:loss",
    "git log --oneline gitexp | head -4",
)
CHARACTER, LINE, MARGIN = 8.4, 20, 16
"""Width of a character, height of a line and margin in pixels, at a font size of 14."""
WIDEST = 84
"""Columns; no line of the output is wider."""


def play_commands(folder: Path) -> list[tuple[str, str]]:
    """Return each command of the picture with its output."""
    acts = session((ROOT / "README.md").read_text())
    acts += [Typed(0, command, 0) for command in COMMANDS]
    done = play(acts, folder)[-len(COMMANDS) :]
    assert all(exit_code == 0 for _, exit_code, _ in done), done
    return [(typed.command, output) for typed, _, output in done]


def lines_of(played: list[tuple[str, str]]) -> list[str]:
    """Return the lines of the terminal."""
    return [
        line.rstrip()
        for command, output in played
        for line in (f"$ {command}", *output.rstrip().splitlines())
    ]


def draw(lines: list[str]) -> str:
    """Return the lines as an SVG image of a terminal, commands in bold."""
    width = round(WIDEST * CHARACTER + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="ui-monospace, Menlo, Consolas, '
        'DejaVu Sans Mono, monospace" font-size="14">',
        "<title>Four commands of git exp with their output</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#1b1f24"/>',
    ]
    for number, line in enumerate(lines):
        style = 'fill="#ffffff" font-weight="bold"' if line.startswith("$ ") else 'fill="#c9d1d9"'
        y = MARGIN + LINE * number + 14
        text = html.escape(line, quote=False)
        drawn.append(f'<text x="{MARGIN}" y="{y}" {style} xml:space="preserve">{text}</text>')
    return "\n".join([*drawn, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITEXP_"))]:
        del os.environ[name]
    os.environ |= {"GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC", "COLUMNS": "84"}
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "GIT_CONFIG_GLOBAL": os.devnull}
        PICTURE.write_text(draw(lines_of(play_commands(Path(home, "work")))), encoding="utf-8")


if __name__ == "__main__":
    main()
