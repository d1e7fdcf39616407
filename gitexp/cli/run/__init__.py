"""The steps of `git exp run`."""
