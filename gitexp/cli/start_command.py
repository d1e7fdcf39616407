"""`git exp start`: begin a manual run."""

import click

from gitexp.cli.output.earlier_runs import NOT_COMPARED, show_earlier_runs
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.run_options import RunOptions, Starting, recording_options, run_request
from gitexp.core.errors import Refused
from gitexp.core.model.run import Origin
from gitexp.features.execution.code_snapshot import pin
from gitexp.features.execution.prepare import prepare
from gitexp.features.recording.record import expect_start, record_start
from gitexp.features.trials.earlier_runs import find_earlier_runs


@click.command("start", cls=Starting, context_settings={"allow_interspersed_args": False})
@recording_options
@click.option("--again", is_flag=True, help="Begin it even if this very trial was tried before.")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD [ARG]...]")
def command(
    options: RunOptions,
    again: bool,
    argv: tuple[str, ...],
) -> None:
    """Begin a run by hand

    For scripts that `git exp run` cannot wrap. Prints the id of the run for `git exp note` and `git
    exp finish`. CMD, if given, is recorded and not started.

    \b
    RUN=$(git exp start -S lr=0.1); python train.py; git exp finish $RUN
    git exp start --params params.toml -m "a longer warm-up"
    """
    workspace = open_workspace()
    expect_start(workspace)
    prepared = prepare(workspace, run_request(workspace, options, Origin.STEPS, argv))
    tried = find_earlier_runs(
        workspace,
        prepared.run,
        kin=0,
        look=prepared.observe_environment,
        uncompared=prepared.uncompared,
        changed=prepared.changed,
    )
    if argv and tried.is_known and not again and workspace.settings.repeat != "allow":
        show_earlier_runs(workspace, prepared.run, tried, err=True)
        if tried.is_refused(workspace.settings.repeat):
            raise Refused(
                "not begun: this very trial was tried before",
                hints=["`--again` starts it anyway", NOT_COMPARED],
            )
    run = pin(workspace, prepared.run)
    _, problem = record_start(workspace, run, prepared.packages, by_hand=True)
    if problem is not None:
        raise problem
    say(f"run {run.id[:7]} {run.name} begun; end it with `git exp finish {run.id[:7]}`")
    answer(run.id)
