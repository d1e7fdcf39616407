"""Looking after a repository: check, fix, clean up, initialise, upgrade."""
