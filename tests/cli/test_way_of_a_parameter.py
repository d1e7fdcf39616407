"""A parameter changes its form where the table in docs/architecture.md says, and nowhere else."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import gitexp
from gitexp.core.model.run import RecordedRun
from gitexp.core.schema.json_codec import entry_document, parse_entry
from gitexp.core.schema.toml_codec import decode_run, encode_run, recode_run
from tests.cli.conftest import Exp
from tests.core.sample_runs import make_run

PACKAGE = Path(gitexp.__file__).parent
PAGE = PACKAGE.parent / "docs" / "architecture.md"
MOST_CHANGES = 7

CODECS = (
    *("core/inputs/argv.py", "core/schema/toml_codec.py", "core/schema/json_codec.py"),
    *("core/schema/kinds.py", "storage/cache/rows.py", "core/render/run_table.py"),
)
"""Modules that give a value another form."""
VALUE = 0.03125


def documented() -> list[tuple[str, str]]:
    """Return module and function of each change, in order."""
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index("## The way of a parameter") :]
    return re.findall(r"^\| \d \|.*\| `([\w/]+\.py): (\w+)` \|$", section, re.MULTILINE)


@contextmanager
def called(first: list[tuple[str, str]]) -> Iterator[None]:
    """Note in `first` each function of `CODECS` when it is called first."""
    modules = {str(PACKAGE / name): name for name in CODECS}
    seen = set[Any]()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code not in seen:
            seen.add(code)
            if code.co_filename in modules:
                first.append((modules[code.co_filename], code.co_name))

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def test_parameter_changes_form_as_documented(exp: Exp) -> None:
    changes, first = documented(), list[tuple[str, str]]()
    assert 0 < len(changes) <= MOST_CHANGES
    with called(first):
        exp("run", "-S", f"lr={VALUE}", "--", "true")
        listed = exp("list")
    assert str(VALUE) in listed.out
    assert [call for call in first if call in changes] == changes
    codecs = {name for _, name in first if name.startswith(("decode_run", "entry_document"))}
    assert not codecs, "a record is read or written in another way"


def test_table_of_parameters_is_passed_on_unchanged() -> None:
    run = make_run(1, params={"lr": VALUE, "model": {"depth": 3}})
    record = encode_run(run)
    table, document = recode_run(record)
    assert table["params"] == document["params"] == run.params == decode_run(record).params
    entry = entry_document(RecordedRun(run))
    assert parse_entry(entry).run.params is entry["params"]
