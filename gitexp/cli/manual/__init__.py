"""The manual: an overview and one page for each command."""
