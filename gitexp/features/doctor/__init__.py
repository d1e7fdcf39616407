"""Check, fix, clean up, initialize and upgrade a repository."""
