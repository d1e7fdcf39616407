"""The run branch and the keep branch: writing, reading and restoring records."""
