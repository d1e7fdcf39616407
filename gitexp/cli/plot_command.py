"""`git exp plot`: plot metrics in the terminal, or as a picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import click

from gitexp.cli.output.terminal import answer, open_workspace, say, wants_colour, width
from gitexp.cli.params.options import IntegerRange, sweep_option, where_option
from gitexp.cli.params.run_argument import find_id, known_metric, needed_direction
from gitexp.core.errors import InvalidInput, Undetermined
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, Value
from gitexp.core.render.chart import Axes
from gitexp.core.render.plot import DEFAULT_HEIGHT, LINE, Shape, draw
from gitexp.core.schema.series_csv import merge_series
from gitexp.storage.workspace import Workspace

MAX_LINES = 12

MAX_POINTS = 2000
"""Points of a line in a picture: more than its pixels across."""


@click.command("plot")
@click.option("--against", metavar="PARAM", help="Every run as a point: the metric over PARAM.")
@click.option("--best", is_flag=True, help="Every run as a point, and the best mean so far.")
@click.option(
    "--over",
    type=click.Choice(["step", "time"]),
    default="step",
    help="What a series is drawn over [default: step].",
)
@where_option()
@sweep_option
@click.option("--log-x", is_flag=True, help="A logarithmic horizontal axis.")
@click.option("--log-y", is_flag=True, help="A logarithmic vertical axis.")
@click.option(
    "--height",
    type=IntegerRange(4, 200),
    default=DEFAULT_HEIGHT,
    metavar="N",
    help=f"Lines of the drawing [default: {DEFAULT_HEIGHT}].",
)
@click.option("--svg", metavar="FILE", help="Write a picture there instead, light and dark.")
@click.option("--png", metavar="FILE", help="The same as pixels; needs the extra `png`.")
@click.argument("metric")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
def command(
    against: str | None,
    best: bool,
    over: str,
    where: str | None,
    sweep: str | None,
    log_x: bool,
    log_y: bool,
    height: int,
    svg: str | None,
    png: str | None,
    metric: str,
    runs: tuple[str, ...],
) -> None:
    """Draw metrics in the terminal or as a picture

    Without --against and --best: the series of the metric of each RUN, by default of the last. In
    the terminal it needs the extra `plot`: `pip install 'gitexp[plot]'`. --svg and --png need no
    display.

    \b
    git exp plot loss last best
    git exp plot accuracy --against lr --log-x --svg lr.svg
    """
    if against and best:
        raise InvalidInput("choose one of --against and --best")
    workspace = open_workspace()
    metric = known_metric(workspace, metric)
    if sweep is not None:
        from gitexp.features.sweeps.known import filter_of

        of_sweep = filter_of(workspace, sweep)
        where = of_sweep if where is None else f"({where}) and {of_sweep}"
    names: Mapping[float, str] | None = None
    if against or best:
        query = workspace.query(where)
        chosen = [find_id(workspace, run) for run in runs] or workspace.index.ids(query)
        if best:
            shapes, x_label = _best_so_far(workspace, metric, chosen), "run"
        else:
            shapes, names = _scatter(workspace, metric, str(against), chosen)
            x_label = str(against)
    else:
        chosen = _chosen(workspace, metric, runs, where)
        shapes, x_label = _series(workspace, metric, chosen, over), over
        x_label = "seconds" if over == "time" else x_label
    if svg is not None or png is not None:
        if svg == png:
            raise InvalidInput("two pictures cannot be one file", hints=["name two files"])
        axes = Axes(x=x_label, y=metric, log_x=log_x, log_y=log_y, names=names)
        _write(workspace, shapes, axes, svg, png)
        return
    answer(
        draw(
            shapes,
            x_label=x_label,
            y_label=metric,
            width=width(),
            height=height,
            log_x=log_x,
            log_y=log_y,
            colour=wants_colour(),
        )
    )


def _write(
    workspace: Workspace, shapes: Sequence[Shape], axes: Axes, svg: str | None, png: str | None
) -> None:
    """Write the picture to the files that the user named."""
    from gitexp.cli.output.png import png_bytes
    from gitexp.cli.output.user_file import write_user_file
    from gitexp.core.render.chart import lay_out
    from gitexp.core.render.svg import svg_text

    picture = lay_out([_thinned(shape) for shape in shapes], axes)
    contents = []
    if svg is not None:
        contents.append((svg, svg_text(picture).encode(errors="replace")))
    if png is not None:
        contents.append((png, png_bytes(picture)))
    for file, content in contents:
        write_user_file(workspace.repo, file, content)
        say(f"wrote {file} ({max(1, round(len(content) / 1e3))} KB)")


def _thinned(shape: Shape) -> Shape:
    """Return a shape whose line has at most `MAX_POINTS` points, every peak among them."""
    from gitexp.features.report.thinning import thin

    if not shape.is_line or len(shape.points) <= MAX_POINTS:
        return shape
    finite = [point for point in shape.points if math.isfinite(point[1])]
    kept = [finite[n] for n in thin([y for _, y in finite], MAX_POINTS)]
    return replace(shape, points=kept)


def _chosen(
    workspace: Workspace, metric: str, runs: Sequence[str], where: str | None
) -> list[RunId]:
    """Return the named runs, or those that match the filter. `best` means by the plotted metric."""
    if where and not runs:
        return workspace.index.ids(workspace.query(where), limit=MAX_LINES)
    named = [f"best:{metric}" if run == "best" else run for run in runs or ("last",)]
    return list(dict.fromkeys(find_id(workspace, run) for run in named))


def _series(workspace: Workspace, metric: str, runs: Sequence[RunId], over: str) -> list[Shape]:
    short = workspace.index.short(runs)
    shapes = []
    for entry in workspace.index.entries(runs):
        run = entry.run
        rows = merge_series(workspace.branch.load_series(run.id, run.started))
        points = [
            (float(row[over]), float(row[metric]))
            for row in rows
            if isinstance(row.get(metric), int | float) and isinstance(row.get(over), int | float)
        ]
        if len(points) > 1:
            shapes.append(Shape(f"{short[run.id]} {run.name}", points))
        else:
            say(f"run {short[run.id]} {run.name} has no series of {metric}")
    if not shapes:
        raise Undetermined(
            f"there is no series of '{metric}' to draw",
            why="a series is kept when a metric is logged more than once in a run",
            hints=[f"the last values of all runs: `git exp plot {metric} --best`"],
        )
    return shapes


def _measured(workspace: Workspace, metric: str, runs: Sequence[RunId]) -> dict[RunId, float]:
    found = workspace.index.column(f"metrics.{metric}", runs)
    return {run: float(v) for run, v in found.items() if isinstance(v, int | float)}


def _best_so_far(workspace: Workspace, metric: str, runs: Sequence[RunId]) -> list[Shape]:
    """Return every run as a point, and the best mean of a trial after each run as a line."""
    direction = needed_direction(workspace, metric)
    measured = _measured(workspace, metric, runs)
    order = [run for run in reversed(workspace.index.ids()) if run in measured]
    trials = workspace.index.groups.of_runs(order)
    points = [(float(n), measured[run]) for n, run in enumerate(order, start=1)]
    better = max if direction is Direction.MAXIMIZE else min
    known: dict[str, list[float]] = {}
    best: list[tuple[float, float]] = []
    for run, (n, value) in zip(order, points, strict=True):
        if not math.isnan(value):
            known.setdefault(trials[run], []).append(value)
            before = best[-1][1] if best else value
            best += [(n, before), (n, better(math.fsum(v) / len(v) for v in known.values()))]
    return [
        Shape("every run", points, is_line=False, mark="o"),
        Shape("best mean so far", best, mark=LINE),
    ]


def _scatter(
    workspace: Workspace, metric: str, against: str, runs: Sequence[RunId]
) -> tuple[list[Shape], Mapping[float, str] | None]:
    """Return the runs as points, and words for the places of a parameter that has no numbers."""
    from gitexp.core.query.names import parse_sort

    index = workspace.index
    params = index.keys("params")
    key = parse_sort(against, params)
    measured = _measured(workspace, metric, runs)
    values = {run: value for run, value in index.column(key, runs).items() if run in measured}
    if not values:
        raise Undetermined(f"no run has both {metric} and {key}")
    numbers = {run: _number(value) for run, value in values.items()}
    if all(number is not None for number in numbers.values()):
        points = [(number, measured[run]) for run, number in numbers.items() if number is not None]
        return [Shape(metric, sorted(points), is_line=False)], None
    kinds = sorted({str(value) for value in values.values()})
    places = {kind: float(n) for n, kind in enumerate(kinds)}
    shapes = [
        Shape(
            f"{against} {kind}",
            [(places[kind], measured[run]) for run, value in values.items() if str(value) == kind],
            is_line=False,
        )
        for kind in kinds
    ]
    return shapes, {place: kind for kind, place in places.items()}


def _number(value: Value) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
