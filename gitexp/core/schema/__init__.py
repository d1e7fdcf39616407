"""What is on the run branch, as values and bytes: reading, writing, bounds, union."""
