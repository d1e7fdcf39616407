"""`git exp sweep`: run many trials of one command."""

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.terminal import answer, open_workspace
from gitexp.cli.params.options import Duration, IntegerRange, metric_pattern_option
from gitexp.cli.params.run_options import (
    input_option,
    message_option,
    params_option,
    tag_option,
)
from gitexp.cli.sweep.options import SweepOptions, running_options
from gitexp.cli.sweep.run import look_up, make_plan, run_sweep
from gitexp.cli.sweep.subcommands import SUBCOMMANDS
from gitexp.core.errors import ExitCode, InvalidInput
from gitexp.core.inputs.argv import format_value
from gitexp.core.inputs.redaction import redact_argv, redact_text
from gitexp.features.execution.place_inputs import check_links
from gitexp.features.recording.record import read_file
from gitexp.features.sweeps.definition import MAX_TABLE_BYTES, Definition
from gitexp.features.sweeps.plan import (
    Planned,
    State,
    directory_of,
    refuse_secrets,
    with_code,
)
from gitexp.features.sweeps.study import PRUNERS, SAMPLERS
from gitexp.features.sweeps.summary import short_point
from gitexp.storage.workspace import Workspace

MAX_JOBS = 256
"""Jobs that a CI matrix on GitHub has at most."""


class Sweep(click.Command):
    """A command whose first word may be one of its sub-commands."""

    subcommands: Mapping[str, click.Command] = SUBCOMMANDS

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the sub-command that is named first, else of the sweep itself."""
        inner = self.subcommands.get(args[0]) if args else None
        if inner is not None:
            return inner.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


SPACE_OPTIONS = [
    click.option(
        *("-S", "--set-param", "values"),
        multiple=True,
        metavar="NAME=VALUES",
        help="Values: 0.1,0.01 or 2..8 or 0..1:0.1 or log(1e-5..1e-1). Repeatable.",
    ),
    click.option(
        "--zip",
        "zipped",
        multiple=True,
        metavar="NAME,NAME",
        help="Parameters that vary together. Repeatable.",
    ),
    click.option(
        "--from",
        "file",
        metavar="FILE",
        help="A table [space] in toml, or points in json or csv.",
    ),
    click.option(
        *("-w", "--where", "conditions"),
        multiple=True,
        metavar="EXPR",
        help="Only points for which EXPR holds: 'depth * width < 512'. Repeatable.",
    ),
    click.option(
        "--random", type=IntegerRange(1), metavar="N", help="Draw N points, not the grid."
    ),
    click.option(
        "--optuna",
        type=IntegerRange(1),
        metavar="N",
        help="Let Optuna propose N points, by the results.",
    ),
    click.option(
        "--sampler", type=click.Choice(SAMPLERS), help="How Optuna proposes [default: tpe]."
    ),
    click.option(
        "--prune", type=click.Choice(PRUNERS), help="Let Optuna stop trials that do badly."
    ),
    click.option(
        "--seed",
        type=IntegerRange(0),
        default=0,
        metavar="N",
        help="Chooses the draw [default: 0].",
    ),
    click.option("--seeds", type=IntegerRange(1), metavar="N", help="Run each point with N seeds."),
]
TRIAL_OPTIONS = [
    click.option("--metric", metavar="METRIC", help="What the trials are ranked by."),
    click.option("--minimize", metavar="METRIC", help="The same; less is better."),
    click.option("--maximize", metavar="METRIC", help="The same; more is better."),
    metric_pattern_option("Reads metrics from the output: NAME=REGEX. Repeatable."),
    click.option(
        "--timeout", "timeout_s", type=Duration(), metavar="TIME", help="End a trial after TIME."
    ),
    message_option,
    tag_option,
    params_option,
    click.option(
        "--metrics",
        "metrics_files",
        multiple=True,
        metavar="FILE",
        help="Metrics from a file of each trial. Repeatable.",
    ),
    input_option,
    click.option(
        "--output",
        "outputs",
        multiple=True,
        metavar="PATH",
        help="A file a trial writes; its hash is recorded. Repeatable.",
    ),
    click.option(
        "--link",
        "links",
        multiple=True,
        metavar="PATH",
        help="An untracked path that each trial needs. Repeatable.",
    ),
    click.option("--in-place", is_flag=True, help="Run in your work tree, one by one."),
    click.option("--print-matrix", is_flag=True, help="Print the trials as JSON for CI."),
]


def _with(options: list[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command("sweep", cls=Sweep, context_settings={"allow_interspersed_args": False})
@_with(SPACE_OPTIONS)
@_with(TRIAL_OPTIONS)
@running_options
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    options: SweepOptions,
    argv: tuple[str, ...],
    file: str | None,
    links: tuple[str, ...],
    print_matrix: bool,
    **fields: Any,
) -> int:
    """Run a command with many values of its parameters

    Every point of the grid is a trial, or N points that are drawn with `--random N` or proposed
    with `--optuna N` (extra `optuna`). `{k}` in CMD is replaced by parameter k. Each trial is a
    run of its own, in a work tree of its own with the present code, uncommitted files included;
    your files are not touched. A trial that ended before, here or by hand, is not run again.
    Untracked inputs are linked. `--executor dask://HOST:8786` runs the trials on a Dask cluster,
    whose workers need git and Python only.

    The first Ctrl-C lets the running trials end, the second stops them; `git exp sweep resume`
    goes on. Also: `git exp sweep list`, `show`, `status`, `stop`, `rm`.

    Exit code 0: every trial has a result; 1: some failed or did not run; 125: none has the metric;
    128: it cannot run, or its engine was lost; 129: there is no such space; 130: Ctrl-C.

    \b
    git exp sweep -S lr=0.1,0.01 -- python train.py --lr {lr}
    git exp sweep -S lr=0.0..0.5 --random 3 -- python train.py --lr {lr}
    """
    _check(options, print_matrix=print_matrix, **fields)
    workspace = open_workspace()
    table, name = ("", "") if file is None else _read_table(file)
    definition = _define(
        workspace,
        argv,
        links=check_links(workspace, links),
        table=table,
        table_name=name,
        **fields,
    )
    if print_matrix:
        return _print_matrix(workspace, definition, options)
    return run_sweep(workspace, definition, options)


def _check(options: SweepOptions, *, print_matrix: bool, **fields: Any) -> None:
    """Refuse options that contradict each other."""
    ranked = [n for n in ("metric", "minimize", "maximize") if fields[n]]
    pairs = [
        (len(ranked) > 1, " and ".join(f"--{name}" for name in ranked)),
        (print_matrix and options.dry_run, "--print-matrix and --dry-run"),
        (options.quiet and options.prefix_output, "--quiet and --prefix-output"),
        (fields["in_place"] and (options.jobs or 1) > 1, "--in-place and --jobs"),
        (fields["optuna"] and fields["random"], "--optuna and --random"),
        (fields["optuna"] and print_matrix, "--optuna and --print-matrix"),
        (fields["prune"] and fields["in_place"], "--prune and --in-place"),
        (fields["prune"] and fields["seeds"], "--prune and --seeds"),
    ]
    for is_wrong, what in pairs:
        if is_wrong:
            raise click.UsageError(f"{what} contradict each other; choose one")
    for name in ("sampler", "prune"):
        if fields[name] and not fields["optuna"]:
            raise click.UsageError(f"--{name} needs --optuna N")


def _read_table(file: str) -> tuple[str, str]:
    path = Path(file)
    data = read_file(path)
    if len(data) > MAX_TABLE_BYTES:
        why = f"it has {len(data):,} bytes, at most {MAX_TABLE_BYTES:,} are kept with a sweep"
        raise InvalidInput(f"cannot use '{file}'", why=why)
    try:
        return data.decode("utf-8-sig"), path.name
    except UnicodeDecodeError as error:
        raise InvalidInput(f"cannot read '{file}'", why="it is not UTF-8") from error


def _define(workspace: Workspace, argv: tuple[str, ...], **given: Any) -> Definition:
    """The sweep that the options ask for. Raises `InvalidInput`."""
    metric = given["minimize"] or given["maximize"] or given["metric"] or ""
    direction = "minimize" if given["minimize"] else "maximize" if given["maximize"] else ""
    definition = Definition(
        argv=tuple(redact_argv(argv)),
        directory=directory_of(workspace),
        commit="0" * 40,
        tree="0" * 40,
        values=given["values"],
        zipped=given["zipped"],
        conditions=given["conditions"],
        table=given["table"],
        table_name=given["table_name"],
        random=given["random"] or 0,
        optuna=given["optuna"] or 0,
        sampler=given["sampler"] or "",
        prune=given["prune"] or "",
        seed=given["seed"] if given["random"] or given["optuna"] else 0,
        seeds=given["seeds"] or 0,
        metric=metric,
        direction=direction,
        timeout_s=given["timeout_s"] or 0.0,
        reason=redact_text(given["reason"] or ""),
        tags=tuple(sorted(set(given["tags"]))),
        params_files=given["params_files"],
        metrics_files=given["metrics_files"],
        metric_patterns=given["metric_patterns"],
        inputs=given["inputs"],
        outputs=given["outputs"],
        links=tuple(sorted(set(given["links"]))),
        in_place=given["in_place"],
    )
    refuse_secrets(definition)
    return with_code(workspace, definition)


# --- for CI -----------------------------------------------------------------------------------


def _print_matrix(workspace: Workspace, definition: Definition, options: SweepOptions) -> int:
    plan = make_plan(workspace, definition, options.choices)
    new = [each for each in look_up(plan) if each.state is State.NEW]
    if len(new) > MAX_JOBS:
        warn(f"the matrix has {len(new):,} jobs; GitHub takes at most {MAX_JOBS}")
    answer(json.dumps({"include": [_job(definition, each) for each in new]}))
    return ExitCode.DONE


def _job(definition: Definition, each: Planned) -> dict[str, Any]:
    given = [word for n, v in each.point.items() for word in ("-S", f"{n}={format_value(v)}")]
    words = ["git", "exp", "run", *given, "--", *definition.argv]
    return {
        "number": each.number,
        "name": short_point(each.point),
        "params": {name: _plain(value) for name, value in each.point.items()},
        "command": shlex.join(words),
    }


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=str))
