"""Propose metric patterns after a run without metrics whose output has numbers like metrics."""

import shlex

from gitexp.adapters.journal.output_archive import lines_of, read_output
from gitexp.cli.output.terminal import say
from gitexp.core.inputs.metric_lines import plain_line
from gitexp.core.inputs.proposal import Proposal
from gitexp.core.inputs.proposed_patterns import propose
from gitexp.core.model.run import Run
from gitexp.core.render.text import clean, format_number
from gitexp.features.recording.record import kept_path
from gitexp.storage.workspace import Workspace

_SHOWN = 3
"""Values to show for each metric."""


def show_proposals(workspace: Workspace, run: Run) -> None:
    """Print the patterns that match the run's output, with the values they read."""
    text = read_output(kept_path(workspace, run.id))
    lines = lines_of(run.output_tail if text is None else text)
    found = propose([plain_line(line.encode(errors="replace")) for line in lines])
    if not found:
        return
    say("no metric was recorded, but the output has numbers that look like metrics:")
    options = [f"--metric-pattern {shlex.quote(proposal.pattern)}" for proposal in found]
    width = max(map(len, options))
    for option, proposal in zip(options, found, strict=True):
        say(f"  {option:<{width}}  gives {_values(proposal)}")
    quoted = [shlex.quote(proposal.pattern) for proposal in found]
    metrics = [o for o, p in zip(options, found, strict=True) if p.name != "step"]
    say(f"add them to this run: git exp note {run.id[:7]} {' '.join(metrics)}")
    say(f"record them in this project: git exp config --add metric-patterns {' '.join(quoted)}")


def _values(proposal: Proposal) -> str:
    shown = [format_number(value) for value in proposal.values]
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN - 1], "...", shown[-1]]
    unit = clean(proposal.unit or "")
    return ", ".join(value if value == "..." else value + unit for value in shown)
