"""The run branch and the keep branch: their commits, and how gitexp writes and reads them."""
