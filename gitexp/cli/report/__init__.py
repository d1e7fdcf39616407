"""Parts of `git exp report`."""
