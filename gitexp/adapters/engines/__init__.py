"""Engines: where the commands of trials run. What goes to workers imports nothing of ours."""
