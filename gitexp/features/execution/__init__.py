"""Prepare and run a command, recover interrupted runs, and reproduce recorded runs."""
