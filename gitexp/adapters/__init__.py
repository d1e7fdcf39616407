"""Everything outside: the operating system, git, journals, other trackers' files."""
