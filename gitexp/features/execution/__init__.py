"""Preparing a command, running it, recovery, and running a recorded one again."""
