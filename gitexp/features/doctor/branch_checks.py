"""Checks of the run branch: its format, its objects, its records and the links between them.

Each check yields its findings, or none if it finds no fault.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from gitexp.adapters.git.verify import read_whole
from gitexp.adapters.system import clock
from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.ids import RunId
from gitexp.core.render.text import counted
from gitexp.core.schema.layout import TOMBSTONE, PathKind, environment_path, parse_path, run_path
from gitexp.core.schema.root_files import ROOT_FILES
from gitexp.core.schema.series_csv import decode_series
from gitexp.core.schema.toml_codec import decode_table
from gitexp.features.doctor.findings import Finding, Fix, Level, listed
from gitexp.features.doctor.inventory import Inventory, files_of

OLDEST_GIT = (2, 31)
DURABLE_GIT = (2, 36)

_FUTURE = timedelta(days=1)
_LARGEST_CLOCK = 1 << 53
"""Largest plausible logical clock. Clocks count events, so no real repository comes near it."""


def git_version(inventory: Inventory) -> tuple[int, int] | None:
    """Return the major and minor version of git."""
    found = re.search(r"(\d+)\.(\d+)", inventory.workspace.repo.git("--version").text)
    return (int(found[1]), int(found[2])) if found else None


def check_git(inventory: Inventory) -> Iterator[Finding]:
    """Report a git that is too old, or that does not fsync what it writes."""
    version = git_version(inventory)
    if version is None:
        yield Finding(level=Level.UNKNOWN, text="git does not tell its version")
    elif version < OLDEST_GIT:
        yield Finding(
            level=Level.FAULT,
            text=f"git {version[0]}.{version[1]} is too old",
            hints=("update git to 2.36 or newer; 2.31 is the oldest that works",),
        )
    elif version < DURABLE_GIT and inventory.workspace.branch.durable:
        yield Finding(
            level=Level.WARNING,
            text=f"git {version[0]}.{version[1]} does not sync what it writes:"
            " a power cut may lose the newest records",
            hints=("update git to 2.36 or newer",),
        )


def check_branch(inventory: Inventory) -> Iterator[Finding]:
    """Report a branch that is damaged, not gitexp's, or of an unknown format."""
    run_branch = inventory.workspace.branch
    if inventory.refusal is not None:
        unknown = isinstance(inventory.refusal, UnreadableRecord)
        yield Finding(
            level=Level.UNKNOWN if unknown else Level.FAULT,
            text=f"{inventory.refusal.what}: {inventory.refusal.why}",
            hints=inventory.refusal.hints,
        )
    elif (
        inventory.tip is None
        and (inventory.workspace.repo.common_dir / run_branch.run_ref).exists()
    ):
        yield Finding(
            level=Level.FAULT,
            text=f"the ref of branch '{run_branch.name}' is damaged",
            hints=(
                f"`git reflog show {run_branch.run_ref}` tells where it was;"
                f" `git update-ref {run_branch.run_ref} COMMIT` puts it back",
            ),
        )
    elif "" in inventory.walk.damaged:
        yield Finding(
            level=Level.FAULT,
            text=f"the newest commit of branch '{run_branch.name}' is damaged or missing:"
            f" {inventory.tip}",
            hints=(
                "`git exp doctor --fix` looks for it on the remote",
                f"`git reflog show {run_branch.run_ref}` tells where the branch was before",
            ),
            items=(inventory.walk.damaged[""],),
            fix=Fix.FETCH_OBJECTS,
        )


def check_objects(inventory: Inventory) -> Iterator[Finding]:
    """Report objects of the branch and its history that git cannot read."""
    hints = (
        "`git exp doctor --fix` fetches them again from the remote",
        "another clone may have them: `git fetch --refetch PATH"
        " 'refs/heads/gitexp*:refs/gitexp/rescue/*'`",
    )
    if inventory.damaged:
        paths = sorted(path for paths in inventory.damaged.values() for path in paths)
        runs = _runs_at(inventory, paths)
        named = f"; damaged runs: {listed(map(inventory.name, runs))}" if runs else ""
        yield Finding(
            level=Level.FAULT,
            text=f"{counted(paths, 'file')} or folders of the branch cannot be read:"
            f" {listed(paths)}{named}",
            hints=hints,
            runs=tuple(runs),
            items=tuple(sorted(inventory.damaged)),
            fix=Fix.FETCH_OBJECTS,
        )
    if inventory.older_damaged:
        yield Finding(
            level=Level.FAULT,
            text=f"{counted(len(inventory.older_damaged), 'object')} of the branch's history cannot"
            " be read; the current records are complete",
            hints=hints,
            items=tuple(sorted(inventory.older_damaged)),
            fix=Fix.FETCH_OBJECTS,
        )


def _runs_at(inventory: Inventory, paths: list[str]) -> list[RunId]:
    """Return the runs that have files at the paths or below them."""
    found = {place.run for path in paths if (place := parse_path(path)) and place.run}
    folders = [path + "/" for path in paths if parse_path(path) is None]
    kinds = ("runs/", "series/", "output/", "annotations/")
    for facts in inventory.runs:
        inside = run_path(facts.id, facts.started).removeprefix("runs/")
        own = [kind + inside for kind in kinds]
        if any(path.startswith(folder) for folder in folders for path in own):
            found.add(facts.id)
    return sorted(found)


def check_records(inventory: Inventory) -> Iterator[Finding]:
    """Report records that do not parse, or whose path does not match their id and start."""
    lost = {path for paths in inventory.damaged.values() for path in paths}
    for path, why in inventory.broken:
        if path in lost:
            continue
        place = parse_path(path)
        run = place.run if place else None
        yield Finding(
            level=Level.FAULT,
            text=f"{path} cannot be understood: {why}",
            hints=(
                f"`git log -p {inventory.workspace.branch.name} -- {path}` tells who wrote it",
                *([f"`git exp remove {run}` takes it off the branch"] if run else []),
            ),
            runs=(run,) if run else (),
            items=(path,),
        )
    files = inventory.walk.files
    for facts in inventory.runs:
        expected = run_path(facts.id, facts.started)
        if expected not in files and files and not inventory.walk.damaged:
            yield Finding(
                level=Level.FAULT,
                text=f"the record of run {facts.title} does not lie at {expected},"
                " where its start says",
                hints=(f"`git exp remove {facts.id}` takes it off the branch",),
                runs=(facts.id,),
                items=(expected,),
            )


def check_identities(inventory: Inventory) -> Iterator[Finding]:
    """Report runs with more than one record."""
    places: dict[RunId, list[str]] = defaultdict(list)
    for path in files_of(inventory)[PathKind.RUN]:
        place = parse_path(path)
        if place is not None and place.run is not None and place.rival is None:
            places[place.run].append(path)
    for run, paths in places.items():
        if len(paths) > 1:
            yield Finding(
                level=Level.FAULT,
                text=f"run {inventory.name(run)} has {len(paths)} records: {listed(paths)}",
                hints=("keep the one that is right, and take the run off with `git exp remove`",),
                runs=(run,),
                items=tuple(paths),
            )


def check_annotations(inventory: Inventory) -> Iterator[Finding]:
    """Report annotations, series and output without a record in the same directory."""
    kinds = files_of(inventory)
    records, gone = set(), set()
    for path in kinds[PathKind.RUN]:
        place = parse_path(path)
        records.add(place and (place.run, place.folder))
    for path in kinds[PathKind.ANNOTATION]:
        place = parse_path(path)
        if place is not None and place.name == TOMBSTONE:
            gone.add(place.run)
    if inventory.walk.damaged:
        return
    nouns = {
        PathKind.ANNOTATION: "an annotation",
        PathKind.SERIES: "a metric series",
        PathKind.OUTPUT: "output",
    }
    for kind, noun in nouns.items():
        stray = []
        for path in kinds[kind]:
            place = parse_path(path)
            if place and place.run not in gone and (place.run, place.folder) not in records:
                stray.append(path)
        if stray:
            yield Finding(
                level=Level.FAULT,
                text=f"there is {noun} about runs that are not on the branch: {listed(stray)}",
                hints=("`git exp fetch` brings the runs if the remote has them",),
                items=tuple(stray),
            )


def check_series(inventory: Inventory) -> Iterator[Finding]:
    """Report metric series that do not parse."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, oid in files_of(inventory)[PathKind.SERIES].items():
        places[oid].append(path)
    for oid, content in read_whole(inventory.workspace.repo, places.keys() - inventory.promised):
        if content is None:
            continue  # `check_objects` reports it
        try:
            decode_series(content)
        except UnreadableRecord as error:
            for path in places[oid]:
                place = parse_path(path)
                yield Finding(
                    level=Level.FAULT,
                    text=f"{path} cannot be understood: {error.why}",
                    hints=(
                        f"`git log -p {inventory.workspace.branch.name} -- {path}` tells who"
                        " wrote it",
                    ),
                    runs=(place.run,) if place and place.run else (),
                    items=(path,),
                )


def check_tombstones(inventory: Inventory) -> Iterator[Finding]:
    """Report deleted runs that have files besides their tombstone."""
    gone, left = set(), defaultdict(list)
    for path in inventory.walk.files:
        place = parse_path(path)
        if place is None or place.run is None:
            continue
        if place.kind is PathKind.ANNOTATION and place.name == TOMBSTONE:
            gone.add(place.run)
        else:
            left[place.run].append(path)
    for run in sorted(gone & left.keys()):
        yield Finding(
            level=Level.FAULT,
            text=f"run {run[:7]} was deleted, and {counted(left[run], 'file')} of it are there"
            f" again: {listed(left[run])}",
            hints=(f"`git exp remove {run}` takes them off again",),
            runs=(run,),
            items=tuple(left[run]),
        )


def check_environments(inventory: Inventory) -> Iterator[Finding]:
    """Report package lists that are missing or do not parse."""
    if inventory.walk.damaged:
        return
    files = inventory.walk.files
    without = [
        f for f in inventory.runs if f.packages and environment_path(f.packages) not in files
    ]
    if without:
        yield Finding(
            level=Level.FAULT,
            text=f"the package list of {counted(without, 'run')} is not on the branch:"
            f" {listed(f.title for f in without)}",
            hints=("`git exp fetch` brings it if the remote has it",),
            runs=tuple(f.id for f in without),
        )
    places = {oid: path for path, oid in files_of(inventory)[PathKind.ENVIRONMENT].items()}
    for oid, content in read_whole(inventory.workspace.repo, places.keys() - inventory.promised):
        try:
            decode_table(content or b"")
        except UnreadableRecord as error:
            yield Finding(
                level=Level.FAULT,
                text=f"{places[oid]} cannot be understood: {error.why}",
                items=(places[oid],),
            )


def check_clock(inventory: Inventory) -> Iterator[Finding]:
    """Report runs with a start time or logical clock in the future."""
    limit = clock.now() + _FUTURE
    early = [facts for facts in inventory.runs if facts.started > limit]
    if early:
        latest = max(facts.started for facts in early)
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(early, 'run')} started in the future, at latest"
            f" {latest:%Y-%m-%d %H:%M} UTC: {listed(f.title for f in early)}",
            hints=("set the clock of this machine, or of the one that recorded them",),
            runs=tuple(facts.id for facts in early),
        )
    ahead = [facts for facts in inventory.runs if facts.clock > _LARGEST_CLOCK]
    if ahead:
        yield Finding(
            level=Level.WARNING,
            text=f"the logical clock of {counted(ahead, 'run')} is implausibly high:"
            f" {listed(f.title for f in ahead)}",
            hints=("if they are of no use to you: `git exp remove RUN`",),
            runs=tuple(facts.id for facts in ahead),
        )


def check_foreign_files(inventory: Inventory) -> Iterator[Finding]:
    """Report files on the branch that gitexp did not write."""
    ours = {path for path, _ in ROOT_FILES}
    foreign = sorted(p for p in inventory.walk.files if p not in ours and parse_path(p) is None)
    if foreign:
        branch = inventory.workspace.branch.name
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(foreign, 'file')} on the branch, not written by gitexp:"
            f" {listed(foreign)}",
            hints=(
                f"`git log {branch} -- '{foreign[0]}'` shows who added it",
                "gitexp does not read them, and the next merge of two clones drops them",
            ),
            items=tuple(foreign),
        )


def check_conflicts(inventory: Inventory) -> Iterator[Finding]:
    """Report runs with a conflicting version; the branch keeps both versions."""
    if inventory.rivals:
        yield Finding(
            level=Level.WARNING,
            text=f"{counted(inventory.rivals, 'run')} sealed twice, differently; both versions are"
            f" kept: {listed(map(inventory.name, inventory.rivals))}",
            hints=("`git exp show RUN` shows the version in force",),
            runs=tuple(inventory.rivals),
        )
