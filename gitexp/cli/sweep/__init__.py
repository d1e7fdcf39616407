"""The steps and subcommands of `git exp sweep`."""
