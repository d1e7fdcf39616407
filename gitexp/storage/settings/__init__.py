"""Settings of the user and the project, each with its origin."""
