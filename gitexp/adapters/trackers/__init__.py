"""Readers for the files of other trackers; no tracker needs to be installed."""
