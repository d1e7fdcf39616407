"""Storage: the run branch, which is the source of truth, its cache, settings and sessions."""
