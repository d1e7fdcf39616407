"""Verdicts in words and tables: better or worse, reproduced or drifted, what changed.

Floor 5, pure. The words alone say everything; colour repeats it.
"""

from collections.abc import Mapping, Sequence

from gitexp.comparison import Against, Answer, Comparison, MetricMatch, MetricVerdict
from gitexp.ids import RunId
from gitexp.model import Direction, ReproductionVerdict, Value
from gitexp.render.colour import Role, style
from gitexp.render.fitting import Rank, fitted_table
from gitexp.render.listing import short_id
from gitexp.render.table import TableStyle, format_table
from gitexp.render.text import (
    clean,
    format_cell,
    format_like,
    format_number,
    format_percent,
    format_signed,
)

ANSWER_ROLES: dict[Answer, Role] = {
    Answer.BETTER: "good",
    Answer.WORSE: "bad",
    Answer.SAME: "quiet",
    Answer.UNKNOWN: "doubt",
}
REPRODUCTION_ROLES: dict[ReproductionVerdict, Role] = {
    ReproductionVerdict.REPRODUCED: "good",
    ReproductionVerdict.WITHIN_TOLERANCE: "good",
    ReproductionVerdict.DRIFTED: "bad",
    ReproductionVerdict.FAILED: "bad",
}


def metric_sentence(
    last: MetricVerdict | None,
    best: MetricVerdict | None = None,
    *,
    precision: int | None = 5,
    colour: bool = False,
    tell_guess: bool = True,
) -> str:
    """One metric in one line: `accuracy 0.85: better than the last, 0.80 (+6.2%); best so far`."""
    verdict = last or best
    if verdict is None:
        return "nothing was measured"
    subject = clean(verdict.metric)
    if verdict.value is not None:
        subject += f" {_own_value(verdict, precision)}"
    told = [
        _against(v, reference, precision=precision, colour=colour)
        for v, reference in _references(last, best)
        if v.reference is not None
    ]
    if _is_one_run(last, best) and best is not None and best.answer is Answer.BETTER:
        told.append(style("best so far", "good", enabled=colour))
    if not told:
        return f"{subject}: nothing to compare with yet"
    if verdict.guessed and tell_guess:
        higher = "higher" if verdict.direction is Direction.MAXIMIZE else "lower"
        told.append(f"{higher} is better (a guess)")
    return f"{subject}: {'; '.join(told)}"


def _references(
    last: MetricVerdict | None, best: MetricVerdict | None
) -> list[tuple[MetricVerdict, str]]:
    """What to tell against what; when the last run is the best one, once is enough."""
    if last is not None and best is not None and _is_one_run(last, best):
        name = "the last" if best.answer is Answer.BETTER else "the last, which is the best"
        return [(last, name)]
    pairs = ((last, "the last"), (best, "the best"))
    return [(verdict, name) for verdict, name in pairs if verdict is not None]


def _is_one_run(last: MetricVerdict | None, best: MetricVerdict | None) -> bool:
    return (
        last is not None
        and best is not None
        and (last.reference, last.reference_value) == (best.reference, best.reference_value)
    )


def _own_value(verdict: MetricVerdict, precision: int | None) -> str:
    value, old = verdict.value or 0.0, verdict.reference_value
    return format_like(value, value if old is None else old, precision=precision)


def run_sentence(verdict: MetricVerdict, *, against: str, precision: int | None = 5) -> str:
    """One metric against a named run: `accuracy 0.85: worse than 7f3a9c0, 0.9 (-5.6%)`."""
    subject = clean(verdict.metric)
    if verdict.value is not None:
        subject += f" {format_number(verdict.value, precision=precision)}"
    return f"{subject}: {_against(verdict, clean(against), precision=precision, colour=False)}"


def _against(verdict: MetricVerdict, reference: str, *, precision: int | None, colour: bool) -> str:
    answer, why = verdict.answer, verdict.why
    if verdict.reference_value is None:
        return f"not measured by {reference}"
    if verdict.value is None:
        old = format_number(verdict.reference_value, precision=precision)
        return f"missing here, {reference} has {old}"
    old = format_like(verdict.reference_value, verdict.value, precision=precision)
    if answer is Answer.BETTER and reference == "the best":
        return style("best so far", "good", enabled=colour) + f", before {old}"
    words = {
        Answer.BETTER: f"better than {reference}",
        Answer.WORSE: f"worse than {reference}",
        Answer.SAME: f"same as {reference}",
        Answer.UNKNOWN: f"cannot tell against {reference}",
    }
    sentence = f"{style(words[answer], ANSWER_ROLES[answer], enabled=colour)}, {old}"
    remarks = [_change(verdict, precision)] if verdict.difference else []
    return sentence + f" ({'; '.join([*remarks, *([why] if why else [])])})" * bool(remarks or why)


def _change(verdict: MetricVerdict, precision: int | None) -> str:
    if verdict.relative is not None:
        return format_percent(verdict.relative)
    return format_signed(verdict.difference or 0.0, precision=precision)


_REFERENCES: dict[Against, str] = {"last": "the last", "best": "the best", "run": ""}


def comparison_heading(comparison: Comparison, *, ids: Mapping[RunId, str] | None = None) -> str:
    """What is compared with what: `7f3a9c0 against the best, 1b2c3d4`."""
    found = next((v.reference for v in comparison.verdicts if v.reference), None)
    words = [_REFERENCES[comparison.against], "" if found is None else short_id(found, ids)]
    told = ", ".join(word for word in words if word) or "nothing"
    return f"{short_id(comparison.run, ids)} against {told}"


def comparison_table(
    comparison: Comparison,
    *,
    table_style: TableStyle = "plain",
    width: int | None = None,
    precision: int | None = 5,
) -> str:
    """Every verdict on its line: metric, now, before, difference, verdict, and what to know."""
    rows = [
        [
            verdict.metric,
            format_cell(verdict.value, precision=precision),
            format_cell(verdict.reference_value, precision=precision),
            ""
            if verdict.difference is None
            else format_signed(verdict.difference, precision=precision),
            "" if verdict.relative is None else format_percent(verdict.relative),
            verdict.answer.value,
            _remark(verdict, precision),
        ]
        for verdict in comparison.verdicts
    ]
    headers = ["metric", "run", "reference", "difference", "%", "verdict", "remark"]
    if table_style != "plain":
        return format_table(headers, rows, style=table_style)
    ranks = [*[Rank.MAIN] * 3, Rank.DETAIL, Rank.METRIC, Rank.MAIN, Rank.AGE]
    return fitted_table(headers, rows, width, ranks=ranks, fixed={"verdict"})


def _remark(verdict: MetricVerdict, precision: int | None) -> str:
    remarks = [verdict.why] if verdict.why else []
    if verdict.direction is not None:
        remarks.append(verdict.direction.value + (" (a guess)" if verdict.guessed else ""))
    if verdict.noise is not None:
        noise = format_number(verdict.noise, precision=precision)
        remarks.append(f"noise {noise} over {verdict.repeats} repeats")
    return "; ".join(remarks)


def reproduction_sentence(
    verdict: ReproductionVerdict, matches: Sequence[MetricMatch], *, colour: bool = False
) -> str:
    """The verdict with its count: `drifted: 1 of 3 metrics outside the tolerance`."""
    word = style(verdict.value, REPRODUCTION_ROLES[verdict], enabled=colour)
    counted = [m for m in matches if m.state != "informative"]
    if verdict is ReproductionVerdict.FAILED:
        return f"{word}: it did not end as the recorded run did"
    if not counted:
        return f"{word}: there were no metrics to compare, only the outcome and exit code"
    off = sum(m.state in ("outside", "missing") for m in counted)
    within = sum(m.state == "within" for m in counted)
    plural = "" if len(counted) == 1 else "s"
    if off:
        return f"{word}: {off} of {len(counted)} metric{plural} outside the tolerance"
    if verdict is ReproductionVerdict.DRIFTED:
        return f"{word}: the metrics agree but the exit code differs"
    if within:
        return f"{word}: {within} of {len(counted)} metric{plural} moved, none too far"
    return f"{word}: {len(counted)} metric{plural} equal"


def reproduction_table(
    matches: Sequence[MetricMatch],
    *,
    table_style: TableStyle = "plain",
    width: int | None = None,
    precision: int | None = 5,
) -> str:
    """Every metric as recorded and as measured again."""
    rows = [
        [
            match.metric,
            format_cell(match.recorded, precision=precision),
            format_cell(match.again, precision=precision),
            ""
            if match.difference is None
            else format_signed(match.difference, precision=precision),
            format_number(match.tolerance, precision=precision),
            match.state,
        ]
        for match in matches
    ]
    headers = ["metric", "recorded", "again", "difference", "tolerance", "state"]
    return format_table(headers, rows, style=table_style, width=width, fixed={"state"})


def changes_table(
    changes: Sequence[tuple[str, Value | None, Value | None]],
    *,
    before: str,
    after: str,
    table_style: TableStyle = "plain",
    width: int | None = None,
    precision: int | None = None,
) -> str:
    """What `diff_tables` found; `before` and `after` are the two columns' headers."""
    rows = [
        [name, format_cell(old, precision=precision), format_cell(new, precision=precision)]
        for name, old, new in changes
    ]
    return format_table(["name", before, after], rows, style=table_style, width=width)
