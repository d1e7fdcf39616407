"""What may come next on a command line: the one answer that all shells ask for."""
