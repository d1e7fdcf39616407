"""Verdicts as words and tables: better or worse, reproduced or drifted, and the differences.

Colour only repeats what the words say.
"""

from collections.abc import Mapping, Sequence

from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.reproduction import MetricMatch
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import Against, Comparison, MetricVerdict
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import ReproductionVerdict, Value
from gitexp.core.render.colour import Role, style
from gitexp.core.render.fitted_table import Rank, fitted_table
from gitexp.core.render.run_table import short_id
from gitexp.core.render.table import TableStyle, format_table
from gitexp.core.render.text import (
    format_cell,
    format_number,
    format_param,
    format_percent,
    format_signed,
)
from gitexp.core.render.verdict_sentence import change_of

REPRODUCTION_ROLES: dict[ReproductionVerdict, Role] = {
    ReproductionVerdict.REPRODUCED: "good",
    ReproductionVerdict.WITHIN_TOLERANCE: "good",
    ReproductionVerdict.DRIFTED: "bad",
    ReproductionVerdict.FAILED: "bad",
}


_REFERENCES: dict[Against, str] = {
    "last": "the last",
    "best": "the best",
    "parent": "its parent",
    "run": "",
}


def comparison_heading(comparison: Comparison, *, ids: Mapping[RunId, str] | None = None) -> str:
    """Return what is compared with what: `7f3a9c0 against the best, 1b2c3d4`."""
    found = next((v.reference for v in comparison.verdicts if v.reference), None)
    words = [_REFERENCES[comparison.against], "" if found is None else short_id(found, ids)]
    text = ", ".join(word for word in words if word) or "nothing"
    return f"{short_id(comparison.run, ids)} against {text}"


def comparison_table(
    comparison: Comparison,
    *,
    table_style: TableStyle = "plain",
    width: int | None = None,
    precision: int | None = 5,
) -> str:
    """Return a line for each verdict: means, number of runs, difference, verdict, remarks."""
    rows = [_verdict_row(verdict, precision) for verdict in comparison.verdicts]
    headers = ["metric", "mean", "n", "reference", "n", "difference", "%", "verdict", "remark"]
    ranks = [
        *(Rank.MAIN, Rank.MAIN, Rank.METRIC, Rank.MAIN, Rank.METRIC),
        *(Rank.DETAIL, Rank.METRIC, Rank.MAIN, Rank.AGE),
    ]
    if all(verdict.repeats < 2 for verdict in comparison.verdicts):
        kept = [n for n, header in enumerate(headers) if header != "n"]
        headers = ["run" if headers[n] == "mean" else headers[n] for n in kept]
        ranks = [ranks[n] for n in kept]
        rows = [[row[n] for n in kept] for row in rows]
    if table_style != "plain":
        return format_table(headers, rows, style=table_style)
    return fitted_table(headers, rows, width, ranks=ranks, fixed={"verdict"})


def _verdict_row(verdict: MetricVerdict, precision: int | None) -> list[str]:
    return [
        verdict.metric,
        format_cell(verdict.value, precision=precision),
        str(verdict.runs),
        format_cell(verdict.reference_value, precision=precision),
        str(verdict.reference_runs),
        _difference(verdict, precision),
        "" if verdict.relative is None else format_percent(verdict.relative),
        _ANSWERS[verdict.answer],
        _remark(verdict),
    ]


_ANSWERS: dict[Answer, str] = {
    Answer.BETTER: "better",
    Answer.WORSE: "worse",
    Answer.SAME: "same",
    Answer.UNKNOWN: "cannot tell",
}


def _difference(verdict: MetricVerdict, precision: int | None) -> str:
    if verdict.half is not None:
        return change_of(verdict, precision=precision)
    if verdict.difference is None:
        return ""
    return format_signed(verdict.difference, precision=precision)


def _remark(verdict: MetricVerdict) -> str:
    remarks = [verdict.why] if verdict.why else []
    if verdict.noise is not None:
        remarks.append(f"noise {format_number(verdict.noise, precision=2)}")
    elif verdict.basis is Basis.DETERMINISTIC:
        remarks.append("no noise")
    elif verdict.basis is Basis.UNKNOWN:
        remarks.append("noise unknown")
    if verdict.direction is not None:  # at the end, which a narrow terminal cuts
        remarks.append(verdict.direction.value + (" (a guess)" if verdict.guessed else ""))
    return "; ".join(remarks)


def reproduction_sentence(
    verdict: ReproductionVerdict, matches: Sequence[MetricMatch], *, colour: bool = False
) -> str:
    """Return the verdict with its count: `drifted: of 3 metrics, 1 outside the tolerance`."""
    word = style(verdict.value, REPRODUCTION_ROLES[verdict], enabled=colour)
    counted = [m for m in matches if m.state != "informative"]
    if verdict is ReproductionVerdict.FAILED:
        return f"{word}: it did not end as the recorded run did"
    outside = sum(m.state == "outside" for m in counted)
    missing = sum(m.state == "missing" for m in counted)
    within = sum(m.state == "within" for m in counted)
    plural = "" if len(counted) == 1 else "s"
    if outside or missing:
        lack = [f"{missing} missing"] if missing else []
        off = [f"{outside} outside the tolerance"] if outside else []
        return f"{word}: of {len(counted)} metric{plural}, {' and '.join([*off, *lack])}"
    if verdict is ReproductionVerdict.DRIFTED:
        return f"{word}: the {'metrics agree but the ' if counted else ''}exit code differs"
    if not counted:
        return f"{word}: there were no metrics to compare, only the outcome and exit code"
    if within:
        return f"{word}: {within} of {len(counted)} metric{plural} moved, none too far"
    return f"{word}: {len(counted)} metric{plural} equal"


def reproduction_table(matches: Sequence[MetricMatch], *, width: int | None = None) -> str:
    """Return every metric as recorded and as measured again."""
    rows = [
        [
            match.metric,
            format_cell(match.recorded),
            format_cell(match.again),
            "" if match.difference is None else format_signed(match.difference),
            format_number(match.tolerance),
            match.state,
        ]
        for match in matches
    ]
    headers = ["metric", "recorded", "again", "difference", "tolerance", "state"]
    return format_table(headers, rows, width=width, fixed={"state"})


def changes_table(
    changes: Sequence[tuple[str, Value | None, Value | None]],
    *,
    before: str,
    after: str,
    table_style: TableStyle = "plain",
    width: int | None = None,
) -> str:
    """Return the result of `diff_tables` as a table; `before` and `after` are column headers."""
    rows = [
        [name, format_param(old, precision=None), format_param(new, precision=None)]
        for name, old, new in changes
    ]
    return format_table(["name", before, after], rows, style=table_style, width=width)
