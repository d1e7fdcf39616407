"""Say something about a run: decide, note, tag. The command line and the page use these."""

from collections.abc import Iterable

from gitexp.core.errors import InvalidInput, Refused
from gitexp.core.model.run import Annotation, AnnotationKind, Decision, RecordedRun
from gitexp.features.recording.record import annotate
from gitexp.storage.workspace import Workspace


def decide(
    workspace: Workspace,
    entry: RecordedRun,
    decision: Decision,
    *,
    why: str | None = None,
    hint: str | None = None,
    force: bool = False,
) -> Annotation:
    """Record a decision about a run. Returns the annotation.

    Raises `Refused` when the decision is to keep a run that breaks a guard, without `force`.
    """
    if decision is Decision.KEEP and not force:
        _check_guards(workspace, entry)
    kind = AnnotationKind.DECISION
    return annotate(workspace, entry, kind, decision=decision, text=why, hint=hint)


def note(workspace: Workspace, entry: RecordedRun, text: str) -> Annotation:
    """Add a note to a run. Returns the annotation. Raises `InvalidInput` when it is empty."""
    if not text:
        raise InvalidInput("there is nothing to note", hints=['`git exp note RUN "TEXT"`'])
    return annotate(workspace, entry, AnnotationKind.NOTE, text=text)


def tag(
    workspace: Workspace, entry: RecordedRun, tags: Iterable[str], *, delete: bool = False
) -> Annotation:
    """Add tags to a run, or remove them. Returns the annotation. Raises `InvalidInput`."""
    kind = AnnotationKind.UNTAG if delete else AnnotationKind.TAG
    return annotate(workspace, entry, kind, tags=tuple(sorted(set(tags))))


def _check_guards(workspace: Workspace, entry: RecordedRun) -> None:
    """Refuse to keep a run that breaks a guard. Raises `Refused`."""
    from gitexp.core.analysis.guards import GuardState
    from gitexp.core.render.verdict_sentence import guard_words
    from gitexp.features.runs.judge import judge_run

    judgement = judge_run(workspace, entry.measured, refresh=False)
    broken = [guard for guard in judgement.guards if guard.state is GuardState.BROKEN]
    if broken:
        short = entry.run.id[:7]
        raise Refused(
            f"run {short} is not kept",
            why="it breaks a guard: " + "; ".join(guard_words(guard) for guard in broken),
            hints=[f"`git exp decide {short} keep --force -m WHY` keeps it nevertheless"],
        )
