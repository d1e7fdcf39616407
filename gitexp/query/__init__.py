"""Filters and orders over runs, from the text that the user types to the answer for one run."""
