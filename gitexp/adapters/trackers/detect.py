"""Detection of the tracker that wrote a path, and the table of readers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.trackers.source_run import ScanResult
from gitexp.core.errors import InvalidInput

ROW_SUFFIXES: Final = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
_SQLITE: Final = b"SQLite format 3\0"
_WANDB_COLUMNS: Final = {"Name", "State", "Created", "Runtime"}


def find_path(text: str, start: Path) -> Path:
    """Return the path of a source; accepts MLflow's URLs of files. Raises `InvalidInput`."""
    for scheme in ("sqlite:///", "file://", "file:"):
        text = text.removeprefix(scheme)
    if "://" in text:
        raise InvalidInput(
            f"cannot read '{text[:60]}'",
            why="runs are imported from files on disk, not from servers",
            hints=["export them there first, as CSV for example, and import the file"],
        )
    path = start / text
    if not path.exists():
        raise InvalidInput(f"there is no '{text}'")
    return path


def detect(path: Path, repo: Repo) -> str:
    """Return the tracker that wrote these files. Raises `InvalidInput` when it is unknown."""
    from gitexp.adapters.trackers import dvc, mlflow, tensorboard, wandb

    if path.is_file():
        return _detect_file(path)
    if mlflow.is_folder_store(path) or mlflow.is_folder_store(path / "mlruns"):
        return "mlflow"
    if wandb.find_folders(path):
        return "wandb"
    if path.resolve() == repo.top and dvc.has_experiments(repo):
        return "dvc"
    if tensorboard.find_folders(path):
        return "tensorboard"
    if (path / "mlflow.db").is_file():
        return "mlflow"
    raise InvalidInput(
        f"cannot tell what '{path.name}' holds", hints=[f"say it: `--from {'|'.join(READERS)}`"]
    )


def _detect_file(path: Path) -> str:
    from gitexp.adapters.trackers.autoresearch import is_log, is_results, parse_log

    with path.open("rb") as file:
        head = file.read(1 << 16)
    suffix = path.suffix.lower()
    if head.startswith(_SQLITE):
        return "mlflow"
    if "tfevents" in path.name:
        return "tensorboard"
    if suffix in (".csv", ".tsv"):
        line = head.decode("utf-8-sig", errors="replace").partition("\n")[0]
        columns = [c.strip('" \r') for c in line.split("\t" if suffix == ".tsv" else ",")]
        if is_results(columns):
            return "autoresearch"
        return "wandb" if set(columns) >= _WANDB_COLUMNS else "csv"
    if suffix in (".jsonl", ".ndjson"):
        return "autoresearch" if is_log(parse_log(head.decode(errors="replace"))) else "jsonl"
    if suffix == ".json":
        return "jsonl"
    raise InvalidInput(
        f"cannot tell what '{path.name}' holds", hints=[f"say it: `--from {'|'.join(READERS)}`"]
    )


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """A path to read runs from."""

    path: Path
    repo: Repo
    """The repository that imports the runs."""
    mapping: Mapping[str, str]
    """Targets by column, for tables."""


def _read_mlflow(source: Source) -> ScanResult:
    from gitexp.adapters.trackers import mlflow

    path = source.path
    if path.is_file():
        return mlflow.read_database(path)
    if (path / "mlruns").is_dir() and not mlflow.is_folder_store(path):
        return mlflow.read_folder(path / "mlruns")
    if (path / "mlflow.db").is_file() and not mlflow.is_folder_store(path):
        return mlflow.read_database(path / "mlflow.db")
    return mlflow.read_folder(path)


def _read_dvc(source: Source) -> ScanResult:
    from gitexp.adapters.trackers.dvc import read_experiments

    if source.path.resolve() != source.repo.top:
        raise InvalidInput(
            "cannot import DVC experiments of another repository",
            why="their code would be missing here",
            hints=["run `git exp import --from dvc .` in that repository"],
        )
    return read_experiments(source.repo)


def _read_wandb(source: Source) -> ScanResult:
    from gitexp.adapters.trackers import wandb

    path = source.path
    if path.is_dir():
        return wandb.read_folders(path)
    if path.suffix == ".wandb":
        return wandb.read_folders(path.parent)
    return _read_table(source, tracker="wandb")


def _read_tensorboard(source: Source) -> ScanResult:
    from gitexp.adapters.trackers.tensorboard import read_folders

    return read_folders(source.path)


def _read_autoresearch(source: Source) -> ScanResult:
    from gitexp.adapters.trackers import autoresearch, table_rows

    path = source.path
    if path.suffix.lower() in (".csv", ".tsv"):
        table = table_rows.read_rows(path.read_bytes(), path.suffix.lower(), name=path.name)
        return autoresearch.read_results(table)
    text = path.read_text(encoding="utf-8", errors="replace")
    return autoresearch.read_log(autoresearch.parse_log(text))


def _read_rows(source: Source) -> ScanResult:
    suffix = source.path.suffix.lower()
    return _read_table(source, tracker="csv" if suffix in (".csv", ".tsv") else "jsonl")


def _read_table(source: Source, *, tracker: str) -> ScanResult:
    from gitexp.adapters.trackers import table_rows

    path = source.path
    if not path.is_file():
        raise InvalidInput(f"cannot read '{path.name}'", why="it is not a file")
    suffix = path.suffix.lower()
    if suffix not in ROW_SUFFIXES:
        suffix = ".jsonl" if tracker == "jsonl" else ".csv"
    table = table_rows.read_rows(path.read_bytes(), suffix, name=path.name)
    return table_rows.imported_rows(table, source.mapping, tracker=tracker)


READERS: Final[Mapping[str, Callable[[Source], ScanResult]]] = {
    "mlflow": _read_mlflow,
    "dvc": _read_dvc,
    "wandb": _read_wandb,
    "tensorboard": _read_tensorboard,
    "autoresearch": _read_autoresearch,
    "csv": _read_rows,
    "jsonl": _read_rows,
}
"""The reader of every source."""

TAKES_MAPPING: Final = ("csv", "jsonl", "wandb")


def read_source(
    tracker: str, path: Path, repo: Repo, *, mapping: Mapping[str, str] | None = None
) -> ScanResult:
    """Read all runs of a source. Raises `InvalidInput` when it is unreadable."""
    if mapping and tracker not in TAKES_MAPPING:
        raise InvalidInput(f"`--map` is for tables; {tracker} files name their values")
    return READERS[tracker](Source(path, repo, mapping or {}))
