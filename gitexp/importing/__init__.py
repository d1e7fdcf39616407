"""Runs of other trackers, taken over: each source is read without the tracker being installed.

Floor 4. One module a source turns what lies on disk into `ImportedRun`s; `recording` puts those
onto the branch, each source's run once.
"""
