"""The command line: one file a command. Only here click is imported."""
