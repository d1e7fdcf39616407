"""The run branch, which holds the truth, and the cache that answers questions about it."""
