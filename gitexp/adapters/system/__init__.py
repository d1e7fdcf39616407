"""The operating system: processes, their output, clocks, locks, what is installed."""
