"""The state of a search: what is best, what was given up and why, what is open."""
