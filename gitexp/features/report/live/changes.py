"""What a reader of the live page says about a run: checked and recorded as commands do it."""

from collections.abc import Callable, Mapping
from typing import Any

from gitexp.core.errors import Conflict, InvalidInput
from gitexp.core.model.ids import parse_run_id
from gitexp.core.model.run import Annotation, AnnotationKind, Decision, RecordedRun
from gitexp.core.schema.json_codec import annotation_document
from gitexp.features.execution.recover import recover
from gitexp.features.recording import say
from gitexp.storage.workspace import Workspace

_FIELDS = frozenset({"kind", "run", "decision", "text", "hint", "tags", "force", "seen"})


def record_change(make_workspace: Callable[[], Workspace], asked: object) -> dict[str, Any]:
    """Record a decision, a note or tags; return the annotation as a document.

    `asked` is the parsed JSON of the request. Raises `InvalidInput` for what no command takes,
    `Conflict` when the run was decided since the page looked, and what the commands raise.
    """
    if not isinstance(asked, Mapping) or not _FIELDS.issuperset(asked):
        raise InvalidInput("this is no request of the page")
    run = parse_run_id(_text(asked, "run") or "")
    workspace = make_workspace()
    if workspace.has_journals():
        recover(workspace)
    entry = workspace.index.entry(run)
    made = _record(workspace, entry, asked)
    return {"run": run, "name": entry.run.name, "annotation": annotation_document(made)}


def _record(workspace: Workspace, entry: RecordedRun, asked: Mapping[str, Any]) -> Annotation:
    text = _text(asked, "text")
    match asked.get("kind"):
        case "decision":
            _check_seen(entry, asked.get("seen"))
            return say.decide(
                workspace,
                entry,
                _decision(asked),
                why=text,
                hint=_text(asked, "hint"),
                force=asked.get("force") is True,
            )
        case "note":
            return say.note(workspace, entry, text or "")
        case "tag" | "untag" as kind:
            return say.tag(workspace, entry, _tags(asked), delete=kind == "untag")
    raise InvalidInput("this is no request of the page")


def _check_seen(entry: RecordedRun, seen: object) -> None:
    """Refuse to decide on a run that was decided since the page was drawn."""
    known = [a for a in entry.annotations if a.kind is AnnotationKind.DECISION]
    if isinstance(seen, int) and seen < len(known):
        last = known[-1]
        why = f": {last.text}" if last.text else ""
        word = "" if last.decision is None else last.decision.value
        raise Conflict(
            "the run was decided since this page was drawn",
            why=f"{last.author.partition(' <')[0]} decided {word}{why}",
            hints=["look at it, and record your decision again"],
        )


def _decision(asked: Mapping[str, Any]) -> Decision:
    try:
        return Decision(str(asked.get("decision")))
    except ValueError:
        words = ", ".join(decision.value for decision in Decision)
        raise InvalidInput("there is no such decision", hints=[f"there are {words}"]) from None


def _tags(asked: Mapping[str, Any]) -> list[str]:
    tags = asked.get("tags")
    if not isinstance(tags, list) or not tags or not all(isinstance(t, str) for t in tags):
        raise InvalidInput("there is no tag")
    return tags


def _text(asked: Mapping[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"'{name}' is no text")
    return (value or "").strip() or None
