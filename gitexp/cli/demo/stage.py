"""Run the commands of the demonstration in a new repository.

The commands see no `GIT_*` or `GITEXP_*` variables, no git configuration of the user or the
machine, and no pager. This module prints nothing; the commands print their own output.
"""

import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from gitexp.adapters.system.command import run_command
from gitexp.cli.demo.story import PYTHON, Line, Scene
from gitexp.core.errors import GitexpError, InvalidInput

SCRIPT = "train.py"

_LEFT_ALONE = ("GIT_EXEC_PATH",)
"""Variables to keep: they describe the git program, not a repository."""

_COLOURS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Stage:
    """The directory of the demonstration and the environment of its commands."""

    directory: Path
    env: Mapping[str, str]

    @classmethod
    def build(cls, directory: Path | None) -> "Stage":
        """Create the directory with the script in it.

        `None` creates a temporary directory. Raises `InvalidInput` if the directory is not empty,
        `GitexpError` if scikit-learn is missing.
        """
        from importlib.util import find_spec

        if find_spec("sklearn") is None:
            raise GitexpError(
                "cannot show the demonstration",
                why="it learns on the digits that come with scikit-learn, which is not installed",
                hints=["`pip install 'gitexp[demo]'`"],
            )
        directory = _make_folder(directory)
        script = files("gitexp.cli.demo").joinpath(SCRIPT).read_bytes()
        (directory / SCRIPT).write_bytes(script)
        return cls(directory, _environment())

    def prepare(self, scene: Scene) -> None:
        """Edit the script as the scene says, before its commands."""
        if scene.edit is not None:
            script = self.directory / SCRIPT
            old, new = scene.edit
            script.write_text(script.read_text().replace(old, new))

    def play(self, line: Line) -> None:
        """Run a command and pass its output on to standard output at once.

        Raises `GitexpError` if the exit code or the output is not the expected one.
        """
        output: list[bytes] = []
        done = run_command(
            _real(line.argv),
            directory=self.directory,
            env=self.env,
            on_output=lambda chunk, _stream: output.append(chunk),
            stderr=1,
        )
        text = _COLOURS.sub(b"", b"".join(output)).decode(errors="replace")
        missing = [says for says in line.says if not re.search(says, text, re.MULTILINE)]
        why = None
        if done.exit_code != line.exit_code:
            why = f"it ended with exit code {done.exit_code} instead of {line.exit_code}"
        elif missing:
            why = f"its output has nothing like '{missing[0]}'"
        if why is not None:
            raise GitexpError(
                f"`{' '.join(line.argv[:3])}` did not do what the demonstration promises",
                why=why,
                hints=[f"the repository is left unchanged: '{self.directory}'"],
            )
        if line.argv[:2] == ("git", "init"):
            self._introduce()

    def _introduce(self) -> None:
        """Configure a name and an address for commits, so that the user can use the repository."""
        for key, value in {
            "user.name": "Demo",
            "user.email": "demo@example.org",
            "commit.gpgSign": "false",
        }.items():
            run_command(["git", "config", key, value], directory=self.directory, env=self.env)


def _make_folder(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="gitexp-demo-"))
    directory = directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        in_use = any(directory.iterdir())
    except OSError as error:
        raise InvalidInput(f"cannot use '{directory}'", why=error.strerror) from error
    if in_use:
        raise InvalidInput(
            f"cannot use '{directory}'",
            why="it is not empty",
            hints=["name a folder that does not exist yet, or none at all"],
        )
    return directory


def _environment() -> dict[str, str]:
    """Return the environment of the commands; the directory of this Python is first on PATH."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name in _LEFT_ALONE or not name.startswith(("GIT_", "GITEXP_"))
    }
    binaries = Path(sys.executable).parent
    return {
        **env,
        "PATH": os.pathsep.join([str(binaries), env.get("PATH", os.defpath)]),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
    }


def _real(argv: Sequence[str]) -> list[str]:
    """Return the arguments to run: `git exp` and `python` become this gitexp and this Python."""
    python = Path(sys.executable)
    words = [*argv]
    if words[:2] == ["git", "exp"]:
        words[:2] = [str(python), "-m", "gitexp"]
    if PYTHON in words and not (python.parent / PYTHON).exists():
        words[words.index(PYTHON)] = python.name
    return words
