"""Values that a running command prints, as they come."""

from pathlib import Path

from gitexp.adapters.journal.journal import Journal, parse_journal
from gitexp.adapters.journal.new_metrics import NewMetrics
from gitexp.core.model.ids import RunId
from gitexp.features.recording.record import fold_events


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
    assert list(follow.values("loss")) == [(2, 0.25)]
    journal.remove()
    assert list(follow.values("loss")) == []


def test_logged_values_win_over_printed_ones_as_in_the_record(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, RunId("a" * 16), b"record", durable=False)
    follow = NewMetrics(journal.path)
    journal.metrics({"loss": 5.0, "rate": 3}, step=0, printed=True)
    journal.metrics({"loss": 0.5}, step=0)
    journal.metrics({"loss": 7.0, "rate": 4}, step=1, printed=True)
    journal.metrics({"loss": "broken"})
    journal.metrics({"loss": 0.25})
    taken = list(follow.values("loss"))
    series = fold_events(parse_journal(journal.path, journal.path.read_bytes())).series
    assert taken == [(0, 0.5), (2, 0.25)]
    assert taken == [(r["step"], r["loss"]) for r in series if isinstance(r.get("loss"), float)]
    journal.metrics({"loss": 9.0, "rate": 5}, step=3, printed=True)
    assert list(follow.values("loss")) == []
    journal.close()
