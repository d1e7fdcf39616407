"""The manual: one page about the whole, and one for every command."""
