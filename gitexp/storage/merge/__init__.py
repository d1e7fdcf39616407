"""Merging the run branches and keep branches of two clones, purges included."""
