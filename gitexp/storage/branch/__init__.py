"""The run branch and the keep branch: how gitexp writes and reads records, and restores lost ones."""
