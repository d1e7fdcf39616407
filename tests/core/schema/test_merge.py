"""Union of two states of the run branch: its algebra, and an example of each rule."""

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Origin, Outcome, Run
from gitexp.core.schema.layout import (
    FORMAT,
    FORMAT_PATH,
    README_PATH,
    annotation_path,
    environment_path,
    parse_path,
    rival_path,
    run_path,
    series_path,
)
from gitexp.core.schema.toml_codec import encode_run, encode_table
from gitexp.core.schema.union import affected_paths, branch_format, owners, union

START = datetime(2026, 11, 23, tzinfo=UTC)
RUNS = [RunId(f"{n:02x}" * 8) for n in (1, 2, 3)]
BLOBS: dict[str, bytes] = {}


def store(data: bytes) -> str:
    """Return the blob id as git computes it, and remember the content for `read`."""
    blob = hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()
    BLOBS[blob] = data
    return blob


def read(blobs: Collection[str]) -> Mapping[str, bytes | None]:
    return {blob: BLOBS.get(blob) for blob in blobs}


def plain_path(path: str) -> str:
    """Return the path beside which a conflicting version is stored."""
    return re.sub(r"~[0-9a-f]+(?=\.)", "", path)


def record(run: RunId, outcome: Outcome, name: str = "x") -> bytes:
    return encode_run(
        Run(
            id=run,
            name=name,
            outcome=outcome,
            clock=1,
            started=START,
            author="A <a@example.org>",
            origin=Origin.RUN,
            code=Code(commit=ObjectId("1" * 40), tree=ObjectId("2" * 40)),
        )
    )


VERSIONS = {
    run: [store(record(run, Outcome.RUNNING, name)) for name in "abc"]
    + [store(record(run, Outcome.SUCCEEDED, name)) for name in "abc"]
    + [store(b"damaged " + run.encode())]
    for run in RUNS
}
OTHERS = [store(f"other {n}".encode()) for n in range(4)]
MISSING = "f" * 40

run_files = st.sampled_from(RUNS).flatmap(
    lambda run: st.tuples(st.just(run_path(run, START)), st.sampled_from([*VERSIONS[run], MISSING]))
)
other_files = st.tuples(
    st.one_of(
        st.builds(series_path, st.sampled_from(RUNS), st.just(START)),
        st.builds(
            annotation_path,
            st.sampled_from(RUNS),
            st.just(START),
            st.sampled_from(["a" * 16, "b" * 16]),
        ),
        st.builds(environment_path, st.sampled_from(["ab" * 8, "cd" * 8])),
        st.sampled_from([README_PATH, "foreign.txt", "runs/odd"]),
    ),
    st.sampled_from(OTHERS),
)
tombstones = st.tuples(
    st.builds(annotation_path, st.sampled_from(RUNS[:1]), st.just(START), st.just("delete")),
    st.sampled_from(OTHERS),
)
files = st.one_of(run_files, run_files, other_files, tombstones)
raw_states = st.lists(files, max_size=12).map(dict)
rivals = st.lists(run_files, max_size=3).map(
    lambda found: {rival_path(path, blob): blob for path, blob in found}
)
states = st.builds(lambda state, beside: union(state | beside, {}, read), raw_states, rivals)
"""Draw states that gitexp can produce, conflicting versions included."""


def check_commutative(a: dict[str, str], b: dict[str, str]) -> None:
    assert union(a, b, read) == union(b, a, read)


def check_associative(a: dict[str, str], b: dict[str, str], c: dict[str, str]) -> None:
    assert union(union(a, b, read), c, read) == union(a, union(b, c, read), read)


def check_idempotent(a: dict[str, str], b: dict[str, str]) -> None:
    both = union(a, b, read)
    assert union(a, a, read) == a
    assert union(both, a, read) == both
    assert union(both, b, read) == both


def check_nothing_lost(a: dict[str, str], b: dict[str, str]) -> None:
    """Each version of either side is in the union, or a rule removed it."""
    both = union(a, b, read)
    tombstoned = {
        place.run
        for path in [*a, *b]
        if (place := parse_path(path)) is not None and place.name == "delete"
    }
    for path, blob in [*a.items(), *b.items()]:
        place = parse_path(path)
        if place is None:
            assert path == README_PATH or both.get(path) == (
                blob if a.get(path) == b.get(path) else None
            )
        elif place.run in tombstoned and place.name != "delete":
            assert path not in both
        else:
            kept = {v for p, v in both.items() if plain_path(p) == plain_path(path)}
            running = b'"running"' in BLOBS.get(blob, b"")
            assert blob in kept or (running and kept)
            if any(b'"running"' not in BLOBS.get(v, b"") for v in kept):
                assert not any(b'"running"' in BLOBS.get(v, b"") for v in kept)


class TestAlgebra:
    @given(states, states)
    def test_merge_is_commutative(self, a: dict[str, str], b: dict[str, str]) -> None:
        check_commutative(a, b)

    @given(states, states, states)
    def test_merge_is_associative(
        self, a: dict[str, str], b: dict[str, str], c: dict[str, str]
    ) -> None:
        check_associative(a, b, c)

    @given(states, states)
    @settings(max_examples=50)
    def test_merge_is_idempotent(self, a: dict[str, str], b: dict[str, str]) -> None:
        check_idempotent(a, b)

    @given(states, states)
    @settings(max_examples=50)
    def test_merge_loses_nothing_and_keeps_deletions(
        self, a: dict[str, str], b: dict[str, str]
    ) -> None:
        check_nothing_lost(a, b)

    @pytest.mark.long
    @given(states, states, states)
    @settings(max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
    def test_merge_laws_with_many_examples(
        self, a: dict[str, str], b: dict[str, str], c: dict[str, str]
    ) -> None:
        check_commutative(a, b)
        check_associative(a, b, c)
        check_idempotent(a, b)
        check_nothing_lost(a, b)


RUN = RUNS[0]
PATH = run_path(RUN, START)
RUNNING = sorted(VERSIONS[RUN][:3], key=lambda blob: BLOBS[blob])
SEALED = sorted(VERSIONS[RUN][3:6])
TOMBSTONE = annotation_path(RUN, START, "delete")


def refuse_to_read(blobs: Collection[str]) -> Mapping[str, bytes | None]:
    raise AssertionError(f"nothing needs to be read, asked for {blobs}")


class TestRuns:
    def test_disjoint_files_are_merged_without_reading(self) -> None:
        left = {run_path(run, START): VERSIONS[run][3] for run in RUNS[:2]}
        right = {run_path(run, START): VERSIONS[run][3] for run in RUNS[1:]}
        assert union(left, right, refuse_to_read) == left | right

    def test_a_sealed_record_replaces_a_running_one(self) -> None:
        assert union({PATH: RUNNING[2]}, {PATH: SEALED[0]}, read) == {PATH: SEALED[0]}

    def test_greater_of_two_running_records_stays(self) -> None:
        assert union({PATH: RUNNING[2]}, {PATH: RUNNING[1]}, read) == {PATH: RUNNING[2]}

    def test_two_different_seals_are_both_kept(self) -> None:
        low, high = SEALED[:2]
        expected = {PATH: low, rival_path(PATH, high): high}
        assert union({PATH: high}, {PATH: low}, read) == expected

    def test_a_third_seal_that_is_smaller_takes_the_path(self) -> None:
        low, middle, high = SEALED
        two = union({PATH: middle}, {PATH: high}, read)
        expected = {PATH: low, rival_path(PATH, middle): middle, rival_path(PATH, high): high}
        assert union(two, {PATH: low}, read) == expected

    def test_an_unreadable_record_is_kept_like_a_sealed_one(self) -> None:
        damaged = VERSIONS[RUN][6]
        assert union({PATH: damaged}, {PATH: RUNNING[0]}, read) == {PATH: damaged}
        assert set(union({PATH: damaged}, {PATH: SEALED[0]}, read).values()) == {damaged, SEALED[0]}

    def test_conflicting_version_with_a_wrong_name_is_renamed(self) -> None:
        liar = rival_path(PATH, "0" * 40)
        low, high = SEALED[:2]
        expected = {PATH: low, rival_path(PATH, high): high}
        assert union({PATH: low, liar: high}, {PATH: low}, read) == expected

    @pytest.mark.parametrize(
        "path",
        [
            series_path(RUN, START),
            annotation_path(RUN, START, "a" * 16),
            environment_path("ab" * 8),
            TOMBSTONE,
        ],
    )
    def test_both_versions_of_other_files_are_kept(self, path: str) -> None:
        low, high = sorted(OTHERS[:2])
        expected = {path: low, rival_path(path, high): high}
        assert union({path: high}, {path: low}, refuse_to_read) == expected


class TestTombstones:
    FILES = {  # noqa: RUF012 - never changed
        PATH: SEALED[0],
        series_path(RUN, START): OTHERS[0],
        annotation_path(RUN, START, "a" * 16): OTHERS[1],
        rival_path(PATH, SEALED[1]): SEALED[1],
    }

    def test_tombstone_removes_all_other_files_of_its_run(self) -> None:
        other = {
            run_path(RUNS[1], START): VERSIONS[RUNS[1]][3],
            environment_path("ab" * 8): "e" * 40,
        }
        grave = {TOMBSTONE: OTHERS[2]}
        assert union({**self.FILES, **other}, grave, read) == grave | other
        assert union(grave, {**self.FILES, **other}, read) == grave | other

    def test_tombstone_removes_the_run_on_its_own_side(self) -> None:
        grave = {TOMBSTONE: OTHERS[2]}
        assert union(self.FILES | grave, self.FILES | grave, read) == grave

    def test_tombstone_in_another_month_is_ignored(self) -> None:
        elsewhere = {annotation_path(RUN, datetime(1999, 1, 1, tzinfo=UTC), "delete"): OTHERS[0]}
        assert union({PATH: SEALED[0]}, elsewhere, read) == {PATH: SEALED[0]} | elsewhere


class TestRoot:
    def test_the_greater_readme_stays(self) -> None:
        versions = [store(b"readme %d" % n) for n in range(5)]
        assert versions != sorted(versions)
        for a in versions:
            for b in versions:
                greater = max(a, b, key=lambda blob: BLOBS[blob])
                assert union({README_PATH: a}, {README_PATH: b}, read) == {README_PATH: greater}

    def test_a_newer_format_is_refused(self) -> None:
        ours = store(encode_table({"format": FORMAT}))
        newer = store(encode_table({"format": FORMAT + 1}))
        with pytest.raises(UnreadableRecord) as caught:
            union({FORMAT_PATH: ours}, {FORMAT_PATH: newer}, read)
        assert caught.value.why == f"it has format {FORMAT + 1}, this gitexp knows up to {FORMAT}"
        assert caught.value.hints == ("update gitexp: `pip install -U gitexp`",)

    def test_unknown_files_stay_only_if_both_sides_agree(self) -> None:
        left = {"a.txt": OTHERS[0], "b.txt": OTHERS[0], "c.txt": OTHERS[0]}
        right = {"b.txt": OTHERS[0], "c.txt": OTHERS[1], "d.txt": OTHERS[0]}
        assert union(left, right, refuse_to_read) == {"b.txt": OTHERS[0]}

    @pytest.mark.parametrize(
        ("data", "version"),
        [
            (b"format = 1\n", 1),
            (b"format = 7\n", 7),
            (b"format = true\n", None),
            (b"format = 'x'\n", None),
            (b"not toml", None),
            (b"", None),
            (None, None),
        ],
    )
    def test_the_format_is_read_from_its_file(
        self, data: bytes | None, version: int | None
    ) -> None:
        assert branch_format(data) == version


def test_surroundings_hold_everything_that_must_be_merged_together() -> None:
    touched = owners(parse_path(p) for p in [PATH, environment_path("ab" * 8), "foreign.txt"])
    near = affected_paths(touched)
    for path in [PATH, series_path(RUN, START), TOMBSTONE, environment_path("cd" * 8)]:
        folders = [f"{folder}/" for folder in PurePosixPath(path).parents][:-1]
        assert folders
        assert all(near(folder) for folder in folders)
    for path in [
        run_path(RUNS[1], START),
        annotation_path(RunId(RUN[:8] + "0" * 8), START, "a" * 16),
        f"2026-11/01/{RUN}/x",
    ]:
        assert not near(f"{PurePosixPath(path).parent}/")
