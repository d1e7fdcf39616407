"""Values that a running command prints, as they come."""

from pathlib import Path

from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.journal.new_metrics import NewMetrics
from gitexp.core.model.ids import RunId


def test_values_come_once_with_their_steps(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, RunId("a" * 16), b"record", durable=False)
    follow = NewMetrics(journal.path)
    assert list(follow.values("loss")) == []
    journal.metrics({"loss": 0.5, "other": 1}, step=3)
    journal.metrics({"other": 2})
    journal.metrics({"loss": "text"}, step=4)
    assert list(follow.values("loss")) == [(3, 0.5)]
    assert list(follow.values("loss")) == []
    journal.metrics({"loss": 0.25})
    with journal.path.open("ab") as file:
        file.write(b"half a line")
    assert list(follow.values("loss")) == [(1, 0.25)]
    journal.remove()
    assert list(follow.values("loss")) == []
