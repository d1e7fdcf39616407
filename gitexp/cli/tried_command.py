"""`git exp tried`: find earlier runs of a trial."""

import json

import click

from gitexp.cli.output.earlier_runs import show_earlier_runs
from gitexp.cli.output.progress import waiting
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import json_option, set_param_option
from gitexp.core.analysis.kinship import Difference
from gitexp.core.errors import ExitCode
from gitexp.core.inputs.argv import parse_assignments
from gitexp.core.model.run import Origin, RecordedRun
from gitexp.core.render.machine_formats import format_json
from gitexp.core.schema.json_codec import entry_document, json_value
from gitexp.features.execution.prepare import RunRequest, prepare
from gitexp.features.trials.earlier_runs import EarlierRuns, find_earlier_runs


@click.command("tried", context_settings={"allow_interspersed_args": False})
@set_param_option
@click.option(
    "--params",
    "params_files",
    multiple=True,
    metavar="FILE",
    help="Parameters from a file. Repeatable.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="PATH",
    help="A data file or folder whose content counts. Repeatable.",
)
@click.option("--metrics", "metrics_files", multiple=True, metavar="FILE", hidden=True)
@json_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    assignments: tuple[str, ...],
    params_files: tuple[str, ...],
    inputs: tuple[str, ...],
    metrics_files: tuple[str, ...],
    as_json: bool,
    argv: tuple[str, ...],
) -> int:
    """Ask whether a trial was tried before

    Runs nothing. The same code, command, parameters and inputs are the same trial, also after an
    amend, a rebase or an edit of the README. Exit code 0: new; 1: tried, or running now.

    \b
    git exp tried -- python train.py --lr 0.01
    git exp tried -S lr=0.1 --json -- python train.py --lr {lr}
    """
    workspace = open_workspace()
    request = RunRequest(
        origin=Origin.RUN,
        argv=argv,
        directory=workspace.repo.start,
        params=parse_assignments(assignments),
        params_files=params_files,
        metrics_files=metrics_files,
        inputs=inputs,
    )
    with waiting("reading code and data"):
        prepared = prepare(workspace, request, observe=False)
    tried = find_earlier_runs(
        workspace,
        prepared.run,
        look=prepared.observe_environment,
        uncompared=prepared.uncompared,
        changed=prepared.changed,
    )
    if as_json:
        policy = workspace.settings.repeat
        answer(format_json(_document(tried, prepared.run.fingerprint, policy)))
    else:
        if not tried.is_known:
            say("new: this very trial was not run before")
        show_earlier_runs(workspace, prepared.run, tried, err=False)
    return ExitCode.NO if tried.is_known else ExitCode.DONE


def _document(tried: EarlierRuns, fingerprint: str, policy: str) -> dict[str, object]:
    changed = [{"path": path, "run": _plain(entry)} for entry, path in tried.changed]
    return {
        "schema": 1,
        "tried": tried.is_known,
        "rejected": tried.is_rejected,
        "refused": tried.is_refused(policy),
        "fingerprint": fingerprint,
        "identical": [_plain(entry) for entry in tried.identical],
        "running": [_plain(running.entry) for running in tried.running],
        "kin": [
            {
                "relation": how.relation.value,
                "differences": [_difference(difference) for difference in how.differences],
                "run": _plain(entry),
            }
            for how, entry in tried.kin
        ],
        **({"changed": changed} if changed else {}),
        **({"doubts": [*tried.doubts]} if tried.doubts else {}),
    }


def _difference(found: Difference) -> dict[str, object]:
    document = {
        "kind": found.kind.value,
        "name": found.name or None,
        "before": None if found.before is None else json_value(found.before),
        "after": None if found.after is None else json_value(found.after),
    }
    return {key: value for key, value in document.items() if value is not None}


def _plain(entry: RecordedRun) -> object:
    return json.loads(json.dumps(entry_document(entry)))
