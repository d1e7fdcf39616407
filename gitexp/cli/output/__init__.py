"""The output of commands: tables, errors, progress, the pager."""
