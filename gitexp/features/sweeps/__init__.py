"""Sweeps: a space of trials, which of them are new, and running those."""
