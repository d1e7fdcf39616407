"""The page about a search, and the comment under a pull request."""
