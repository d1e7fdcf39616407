"""A run from its first breath to its sealed record, again from its commit, and after a crash.

Floor 4.
"""
