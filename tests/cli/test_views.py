"""Views: columns, filter, order and charts of the project's file, used by `list` and `report`."""

import base64
import gzip
import json
import re
from typing import Any

import pytest

from gitexp.cli.completion.suggest import suggest
from gitexp.cli.output.view_columns import document_keys, table_keys
from gitexp.cli.ui_command import SearchPage
from gitexp.core.errors import NotFound
from gitexp.core.model.run import AnnotationKind, Decision, RecordedRun
from gitexp.core.query.names import ATTRIBUTES
from gitexp.core.render.machine_formats import flat_document
from gitexp.core.render.run_table import value_at
from gitexp.core.schema.json_codec import entry_document
from gitexp.features.recording.record import annotate
from gitexp.features.runs.views import Chart, find_view
from gitexp.storage.workspace import Workspace
from tests.cli.conftest import Exp
from tests.core.sample_runs import full_run, make_annotation

VIEWS = """\
[views.paper]
columns = ["accuracy", "opt.lr", "why", "age"]
filter = "accuracy >= 0.7"
sort = "accuracy"
charts = ["loss", "accuracy against lr", "best accuracy"]

[views.newest]
sort = "-started"
"""


@pytest.fixture
def searched(exp: Exp) -> Exp:
    """Three runs, of which two are of the view `paper`."""
    for name, rate in (("poor", 0.4), ("good", 0.3), ("best", 0.1)):
        metrics = ("-M", f"accuracy={1 - rate}", "-M", f"loss={rate}")
        exp("record", "-q", "-n", name, "-S", f"opt.lr={rate}", "-S", "opt.kind=sgd", *metrics)
    exp("decide", "good", "keep", "-m", "no slower")
    exp.repo.write("gitexp.toml", VIEWS)
    return exp


def test_a_list_takes_columns_filter_and_order_of_a_view(searched: Exp) -> None:
    table = searched("list", "--view", "paper").out.splitlines()
    assert table[0].split() == ["id", "name", "accuracy", "lr", "why", "age"]
    assert [line.split()[1] for line in table[1:]] == ["best", "good"]
    assert "no slower" in table[2]
    narrowed = searched("list", "--view", "paper", "-w", "opt.lr > 0.2", "--name-only").out
    assert narrowed == "<run 2>"
    turned = searched("list", "--view", "paper", "--sort-by", "opt.lr", "--name-only").out
    assert turned.splitlines() == ["<run 3>", "<run 2>"], "the user's own order is stronger"
    newest = searched("list", "--view", "newest", "--name-only").out
    assert newest.splitlines() == ["<run 3>", "<run 2>", "<run 1>"]


def test_programs_get_the_rows_of_a_view(searched: Exp) -> None:
    csv = searched("list", "--view", "paper", "--csv").out.splitlines()
    assert csv[0] == "id,name,metrics.accuracy,params.opt.lr,why,started"
    assert csv[2].startswith("<run 2>,good,0.7,0.3,no slower")
    listed = json.loads(searched("list", "--view", "paper", "--json").out)["runs"]
    assert [run["name"] for run in listed] == ["best", "good"]
    assert listed[0]["params"]["opt"]["kind"] == "sgd", "documents are whole"


def test_every_attribute_of_filters_is_a_column_of_tables_and_files() -> None:
    apart = tuple(
        make_annotation(id=f"{n:016x}", decision=decision, saw=())
        for n, decision in enumerate((Decision.KEEP, Decision.DISCARD))
    )
    entry = RecordedRun(full_run(), apart)
    document = flat_document(entry_document(entry))
    empty = [key for key in table_keys(list(ATTRIBUTES)) if value_at(entry, key) is None]
    empty += [key for key in document_keys(list(ATTRIBUTES)) if key not in document]
    assert empty == [], "give `full_run` of tests/core/sample_runs.py values of new fields"


def test_the_reason_is_that_of_the_decision_in_force(searched: Exp) -> None:
    """Of independent decisions the most cautious is in force, not the last one."""
    workspace = Workspace.open()
    [run] = workspace.index.ids(workspace.query('name == "good"'))
    for decision, text in ((Decision.DISCARD, "too slow"), (Decision.KEEP, "fast here")):
        annotate(
            workspace,
            workspace.index.entry(run),
            AnnotationKind.DECISION,
            decision=decision,
            text=text,
            saw=(),
        )
    csv = searched("list", "--view", "paper", "--csv").out.splitlines()
    assert csv[2].startswith("<run 2>,good,0.7,0.3,too slow")


def test_a_view_names_what_runs_have(searched: Exp) -> None:
    view = find_view(Workspace.open(), "paper")
    assert view.columns == ("metrics.accuracy", "params.opt.lr", "why", "started")
    assert (view.sort, view.descending) == ("metrics.accuracy", None)
    assert view.charts == (
        Chart("loss"),
        Chart("accuracy", against="params.opt.lr"),
        Chart("accuracy", best=True),
    )


@pytest.mark.parametrize(
    ("line", "key", "why"),
    [
        ('columns = ["acuracy"]', "columns", "no run has 'acuracy'"),
        ('columns = "accuracy"', "columns", "expected a list of texts, not 'accuracy'"),
        ("columns = [1]", "columns", "expected a text, not 1"),
        ('filter = "accuracy >"', "filter", "cannot read the filter"),
        ('filter = "nothing > 1"', "filter", "no run has 'nothing'"),
        ('sort = "tag"', "sort", "cannot sort by tag: a run has many of them"),
        ('sort = ""', "sort", "expected a text, not ''"),
        ('charts = ["accuracy against speed"]', "charts", "no run has 'params.speed'"),
        ('charts = ["best speed"]', "charts", "no run has 'metrics.speed'"),
        ("column = []", "column", "a view has columns, filter, sort and charts"),
    ],
)
def test_a_fault_is_one_error_with_file_and_key(
    searched: Exp, line: str, key: str, why: str
) -> None:
    searched.repo.write("gitexp.toml", f"[views.bad]\n{line}\n\n[views.good]\nsort = 'loss'\n")
    told = searched("list", "--view", "bad", check=128).err.splitlines()
    assert told[0] == f"error: cannot use '{key}' of view 'bad' in gitexp.toml"
    assert told[1].startswith(f"because: {why}")
    assert searched("list", "--view", "good").code == 0
    assert searched("list").err == "", "other commands keep working"


def test_views_of_another_shape_are_an_error_of_theirs(searched: Exp) -> None:
    searched.repo.write("gitexp.toml", "views = 3\n")
    told = searched("list", "--view", "x", check=128).err.splitlines()
    assert told[:2] == [
        "error: cannot use the setting 'views'",
        "because: 3 in gitexp.toml is no table",
    ]
    searched.repo.write("gitexp.toml", "[views]\nx = 3\n")
    told = searched("list", "--view", "x", check=128).err.splitlines()
    assert told[:2] == ["error: cannot use view 'x'", "because: 3 in gitexp.toml is no table"]
    searched.repo.write("gitexp.toml", VIEWS)
    told = searched("list", "--view", "papr", check=128).err.splitlines()
    assert told[0] == "error: there is no view 'papr'"
    assert "paper" in told[1]


def test_a_view_without_runs_is_no_fault(exp: Exp) -> None:
    exp.repo.write("gitexp.toml", VIEWS)
    assert exp("list", "--view", "paper").err.startswith("there are no runs yet")


def test_views_are_completed(searched: Exp) -> None:
    assert [word.text for word in suggest(["list", "--view", ""])] == ["paper", "newest"]
    assert [word.text for word in suggest(["report", "--view=p"])] == ["--view=paper"]


def payload_of(searched: Exp, *options: str) -> dict[str, Any]:
    searched("report", "-o", "page.html", *options)
    text = (searched.repo.path / "page.html").read_text()
    found = re.search(r'id="payload">([A-Za-z0-9+/=]+)</script>', text)
    assert found is not None
    payload: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return payload


def test_a_report_has_every_view_and_opens_one(searched: Exp) -> None:
    payload = payload_of(searched, "--view", "paper")
    assert payload["view"] == "paper"
    assert payload["views"][0] == {
        "name": "paper",
        "columns": ["metrics.accuracy", "params.opt.lr", "why", "started"],
        "filter": "accuracy >= 0.7",
        "sort": "-metrics.accuracy",
        "charts": [
            {"metric": "loss", "against": None, "best": False},
            {"metric": "accuracy", "against": "params.opt.lr", "best": False},
            {"metric": "accuracy", "against": None, "best": True},
        ],
    }
    assert payload["views"][1]["sort"] == "-started"


def test_the_live_page_opens_a_view(searched: Exp) -> None:
    workspace = Workspace.open()
    *_, document = SearchPage(workspace, view="newest").documents(workspace, is_first=False)
    assert document["view"] == "newest"
    assert [view["name"] for view in document["views"]] == ["paper", "newest"]
    with pytest.raises(NotFound, match="there is no view 'other'"):
        SearchPage(workspace, view="other")


def test_a_report_leaves_a_view_with_a_fault_out_and_says_so(searched: Exp) -> None:
    searched.repo.write("gitexp.toml", f"{VIEWS}\n[views.bad]\nsort = 'speed'\n")
    done = searched("report", "-o", "page.html")
    assert done.err.splitlines()[0] == (
        "warning: cannot use 'sort' of view 'bad' in gitexp.toml: no run has 'speed';"
        " the page leaves it out"
    )
    told = searched("report", "-o", "page.html", "--view", "bad", check=128).err
    assert told.startswith("error: cannot use 'sort' of view 'bad' in gitexp.toml")
