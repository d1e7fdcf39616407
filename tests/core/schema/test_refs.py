"""Refs and paths on the branch."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.model.ids import RunId
from gitexp.core.schema.layout import (
    TOMBSTONE,
    BranchPath,
    PathKind,
    annotation_path,
    code_ref,
    environment_path,
    output_path,
    parse_path,
    parse_shard,
    pending_ref,
    remote_ref,
    rival_path,
    run_path,
    run_ref,
    series_path,
)

RUN = RunId("7f3a9c0d5e1b2a48")
STARTED = datetime(2026, 11, 3, tzinfo=UTC)
HEX = st.text("0123456789abcdef", min_size=16, max_size=16)
MONTHS = st.datetimes(
    datetime.fromisoformat("0001-01-01"),
    datetime.fromisoformat("9999-01-01"),
    timezones=st.just(UTC),
)


def test_refs_have_their_documented_names() -> None:
    assert run_ref("gitexp") == "refs/heads/gitexp"
    assert code_ref("gitexp") == "refs/heads/gitexp-code"
    assert pending_ref(RUN) == f"refs/gitexp/pending/{RUN}"
    assert remote_ref("origin", run_ref("gitexp")) == "refs/gitexp/remotes/origin/gitexp"


def test_paths_have_their_documented_form() -> None:
    assert run_path(RUN, STARTED) == f"runs/2026-11/7f/{RUN}.toml"
    assert series_path(RUN, STARTED) == f"series/2026-11/7f/{RUN}.csv"
    assert (
        annotation_path(RUN, STARTED, "0" * 16)
        == f"annotations/2026-11/7f/{RUN}/0000000000000000.toml"
    )
    assert environment_path("ab" * 32) == f"environments/{'ab' * 32}.toml"


@given(HEX.map(RunId), MONTHS, HEX)
def test_every_written_path_is_parsed(run: RunId, started: datetime, other: str) -> None:
    folder = f"{started.isoformat()[:7]}/{run[:2]}"
    expected = {
        run_path(run, started): BranchPath(PathKind.RUN, run, folder, run),
        series_path(run, started): BranchPath(PathKind.SERIES, run, folder, run),
        output_path(run, started): BranchPath(PathKind.OUTPUT, run, folder, run),
        annotation_path(run, started, other): BranchPath(PathKind.ANNOTATION, run, folder, other),
        annotation_path(run, started, TOMBSTONE): BranchPath(
            PathKind.ANNOTATION, run, folder, TOMBSTONE
        ),
        environment_path(other * 4): BranchPath(PathKind.ENVIRONMENT, None, "", other * 4),
    }
    for path, understood in expected.items():
        assert parse_path(path) == understood
        rival = parse_path(rival_path(path, "abcdef" * 7))
        assert rival is not None
        assert rival.rival == "abcdefabcdef"
        assert (rival.kind, rival.run, rival.name) == (
            understood.kind,
            understood.run,
            understood.name,
        )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "README.md",
        f"runs/2026-11/7f/{RUN}.csv",
        f"series/2026-11/7f/{RUN}.toml",
        f"output/2026-11/7f/{RUN}.toml",
        f"runs/2026-11/00/{RUN}.toml",
        f"annotations/2026-11/00/{RUN}/{RUN}.toml",
        f"runs/2026-11/7f/{RUN}.toml\n",
        f"runs/2026-11/7f/{RUN.upper()}.toml",
        f"runs/2026-11/7f/{RUN}.toml/x",
        f"x/runs/2026-11/7f/{RUN}.toml",
        f"annotations/2026-11/7f/{RUN}/remove.toml",
        "environments/../x.toml",
        "environments/short.toml",
        "runs/\u0662026-11/7f/7f3a9c0d5e1b2a48.toml",
    ],
)
def test_foreign_paths_are_not_parsed(path: str) -> None:
    assert parse_path(path) is None


NAME_PARTS = st.sampled_from(
    [
        RUN,
        f"7f{'0' * 14}",
        f"00{'0' * 14}",
        RUN.upper(),
        RUN[1:],
        "~abcdefabcdef",
        ".toml",
        ".csv",
        ".txt",
        "",
    ]
)


@given(
    st.sampled_from(["runs", "series", "output", "annotations", "environments", "x"]),
    st.sampled_from(["2026-11/7f/", "2026-11/7F/", "2026-11/", "2026-11/7f/00/"]),
    st.lists(NAME_PARTS, max_size=3).map("".join),
)
def test_shelf_selects_first_versions(top: str, folder: str, name: str) -> None:
    shelf = parse_shard(f"{top}/{folder}")
    place = parse_path(f"{top}/{folder}{name}")
    if shelf is None:
        assert place is None
        return
    assert (shelf.kind, shelf.folder) == (SHELVES[top], "2026-11/7f")
    first = place is not None and place.rival is None
    assert shelf.first_names([name.encode()]) == ({name.encode()} if first else set())


SHELVES = {
    "runs": PathKind.RUN,
    "series": PathKind.SERIES,
    "output": PathKind.OUTPUT,
    "annotations": PathKind.ANNOTATION,
}
