"""`git exp noise`: show how much each metric varies between equal runs."""

import math

import click

from gitexp.cli.output.terminal import answer, open_workspace, say, width
from gitexp.cli.params.options import json_option, precision_option
from gitexp.cli.params.run_argument import known_metric
from gitexp.core.analysis.noise import PRIOR, Basis, Noise
from gitexp.core.analysis.samples import LEVEL
from gitexp.core.analysis.student_t import t_quantile
from gitexp.core.render.machine_formats import format_json
from gitexp.core.render.table import format_table
from gitexp.core.render.text import format_number
from gitexp.features.runs.judge import standings_by
from gitexp.storage.workspace import Workspace

_FEW = 5


@click.command("noise")
@precision_option
@json_option
@click.argument("metric", required=False)
def command(precision: int, as_json: bool, metric: str | None) -> None:
    """Show how much each metric varies between equal runs

    The noise comes from repeats of the newest run's program, whatever their parameters and code, or
    from `[metrics.NAME] noise` in gitexp.toml. The last two columns are the smallest differences
    that one run each, and five each, would show.

    \b
    git exp noise
    git exp noise accuracy --json
    """
    workspace = open_workspace()
    index = workspace.index
    metrics = [name.removeprefix("metrics.") for name in index.keys("metrics")]
    if metric is not None:
        metrics = [known_metric(workspace, metric)]
    found = {name: noise for name in metrics if (noise := _noise(workspace, name)) is not None}
    if as_json:
        answer(format_json({"schema": 1, "metrics": {n: _document(v) for n, v in found.items()}}))
        return
    if not found:
        say("no successful run has a metric")
        return
    rows = [_row(name, noise, precision) for name, noise in found.items()]
    headers = ["metric", "noise", "sd", "degrees", "groups", "1 run shows", f"{_FEW} runs show"]
    answer(format_table(headers, rows, width=width(), fixed={"noise"}))
    if any(noise.basis is Basis.UNKNOWN for noise in found.values()):
        say("unknown: `git exp run --repeat 5 -- CMD` measures it (or `--seeds 5` with a seed)")


def _noise(workspace: Workspace, metric: str) -> Noise | None:
    """Return the noise of the newest measured group; `None` if no run measured the metric."""
    standings = standings_by(workspace, metric)
    newest = next((group for group in standings.recent if group.sample), None)
    return None if newest is None else standings.noise(newest)


def smallest_shown(noise: Noise, runs: int) -> float | None:
    """Return the smallest significant difference of two means, each of the given number of runs.

    `None` if the noise is unknown.
    """
    if noise.basis is Basis.DETERMINISTIC:
        return 0.0
    if noise.basis is Basis.UNKNOWN or not noise.dof:
        return None
    dof = noise.dof if math.isinf(noise.dof) else min(noise.dof, PRIOR) + 2 * (runs - 1)
    return t_quantile(LEVEL, dof) * noise.sd * math.sqrt(2 / runs)


def _document(noise: Noise) -> dict[str, object]:
    document = {
        "basis": noise.basis.value,
        "sd": noise.sd if noise.is_known else None,
        "dof": noise.dof if math.isfinite(noise.dof) else None,
        "groups": noise.groups,
        "declared": noise.overruled,
        "shown_by_1": smallest_shown(noise, 1),
        "shown_by_5": smallest_shown(noise, _FEW),
    }
    return {key: value for key, value in document.items() if value is not None}


def _row(name: str, noise: Noise, precision: int) -> list[str]:
    shown = [smallest_shown(noise, runs) for runs in (1, _FEW)]
    return [
        name,
        noise.basis.value,
        format_number(noise.sd, precision=precision) if noise.is_known else "",
        f"{noise.dof:g}" if math.isfinite(noise.dof) else "",
        str(noise.groups),
        *("" if value is None else format_number(value, precision=2) for value in shown),
    ]
