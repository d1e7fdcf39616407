"""Move runs between clones: fetch, push, and the pre-push hook that starts a push of the runs."""
