"""Sweeps: many trials of one command, from a space of parameter values to their records.

Floor 4.
"""
