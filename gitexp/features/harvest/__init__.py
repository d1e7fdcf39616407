"""Read the results in a command's output and in files of frameworks."""
