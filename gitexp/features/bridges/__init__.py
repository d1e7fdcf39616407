"""Whole runs from other tools and to them."""
