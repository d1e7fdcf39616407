"""Access to the operating system, git, journals, and other trackers' files."""
