"""DVC's experiments in this repository: the commits below `refs/exps`, and their files.

Parameters and metrics come from the files that `dvc.yaml` names in each commit. An experiment's
commit holds exactly the files that ran, so it becomes the snapshot of the run.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.trackers.source_run import ImportedRun, ScanResult, parse_moment, read_each
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.files import parse_metrics, parse_params, parse_table
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Outcome, Series, Table, nest

MAX_BYTES = 16 << 20
REFS = "refs/exps"
_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38,62}/(.+)")
_OWN_MESSAGE = "dvc: commit experiment"
_PARAMS = ("params.yaml", "dvclive/params.yaml")
_METRICS = ("metrics.json", "dvclive/metrics.json")


@dataclass(frozen=True, slots=True)
class _Experiment:
    name: str
    commit: ObjectId
    parent: str
    seconds: str
    message: str


def has_experiments(repo: Repo) -> bool:
    """Return whether the repository has DVC experiments."""
    return next(_experiments(repo), None) is not None


def read_experiments(repo: Repo) -> ScanResult:
    """Read all experiments of the repository. Raises `InvalidInput` when there are none."""
    runs, left_out = read_each(
        _experiments(repo), lambda experiment: _read(repo, experiment), lambda e: e.name
    )
    if not runs and any("PyYAML" in why for _, why in left_out):
        raise InvalidInput(
            "cannot read DVC's files", why=left_out[0].why, hints=["`pip install 'gitexp[yaml]'`"]
        )
    if not runs and not left_out:
        raise InvalidInput(
            "there are no DVC experiments in this repository",
            why=f"no ref below `{REFS}` is one",
            hints=["bring a remote's experiments here: `dvc exp pull REMOTE`"],
        )
    return ScanResult(runs, left_out=left_out)


def _experiments(repo: Repo) -> Iterator[_Experiment]:
    listed = repo.git("for-each-ref", "--format=%(objectname) %(refname)", REFS).text
    names = {
        ObjectId(oid): found[1]
        for oid, _, ref in (line.partition(" ") for line in listed.splitlines())
        if (found := _EXPERIMENT.fullmatch(ref))
    }
    if not names:
        return
    told = repo.git(
        *("log", "--no-walk=unsorted", "--no-show-signature", "--format=%H%x00%P%x00%at%x00%B%x01"),
        "--stdin",
        stdin="\n".join(names).encode(),
    )
    for part in told.text.split("\x01")[:-1]:
        oid, parents, seconds, message = part.strip("\n").split("\0", 3)
        commit = ObjectId(oid)
        yield _Experiment(names[commit], commit, parents.split(" ")[0], seconds, message.strip())


def _read(repo: Repo, experiment: _Experiment) -> ImportedRun:
    tree = {entry.path: entry.oid for entry in repo.list_tree(experiment.commit)}
    params_files, metrics_files = _named_files(repo, tree)
    params: Table = {}
    metrics: Table = {}
    series: Series = []
    warnings = []
    for path in params_files:
        content = _content(repo, tree, path)
        if content is not None:
            found = parse_params(content, PurePosixPath(path).suffix, name=path)
            params = nest(params, found)
    for path in metrics_files:
        content = _content(repo, tree, path)
        if content is None:
            warnings.append(f"metrics file '{path}' is not in the experiment's commit")
            continue
        values, rows = parse_metrics(content, PurePosixPath(path).suffix, name=path)
        metrics = nest(metrics, values)
        series = series or rows
    message = experiment.message
    return ImportedRun(
        source=f"dvc:{experiment.commit}",
        outcome=Outcome.SUCCEEDED,  # DVC keeps no failed experiments
        name=experiment.name,
        started=parse_moment(int(experiment.seconds)),
        reason=None if message.startswith(_OWN_MESSAGE) else message or None,
        commit=experiment.parent or None,
        snapshot=experiment.commit,
        is_exact=True,
        params=params,
        metrics=metrics,
        series=series,
        environment={"tracker": "dvc"},
        warnings=(*warnings, "DVC keeps when the experiment was saved, not when it started"),
    )


def _content(repo: Repo, tree: Mapping[str, ObjectId], path: str) -> bytes | None:
    if path not in tree:
        return None
    return next(iter(repo.read_blobs([tree[path]], max_bytes=MAX_BYTES)))[1]


# --- files ----------------------------------------------------------------------------------------


def _named_files(repo: Repo, tree: Mapping[str, ObjectId]) -> tuple[list[str], list[str]]:
    """Return the parameter and metrics files in the tree's `dvc.yaml`, and the default ones."""
    params = [path for path in _PARAMS if path in tree]
    metrics = [path for path in _METRICS if path in tree]
    for path in tree:
        if PurePosixPath(path).name != "dvc.yaml":
            continue
        folder = PurePosixPath(path).parent
        pipeline = parse_table(_content(repo, tree, path) or b"", ".yaml", name=path)
        for into, key in ((params, "params"), (metrics, "metrics")):
            into += [
                (folder / name).as_posix()
                for name in (*_listed(pipeline.get(key), key), *_of_stages(pipeline, key))
            ]
    return list(dict.fromkeys(params)), list(dict.fromkeys(metrics))


def _of_stages(pipeline: Mapping[str, Any], key: str) -> Iterator[str]:
    stages = pipeline.get("stages")
    for stage in stages.values() if isinstance(stages, dict) else ():
        if isinstance(stage, dict):
            bodies = stage.get("do"), stage
            body = next((b for b in bodies if isinstance(b, dict) and key in b), {})
            yield from _listed(body.get(key), key, in_stage=True)


def _listed(entries: Any, key: str, *, in_stage: bool = False) -> Iterator[str]:
    """Yield file names of a list. A stage's plain parameter is a key of `params.yaml`, no file."""
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict):
            yield from (str(name) for name in entry)
        elif isinstance(entry, str) and not (in_stage and key == "params"):
            yield entry
