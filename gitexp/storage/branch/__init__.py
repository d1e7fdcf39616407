"""The run branch: what goes onto it, and how it gets there and is read."""
