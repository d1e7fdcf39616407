"""Find earlier runs of a trial, similar runs, and the files that they read."""
