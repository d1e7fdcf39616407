"""Filters and sort keys, from their text to the answer for one run."""
