"""Recorded runs: selectors, groups of repeats, verdicts."""
