"""The state of a search in one value: what is best, what was given up and why, what is open.

Entries in, a `Brief` out, which `fit` cuts to a budget.
"""

from gitexp.briefing.budget import fit
from gitexp.briefing.causes import Cause, alone, changed_params, has_changed_code, shared_params
from gitexp.briefing.hints import Hint
from gitexp.briefing.neighbours import Neighbour, neighbours
from gitexp.briefing.summary import SECTIONS, Brief, make_brief
from gitexp.briefing.trials import Attempt, CodeChange, Standing, has_same_code

__all__ = [
    "SECTIONS",
    "Attempt",
    "Brief",
    "Cause",
    "CodeChange",
    "Hint",
    "Neighbour",
    "Standing",
    "alone",
    "changed_params",
    "fit",
    "has_changed_code",
    "has_same_code",
    "make_brief",
    "neighbours",
    "shared_params",
]
