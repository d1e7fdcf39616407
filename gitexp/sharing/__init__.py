"""Runs between clones: fetching, merging, pushing, and the hook that does so when the user pushes.

Floor 4.
"""
