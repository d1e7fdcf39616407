"""Runs between clones: fetch, push, and the hook that does so when the user pushes."""
