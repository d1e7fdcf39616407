"""Results that a command left in its output and in files of frameworks."""
