"""Values and rules: no file, no process, no clock, no environment variable."""
