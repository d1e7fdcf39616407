"""Whether a trial was run before: earlier runs, relatives, files that they read."""
