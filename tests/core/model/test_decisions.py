"""Decisions in force: those that no other one saw, the same on every machine."""

from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Decision,
    RecordedRun,
    annotation_order,
    decisions_in_force,
)
from gitexp.features.recording.record import MAX_SAW, known_decisions
from tests.core.sample_runs import RUN_ID, STARTED, make_run


def decided(number: int, what: Decision, clock: int, **changes: Any) -> Annotation:
    made = Annotation(
        id=f"{number:016x}",
        run=RunId(RUN_ID),
        kind=AnnotationKind.DECISION,
        clock=clock,
        time=STARTED,
        author="Ada <ada@example.org>",
        decision=what,
        saw=(),
    )
    return replace(made, **changes)


def entry_of(*annotations: Annotation) -> RecordedRun:
    return RecordedRun(make_run(), tuple(sorted(annotations, key=annotation_order)))


KEEP = decided(1, Decision.KEEP, 5)
DISCARD = decided(2, Decision.DISCARD, 2)
NOTES = [decided(10 + n, Decision.KEEP, 2 + n, kind=AnnotationKind.NOTE) for n in range(3)]


def test_notes_do_not_override_an_independent_decision() -> None:
    entry = entry_of(KEEP, DISCARD, *NOTES)
    assert entry.decisions == (DISCARD, KEEP)
    assert entry.decision == DISCARD
    assert entry.disputed == (Decision.DISCARD, Decision.KEEP)


def test_a_decision_supersedes_those_that_it_saw() -> None:
    settled = decided(3, Decision.KEEP, 3, saw=(KEEP.id, DISCARD.id))
    entry = entry_of(KEEP, DISCARD, settled)
    assert entry.decisions == (settled,)
    assert entry.disputed == ()
    half = replace(settled, saw=(KEEP.id,))
    assert entry_of(KEEP, DISCARD, half).decisions == (DISCARD, half)


def test_equal_independent_decisions_are_no_dispute() -> None:
    again = decided(4, Decision.KEEP, 1)
    entry = entry_of(KEEP, again)
    assert entry.decisions == (KEEP, again)
    assert entry.decision == KEEP
    assert entry.disputed == ()


@pytest.mark.parametrize(
    ("words", "cautious"),
    [
        ((Decision.KEEP, Decision.IMPROVE), Decision.IMPROVE),
        ((Decision.IMPROVE, Decision.DISCARD), Decision.DISCARD),
        ((Decision.DISCARD, Decision.STOP, Decision.KEEP), Decision.STOP),
    ],
)
def test_the_most_cautious_decision_counts(words: tuple[Decision, ...], cautious: Decision) -> None:
    for order in permutations(words):
        entry = entry_of(*(decided(n, word, 9 - n) for n, word in enumerate(order)))
        assert entry.decision is not None
        assert entry.decision.decision is cautious
        assert set(entry.disputed) == set(words)


def test_old_decisions_keep_the_order_of_the_clock() -> None:
    old, later = replace(KEEP, saw=None), replace(DISCARD, saw=None, clock=7)
    assert entry_of(old, later).decisions == (later,)
    assert entry_of(old, DISCARD).decisions == (old,)
    assert entry_of(KEEP, later).decisions == (later,)
    apart = decided(5, Decision.STOP, 9)
    assert entry_of(old, KEEP, apart).decisions == (apart, KEEP)


def test_decisions_that_claim_to_have_seen_each_other_leave_the_latest() -> None:
    first = replace(KEEP, saw=(DISCARD.id,))
    second = replace(DISCARD, saw=(KEEP.id,))
    assert entry_of(first, second).decisions == (first,)
    assert entry_of(replace(KEEP, saw=(KEEP.id,))).decision is not None


def test_a_decision_names_at_most_some_of_those_before_it() -> None:
    many = [
        decided(n, Decision.KEEP, n, saw=tuple(f"{m:016x}" for m in range(max(0, n - 1), n)))
        for n in range(MAX_SAW + 50)
    ]
    known = known_decisions(entry_of(*many))
    assert len(known) == MAX_SAW
    assert many[-1].id in known


# --- clones that decide, note and merge in any order ----------------------------------------------


@dataclass
class Clone:
    """Return the annotations of the run that one clone has."""

    has: dict[str, Annotation] = field(default_factory=dict)

    def add(self, number: int, kind: AnnotationKind, what: Decision) -> None:
        entry = entry_of(*self.has.values())
        clock = 1 + max((a.clock for a in self.has.values()), default=0)
        saw = known_decisions(entry) if kind is AnnotationKind.DECISION else None
        made = decided(number, what, clock, kind=kind, saw=saw)
        self.has[made.id] = made


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "note", "merge"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(list(Decision)),
    ),
    max_size=25,
)


@given(steps=STEPS, order=st.permutations(range(3)), rotated=st.integers(0, 30))
def test_all_clones_agree_after_merging_in_any_order(
    steps: list[tuple[str, int, int, Decision]], order: list[int], rotated: int
) -> None:
    clones = [Clone() for _ in range(3)]
    for number, (step, one, other, what) in enumerate(steps, start=1):
        if step == "merge":
            clones[one].has |= clones[other].has
        else:
            kind = AnnotationKind.DECISION if step == "decide" else AnnotationKind.NOTE
            clones[one].add(number * 7919 % 1009, kind, what)
    merged: dict[str, Annotation] = {}
    for number in order:
        merged |= clones[number].has
    everything = list(merged.values())
    found = decisions_in_force(everything)
    cut = rotated % (len(everything) or 1)
    assert decisions_in_force(everything[cut:] + everything[:cut]) == found

    decisions = [a for a in everything if a.kind is AnnotationKind.DECISION]
    seen = {other for a in decisions for other in a.saw or ()}
    assert {a.id for a in found} == {a.id for a in decisions} - seen
    assert bool(found) == bool(decisions)

    last = Clone(merged)
    last.add(1013, AnnotationKind.DECISION, Decision.KEEP)
    assert [a.id for a in decisions_in_force(last.has.values())] == [f"{1013:016x}"]


@given(
    clocks=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    old=st.lists(st.booleans(), min_size=6, max_size=6),
    data=st.data(),
)
def test_any_set_of_decisions_has_one_in_force(
    clocks: list[int], old: list[bool], data: st.DataObject
) -> None:
    ids = [f"{n:016x}" for n in range(len(clocks))]
    made = [
        decided(
            n,
            Decision.KEEP,
            clock,
            saw=None if old[n] else tuple(data.draw(st.lists(st.sampled_from(ids), max_size=3))),
        )
        for n, clock in enumerate(clocks)
    ]
    found = decisions_in_force(made)
    assert found
    assert decisions_in_force(data.draw(st.permutations(made))) == found
    if all(a.saw is None for a in made):
        assert found == (max(made, key=annotation_order),)
