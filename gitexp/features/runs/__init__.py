"""Recorded runs: the one that a selector names, groups of repeats, verdicts."""
