"""Filters and sort keys: parsing, names, and evaluation for a run."""
