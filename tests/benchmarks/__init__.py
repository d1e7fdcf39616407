"""Timings: no tests, see `docs/performance.md`."""
