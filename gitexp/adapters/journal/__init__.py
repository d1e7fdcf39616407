"""Local files of runs that are not sealed yet, and of their output."""
