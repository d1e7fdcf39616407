"""Benchmarks, which are no tests; see `docs/performance.md`."""
