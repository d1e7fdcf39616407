"""Record runs: start, seal, annotate, remove."""
