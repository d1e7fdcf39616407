"""An attacker's remote: runs and code with an attack on every user who fetches them.

Executed code leaves a mark in the directory `marks`; escaped files appear beside it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Code,
    Command,
    Decision,
    FileState,
    Origin,
    Outcome,
    Run,
)
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import annotated, identity_of, sealed
from tests.conftest import MakeRepo, RepoBuilder

MALLORY = "Mallory <mallory@example.org>"
ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e\u2028\r\x08"
"""Text that sets the clipboard, clears the screen, colours it, reverses text, breaks lines."""

NOTHING = FileState(sha256="0" * 64, bytes=1)
HARMLESS = Command(argv=("python", "-c", "print('METRIC a=1')"))


def build(make_repo: MakeRepo, marks: Path) -> RepoBuilder:
    """Create a bare remote with a harmless `main` and hostile other branches and runs."""
    hub = make_repo("hostile.git", bare=True)
    work = make_repo("hostile")
    work.git("remote", "add", "origin", str(hub.path))
    work.git("push", "--quiet", "origin", "main")
    work.branch("hostile")
    mark = f"#!/bin/sh\ntouch '{marks}'/$(basename \"$0\")\n"
    for hook in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction"):
        work.write(f".githooks/{hook}", mark).chmod(0o755)
    work.write(".gitmodules", f'[submodule "s"]\n\tpath = s\n\turl = ext::touch% {marks}/url\n')
    work.write(".gitattributes", "*.py filter=evil diff=evil merge=evil\n")
    work.write("gitexp.toml", f"evaluate = \"touch '{marks}/evaluate'\"\n")
    work.write("sitecustomize.py", f"open({str(marks / 'sitecustomize')!r}, 'w')\n")
    work.git("add", "--all")
    work.git("update-index", "--add", "--cacheinfo", f"160000,{work.head},s")
    work.git("commit", "--quiet", "--message", f"subject {ESCAPES}")
    work.git("update-ref", "refs/heads/--output=made", "HEAD")
    work.git("tag", "--", "v1", "HEAD")
    store = RunBranch(Repo.discover(work.path), "gitexp", durable=False)
    for run in runs(work, marks):
        note = Annotation(
            id=f"{run.id[:8]}{'0' * 8}",
            run=run.id,
            kind=AnnotationKind.DECISION,
            clock=run.clock,
            time=run.started,
            author=f"{ESCAPES} <m@example.org>",
            decision=Decision.KEEP,
            text=ESCAPES,
            hint=ESCAPES,
        )
        events = [sealed(run, [{"step": 1, "a": 1.0}], f"run {run.id[:7]}")]
        who = identity_of(MALLORY)
        with store.transaction(who, run.started) as transaction:
            transaction.add(*events, annotated(run, note, "decided"))
    work.git("push", "--quiet", "--no-verify", "origin", "--all")
    return hub


def runs(work: RepoBuilder, marks: Path) -> Iterator[Run]:
    """Create one run for each attack."""
    tree = ObjectId(work.git("rev-parse", "HEAD^{tree}"))
    code = Code(
        commit=ObjectId(work.head),
        tree=tree,
        branch=ESCAPES,
        remote=f"ext::sh -c touch% {marks}/remote",
        left_out=(ESCAPES,),
    )
    command = Command(argv=("touch", f"{marks}/command", ESCAPES))
    tricks: dict[str, dict[str, Any]] = {
        "the command": {"command": command},
        f"the text {ESCAPES}": {
            "command": command,
            "reason": ESCAPES,
            "tags": (ESCAPES,),
            "params": {"p": ESCAPES},
            "metrics": {"a": 1.0, "text": ESCAPES},
            "environment": {"python": ESCAPES, "host": ESCAPES},
            "output_tail": ESCAPES,
            "warnings": (ESCAPES,),
            "produced": (ESCAPES,),
            "inputs": {ESCAPES: NOTHING},
            "source": ESCAPES,
        },
        "--output=made": {"command": replace(HARMLESS, argv=("--output=made",))},
        "-x": {"command": replace(HARMLESS, directory="../../outside")},
        "up": {"command": replace(HARMLESS, metrics_files=("../../metrics.json",))},
        "absolute": {"command": replace(HARMLESS, directory=str(marks))},
        "data": {"command": HARMLESS, "inputs": {"../../data": NOTHING}},
        "result": {"command": HARMLESS, "outputs": {"../../result": NOTHING}},
        "git": {"command": replace(HARMLESS, directory=".git/hooks")},
    }
    for number, (name, fields) in enumerate(tricks.items(), 1):
        yield Run(
            id=RunId(f"{number:016x}"[::-1]),
            name=name,
            outcome=Outcome.SUCCEEDED,
            clock=number,
            started=clock.now(),
            author=f"{ESCAPES} <m@example.org>",
            origin=Origin.RUN,
            code=code,
            **{"metrics": {"a": 1.0}, **fields},
        )
