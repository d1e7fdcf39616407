"""Comparing runs: fingerprints, kinship, groups of repeats, noise, verdicts."""
