"""Doors to the operating system: processes and their output, clocks, locks, what is installed.

Floor 2.
"""
