"""Merging run branches and keep branches, and restoring records that a commit removed."""
