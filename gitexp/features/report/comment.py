"""The comment under a pull request: what its runs did against those before it.

Markdown that forges show as intended: texts of records mention no user, link nowhere and open no
block. The most useful comes first, so that what a forge has no room for is the end.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gitexp.adapters.git.line_counts import count_lines
from gitexp.core.analysis.fingerprint import trial_command
from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.kinship import diff_tables
from gitexp.core.analysis.ranking import Ranking
from gitexp.core.analysis.verdicts import MetricVerdict
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import RecordedRun, Run, Table, Value
from gitexp.core.render.table import format_table
from gitexp.core.render.text import clean, format_number
from gitexp.core.render.verdict import changes_table, comparison_table
from gitexp.core.render.verdict_sentence import run_sentence
from gitexp.features.runs.judge import compare_pair, standings_by
from gitexp.features.runs.standings import Standings
from gitexp.storage.workspace import Workspace

MARKER: Final = "<!-- git-exp-report -->"
"""The first line, by which the comment is found again and replaced."""

MOST_LETTERS: Final = 60_000
"""GitHub takes 65,536 letters in a comment."""

MOST_ROWS: Final = 40
MOST_FILES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The trial that a comment is about, and the one it is compared with."""

    metric: str | None
    entry: RecordedRun
    """The run that stands for the trial."""
    runs: Sequence[RunId]
    """All runs that the comment is about, newest first."""
    reference: RecordedRun | None
    against: str
    """What the reference is, in words."""


def find_subject(workspace: Workspace, metric: str | None, base: str | None) -> Subject:
    """Find the runs of the comment: those whose code is not in `base`, against those whose code is.

    Without `base` the newest run against its parent, else against the best other trial. Raises
    `InvalidInput` when there is no such commit or no run of it.
    """
    if base is not None:
        return _against_commit(workspace, metric, base)
    newest = workspace.index.newest(1) or workspace.index.ids(limit=1)
    entry = workspace.index.entry(newest[0])
    others = [run for run in workspace.index.ids(limit=300) if run != entry.run.id]
    reference, against = _parent(workspace, entry), "its parent"
    if reference is None:
        found = _best_of(workspace, metric, others, without=entry)
        reference, against = found, "the best other trial"
    return Subject(metric=metric, entry=entry, runs=newest, reference=reference, against=against)


def _against_commit(workspace: Workspace, metric: str | None, base: str) -> Subject:
    commit = workspace.repo.peel(base, "commit")
    if commit is None:
        raise InvalidInput(
            f"there is no commit '{base}' here",
            hints=["fetch it; in a workflow: `fetch-depth: 0` at the checkout"],
        )
    index = workspace.index
    ahead = set(workspace.repo.git("rev-list", f"{commit}..HEAD").text.split())
    commits = {run: str(value) for run, value in index.column("commit").items()}
    runs = [run for run in index.ids() if commits.get(run) in ahead]
    if not runs:
        raise InvalidInput(
            f"there are no runs of the commits after '{base}'",
            hints=["record one with `git exp run -- CMD`, or bring them: `git exp fetch`"],
        )
    behind = set(workspace.repo.git("rev-list", commit).text.split())
    before = [run for run in index.ids() if commits.get(run) in behind]
    entry = _best_of(workspace, metric, runs) or index.entry(runs[0])
    reference = _best_of(workspace, metric, before, without=entry)
    return Subject(metric=metric, entry=entry, runs=runs, reference=reference, against=base)


def _parent(workspace: Workspace, entry: RecordedRun) -> RecordedRun | None:
    run = entry.run
    if run.parent is None or run.parent_rule is not None:
        return None
    try:
        return workspace.index.entry(run.parent)
    except GitexpError:
        return None  # it was removed, or is not here


def _best_of(
    workspace: Workspace,
    metric: str | None,
    runs: Sequence[RunId],
    *,
    without: RecordedRun | None = None,
) -> RecordedRun | None:
    """Return the run that stands for the best trial of some runs."""
    if metric is None or not runs:
        return None
    standings = standings_by(workspace, metric)
    if standings.direction is None:
        return None
    trials = workspace.index.groups.of_runs(runs)
    own = None if without is None else workspace.index.groups.of_runs([without.run.id])
    left_out = set() if own is None else set(own.values())
    keys = [key for key in dict.fromkeys(trials.values()) if key not in left_out]
    leader = standings.ranking(among=keys).leader if keys else None
    return None if leader is None else workspace.index.entry(leader.typical.run)


# --- text -----------------------------------------------------------------------------------------


def comment_text(workspace: Workspace, subject: Subject) -> str:
    """Return the comment. If it is too long, cut its end and say so."""
    blocks = [
        MARKER,
        _headline(workspace, subject),
        _effects(workspace, subject),
        _causes(workspace, subject),
        _best_so_far(workspace, subject),
        _decisions(workspace, subject),
        _details(workspace, subject),
    ]
    kept: list[str] = []
    room = MOST_LETTERS
    left_out = 0
    for block in filter(None, map(_harmless, blocks)):
        room -= len(block) + 2
        if room > 0:
            kept.append(block)
        else:
            left_out += 1
    if left_out:
        kept.append("The rest has no room here; `git exp report -o FILE` shows everything.")
    return "\n\n".join(kept)


_PLACES: Final = re.compile(r"#(?=\d)|@|://|(?<=\w)\b(?=www\.)")
_INSTEAD: Final = {"#": "&#35;", "@": "&#64;", "://": "&#58;//"}


def _harmless(block: str) -> str:
    """Return a block without mentions, references to issues and links."""
    return _PLACES.sub(lambda found: _INSTEAD.get(found[0], ""), block)


def escaped(text: str) -> str:
    """Return a text of a record for use inside a line."""
    shown = " ".join(clean(text).split())
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", shown)


def _name(workspace: Workspace, entry: RecordedRun) -> str:
    short = workspace.index.shortest_prefix(entry.run.id)
    return f"{short} {escaped(entry.run.name)}"


def _verdict(workspace: Workspace, subject: Subject) -> MetricVerdict | None:
    if subject.metric is None or subject.reference is None:
        return None
    pair = subject.entry.measured, subject.reference.measured
    verdicts = compare_pair(workspace, *pair, main=subject.metric).verdicts
    return next((v for v in verdicts if v.metric == subject.metric), None)


def _headline(workspace: Workspace, subject: Subject) -> str:
    verdict = _verdict(workspace, subject)
    run = subject.entry.run
    why = f"\n\n> {escaped(run.reason)}" if run.reason else ""
    if verdict is None or subject.reference is None:
        told = "nothing to compare with" if subject.metric else "nothing was measured"
        against = f" on {escaped(subject.against)}" if subject.against not in _OWN else ""
        return (
            f"### Run {_name(workspace, subject.entry)}: {run.outcome.value}, {told}{against}{why}"
        )
    words = run_sentence(verdict, against=f"{subject.against}, {_plain_name(workspace, subject)}")
    return f"### {escaped(words)}{why}"


_OWN: Final = ("its parent", "the best other trial")


def _plain_name(workspace: Workspace, subject: Subject) -> str:
    reference = subject.reference
    assert reference is not None  # noqa: S101 - the caller looked
    return f"{workspace.index.shortest_prefix(reference.run.id)} {reference.run.name}"


def _effects(workspace: Workspace, subject: Subject) -> str:
    if subject.reference is None:
        return ""
    pair = subject.entry.measured, subject.reference.measured
    effects = compare_pair(workspace, *pair, main=subject.metric)
    if not effects.verdicts:
        return ""
    ordered = sorted(effects.verdicts, key=lambda verdict: verdict.metric != subject.metric)
    effects = type(effects)(run=effects.run, against="run", verdicts=tuple(ordered[:MOST_ROWS]))
    more = len(ordered) - MOST_ROWS
    table = comparison_table(effects, table_style="md")
    return f"{table}\n\nand {more} more" if more > 0 else table


def _causes(workspace: Workspace, subject: Subject) -> str:
    if subject.reference is None:
        return ""
    before, after = subject.reference.run, subject.entry.run
    changes: list[tuple[str, Value | None, Value | None]] = [
        *diff_tables(before.parameters, after.parameters),
        *diff_tables(_command(before), _command(after)),
        *diff_tables(_inputs(before), _inputs(after)),
    ]
    parts = []
    if changes:
        shown = changes[:MOST_ROWS]
        parts.append(changes_table(shown, before="before", after="after", table_style="md"))
    if len(changes) > MOST_ROWS:
        parts.append(f"and {len(changes) - MOST_ROWS} more")
    parts.append(_code(workspace, subject))
    told = "\n\n".join(filter(None, parts))
    if told:
        return f"**What changed**\n\n{told}"
    return "**What changed:** neither parameters, command, inputs nor code"


def _command(run: Run) -> Table:
    """Return the command as the fingerprint sees it: without the values of the parameters."""
    if run.command is None:
        return {}
    words = trial_command(run.command.template or run.command.argv, run.params)
    return {"command": " ".join(words), "directory": run.command.directory}


def _inputs(run: Run) -> Table:
    return {path: state.digest[:12] for path, state in run.inputs.items()}


def _code(workspace: Workspace, subject: Subject) -> str:
    """Return the files that differ, with their lines."""
    assert subject.reference is not None  # noqa: S101 - the caller looked
    old, new = subject.reference.run.code.tree, subject.entry.run.code.tree
    if old == new:
        return ""
    try:
        counted = count_lines(workspace.repo, [(old, new)]).get((old, new))
    except GitexpError:
        counted = None
    if counted is None:
        return "Code: it differs, and is not in this clone"
    files = [
        f"{escaped(c.path)} {'binary' if c.added is None else f'+{c.added} -{c.removed}'}"
        for c in counted[:MOST_FILES]
    ]
    more = f", and {len(counted) - MOST_FILES} more" if len(counted) > MOST_FILES else ""
    return f"Code: {', '.join(files)}{more}" if files else ""


def _best_so_far(workspace: Workspace, subject: Subject) -> str:
    if subject.metric is None:
        return ""
    standings = standings_by(workspace, subject.metric)
    ranking = None if standings.direction is None else standings.ranking()
    if ranking is None or ranking.leader is None:
        return ""
    leader = ranking.leader
    entry = workspace.index.entry(leader.typical.run)
    shown = _mean_text(leader)
    rivals = ranking.contenders - 1
    others = "one other trial is" if rivals == 1 else f"{rivals} other trials are"
    doubt = f"; {others} not told apart from it" if rivals > 0 else ""
    noise = _noise_text(standings, ranking)
    return (
        f"**Best so far:** {escaped(subject.metric)} {shown} by {_name(workspace, entry)}"
        f"{doubt}. {noise}"
    )


def _mean_text(group: Group) -> str:
    mean = format_number(group.mean)
    if group.counted < 2:
        return f"{mean} (one run)"
    sd = "" if group.sd is None else f" ± {format_number(group.sd, precision=2)}"
    return f"{mean}{sd} (n {group.counted})"


def _noise_text(standings: Standings, ranking: Ranking) -> str:
    noise = ranking.noise
    words = {
        "unknown": "Noise: unknown, no repeats show it",
        "declared": f"Noise: {format_number(noise.sd, precision=2)}, as declared",
        "measured": f"Noise: {format_number(noise.sd, precision=2)} between repeats",
        "deterministic": "Noise: none, repeats agree",
    }
    way = "higher" if standings.direction and standings.direction.value == "maximize" else "lower"
    guess = " (a guess)" if standings.guessed else ""
    return f"{words.get(noise.basis.value, '')}; {way} is better{guess}."


def _decisions(workspace: Workspace, subject: Subject) -> str:
    decided = [e for e in workspace.index.entries(subject.runs[:MOST_ROWS]) if e.decision]
    lines = []
    for entry in decided:
        decision = entry.decision
        if decision is None or decision.decision is None:
            continue
        why = f": {escaped(decision.text)}" if decision.text else ""
        hint = f" (next: {escaped(decision.hint)})" if decision.hint else ""
        lines.append(f"- {decision.decision.value} {_name(workspace, entry)}{why}{hint}")
    return "**Decided**\n\n" + "\n".join(lines) if lines else ""


def _details(workspace: Workspace, subject: Subject) -> str:
    """Return the folded list of runs."""
    entries = workspace.index.entries(subject.runs[:MOST_ROWS])
    ids = workspace.index.short([entry.run.id for entry in entries])
    rows = [
        [
            ids[entry.run.id],
            entry.run.name,
            entry.run.outcome.value,
            _value_text(entry, subject.metric),
            entry.run.reason or "",
        ]
        for entry in entries
    ]
    table = format_table(
        ["id", "name", "outcome", subject.metric or "", "because"], rows, style="md"
    )
    more = len(subject.runs) - len(entries)
    rest = f"\n\nand {more} more" if more else ""
    count = len(subject.runs)
    title = "one run" if count == 1 else f"{count} runs"
    return f"<details><summary>{title}</summary>\n\n{table}{rest}\n\n</details>"


def _value_text(entry: RecordedRun, metric: str | None) -> str:
    from gitexp.core.model.run import numbers

    value = None if metric is None else numbers(entry.metrics).get(metric)
    return "" if value is None else format_number(value)
