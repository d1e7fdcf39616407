"""Write anew what the documents show, after a change of wording: `python -m tests.docs.refresh`.

Generated tables and the manual are made anew. Where output of a document no longer agrees, all
output of that document is replaced by what its commands print now, so that ids and names agree with
each other; output with a `...` stays, and is reported when it does not agree. Look at the
difference before you commit it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs import generated
from tests.docs.reading import DOCUMENTS, ROOT, Typed, agrees, normal, play, session

SEALED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


def refresh(document: Path, folder: Path) -> list[str]:
    """Rewrite one document. Returns what is left to do by hand."""
    lines = generated.regenerated(document.read_text()).splitlines()
    left = []
    replaced: list[tuple[Typed, list[str]]] = []
    is_stale = False
    for typed, exit_code, output in play(session("\n".join(lines) + "\n"), folder):
        here = f"{document.relative_to(ROOT)}:{typed.line}: {typed.command}"
        if exit_code != typed.exit_code:
            left.append(f"{here}\n  ended with {exit_code} instead of {typed.exit_code}")
            continue
        found = output.rstrip().splitlines()
        same = agrees(_normal(typed.shown, folder), _normal(found, folder))
        if "..." in typed.shown and not same:
            left.append(f"{here}\n  " + "\n  ".join(found))
        elif typed.shown and "..." not in typed.shown:
            is_stale = is_stale or not same
            replaced.append((typed, found))
    for typed, found in reversed(replaced) if is_stale else ():
        start = typed.line + typed.command.count("\n")
        lines[start : start + len(typed.shown)] = [line.rstrip() for line in found]
    document.write_text("\n".join(lines) + "\n")
    return left


def _normal(lines: list[str], folder: Path) -> list[str]:
    return [normal(line, folder) for line in "\n".join(lines).rstrip().splitlines()]


def main() -> None:
    """Rewrite all documents, in an environment that nothing of the machine reaches."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITEXP_", "LC_")) or name in ("COLUMNS", "FORCE_COLOR"):
            del os.environ[name]
    os.environ.update(SEALED)
    generated.write()
    left = []
    for document in DOCUMENTS:
        if any(isinstance(act, Typed) for act in session(document.read_text())):
            with tempfile.TemporaryDirectory() as home:
                config = Path(home, "gitconfig")
                config.write_text("[init]\n\tdefaultBranch = main\n")
                os.environ.update(HOME=home, GIT_CONFIG_GLOBAL=str(config))
                left += refresh(document, Path(home, "work"))
    sys.stdout.write("\n".join(left) + "\n" if left else "")
    told = ["git", "--no-pager", "diff", "--stat", "--", "README.md", "docs"]
    subprocess.run(told, cwd=ROOT, check=False)


if __name__ == "__main__":
    main()
