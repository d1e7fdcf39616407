"""What the user and the project chose, each with where it came from."""
