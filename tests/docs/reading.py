"""Reading the documents: their commands with what they show, run as one shell session.

A block marked `console` holds commands after `$ ` and, below each, what it prints. A comment at the
end of a command, `# exit 1`, says how it ends; without one it ends with 0. Nothing below a command
says nothing about its output; a line `...` stands for any lines. A block of another language whose
first line is a comment with a file name is that file, written at that point of the session.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitexp.core.model.run_names import ADJECTIVES, NOUNS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", *(p for p in (ROOT / "docs").glob("*.md") if p.name != "performance.md")]
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?:#|//) ([\w./-]+\.\w+)$")
EXIT_CODE = re.compile(r"# exit (\d+)$")
MARK = "\x01"
READER = {
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}
"""Name of the user in the documents."""


@dataclass
class Typed:
    """Command of a document, with its expected output and exit code."""

    line: int
    command: str
    exit_code: int
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Written:
    """File that a document tells the reader to write."""

    path: str
    text: str


def blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, language and content of every fenced block."""
    for found in FENCE.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1], found[2]


def session(text: str) -> list[Typed | Written]:
    """Return the steps of a document's reader, in order."""
    acts: list[Typed | Written] = []
    for start, language, content in blocks(text):
        lines = content.splitlines()
        if language == "console":
            for number, line in enumerate(lines, start + 1):
                if line.startswith("$ "):
                    code = EXIT_CODE.search(line)
                    acts.append(Typed(number, line[2:], int(code[1]) if code else 0))
                elif line.startswith("> ") and isinstance(acts[-1], Typed):
                    acts[-1].command += "\n" + line[2:]
                elif isinstance(acts[-1], Typed):
                    acts[-1].shown.append(line)
        elif lines and (name := FILE_NAME.match(lines[0])):
            acts.append(Written(name[1], content))
    return acts


def play(acts: list[Typed | Written], folder: Path) -> list[tuple[Typed, int, str]]:
    """Run all steps in one shell, from an empty directory. Return command, exit code and output."""
    script = ["exec 2>&1"]
    for act in acts:
        if isinstance(act, Written):
            script += [f"cat > {act.path} <<'END-OF-FILE'", act.text.rstrip("\n"), "END-OF-FILE"]
        else:
            script += [act.command, f"printf '{MARK}%s{MARK}' $?"]
    folder.mkdir(parents=True, exist_ok=True)
    binaries = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            **READER,
            "PATH": os.pathsep.join([binaries, os.environ["PATH"]]),
            "PAGER": "cat",
        },
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split(MARK)
    typed = [act for act in acts if isinstance(act, Typed)]
    assert len(parts) == 2 * len(typed) + 1, f"the shell ended early: {parts[-1]}"
    return [(act, int(parts[2 * n + 1]), parts[2 * n]) for n, act in enumerate(typed)]


_NAME = re.compile(rf"\b(?:{'|'.join(ADJECTIVES)})-(?:{'|'.join(NOUNS)})\b")
_VOLATILE = (
    (
        re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?: UTC|Z|[+]\d\d:?\d\d)?"),
        "DATE",
    ),
    (re.compile(r"\w{3} \w{3} \d+ \d\d:\d\d:\d\d \d{4} [+-]\d{4}"), "DATE"),
    (re.compile(r"\b\d{4}-\d\d/[0-9a-f]{2}/"), "MONTH/XX/"),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "ID"),
    (re.compile(r"\b(?:\d+ (?:second|minute)s? ago|just now)"), "AGE"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min)\b"), "TIME"),
    (re.compile(r"\b3\.\d+\.\d+\b"), "VERSION"),
    (re.compile(r"\bclock = \d+"), "clock = N"),
    (re.compile(r"(?<=duration_s = )[\d.e-]+"), "TIME"),
    (re.compile(r"[─-]{2,}"), "--"),
    (re.compile(r"\s+"), " "),
)


def normal(line: str, folder: Path) -> str:
    """Return the line without parts that differ between days and machines."""
    line = _NAME.sub("NAME", line.replace(str(folder), "FOLDER"))
    for pattern, word in _VOLATILE:
        line = pattern.sub(word, line)
    return line.strip()


def agrees(shown: list[str], output: list[str]) -> bool:
    """Return whether the output is the expected one; `...` represents any number of lines."""
    if not shown:
        return not output
    head, *rest = shown
    if head == "...":
        return any(agrees(rest, output[n:]) for n in range(len(output) + 1))
    return bool(output) and output[0] == head and agrees(rest, output[1:])


def missing(shown: list[str], output: list[str]) -> str:
    """Return the first expected line that the output lacks, for the message of a failed test."""
    for line in shown:
        if line != "..." and line not in output:
            return f"the document shows '{line}'"
    return "the lines are in another order, or there are more of them"
