"""A merge of branches writes the union of their two states."""

from hypothesis import given, settings

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import diff_trees_bounded
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.schema.layout import (
    FORMAT_PATH,
    annotation_path,
    rival_path,
    run_path,
    series_path,
)
from gitexp.core.schema.root_files import FORMAT_FILE
from gitexp.core.schema.union import union
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.one_sided import split_one_sided
from gitexp.storage.merge.branches import merge_run_branch
from tests.conftest import RepoBuilder
from tests.core.schema.test_merge import BLOBS, MISSING, OTHERS, START, read, states, store

FORMAT = {FORMAT_PATH: store(FORMAT_FILE)}
RUNS = "refs/heads/gitexp"
RUN_IDS = [RunId(f"01{n:014x}") for n in range(6)]


def write(repo: RepoBuilder, *children: dict[str, str]) -> list[ObjectId]:
    """Create a commit with only the format file, and its children."""
    stream = b""
    for n, files in enumerate([FORMAT, *children], 1):
        stream += f"commit refs/heads/x\nmark :{n}\ncommitter A <a@b> {n} +0000\n".encode()
        stream += b"data 0\n" + (b"from :1\ndeleteall\n" if n > 1 else b"deleteall\n")
        for path, blob in files.items():
            stream += f"M 100644 inline {path}\ndata {len(BLOBS[blob])}\n".encode()
            stream += BLOBS[blob] + b"\n"
    stream += b"".join(b"get-mark :%d\n" % n for n in range(1, len(children) + 2)) + b"done\n"
    made = repo.git("fast-import", "--quiet", "--force", "--done", stdin=stream)
    return [ObjectId(oid) for oid in made.split()]


def whole(state: dict[str, str]) -> dict[str, str]:
    """Return the state as files of a run branch: without missing files, with the format."""
    return {path: blob for path, blob in state.items() if blob != MISSING} | FORMAT


@given(states, states)
@settings(max_examples=30)
def test_a_merge_writes_the_union_of_both_states(
    place: RepoBuilder, one: dict[str, str], other: dict[str, str]
) -> None:
    one, other = whole(one), whole(other)
    keeper = RunBranch(Repo.discover(place.path), "gitexp", durable=False)
    _, ours, theirs = write(place, one, other)
    made = set()
    for here, there in ((ours, theirs), (theirs, ours)):
        place.git("update-ref", RUNS, here)
        made.add(merge_run_branch(keeper, "origin", there, max_files=1000).new)
    found = {entry.path: str(entry.oid) for entry in keeper.repo.list_tree(RUNS)}
    assert found == union(one, other, read)
    assert len(made) == 1 or ours == theirs


def test_runs_of_one_side_are_separated_from_the_rest(place: RepoBuilder) -> None:
    blob, other, rival = OTHERS[0], OTHERS[1], rival_path(run_path(RUN_IDS[4], START), "a" * 40)
    both = {run_path(RUN_IDS[0], START): blob, annotation_path(RUN_IDS[5], START, "delete"): blob}
    lone = {series_path(RUN_IDS[1], START): blob, run_path(RUN_IDS[1], START): blob}
    ours = {
        annotation_path(RUN_IDS[2], START, "a" * 16): blob,
        run_path(RUN_IDS[2], START): blob,
        run_path(RUN_IDS[3], START): blob,
        run_path(RUN_IDS[4], START): blob,
        run_path(RUN_IDS[5], START): blob,
        rival: blob,
    }
    theirs = {series_path(RUN_IDS[0], START): blob, run_path(RUN_IDS[3], START): other}
    _, old, new = write(place, both | ours, both | theirs | lone)
    repo = Repo.discover(place.path)
    parted = split_one_sided(repo, diff_trees_bounded(repo, old, new) or [])
    found = [
        {path for folder in part for _, path, _ in folder.files(folder.old | folder.new)}
        for part in parted
    ]
    assert found == [lone.keys(), {*ours, *theirs}]


@given(states, states)
@settings(max_examples=60)
def test_records_removed_by_a_descendant_are_restored(
    place: RepoBuilder, one: dict[str, str], other: dict[str, str]
) -> None:
    one, other = whole(one), whole(other)
    keeper = RunBranch(Repo.discover(place.path), "gitexp", durable=False)
    _, ours = write(place, one)
    theirs = place.git("commit-tree", f"{write(place, other)[1]}^{{tree}}", "-p", ours, "-m", "x")
    place.git("update-ref", RUNS, ours)
    joined = merge_run_branch(keeper, "origin", ObjectId(theirs), max_files=1000)
    found = {entry.path: str(entry.oid) for entry in keeper.repo.list_tree(RUNS)}
    united = union(one, other, read)
    united, given_ = ({p: b for p, b in s.items() if p != "README.md"} for s in (united, other))
    assert joined.repaired == (united != given_)
    assert {p: b for p, b in found.items() if p in united} == united
