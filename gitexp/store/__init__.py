"""The run branch: what goes onto it, and how it gets there and is read.

Floor 3.
"""

from gitexp.store.branch import FORMAT_FILE, PATIENCE_S, README_FILE, Store, identity_of
from gitexp.store.events import Event, annotated, deleted, sealed, started

__all__ = [
    "FORMAT_FILE",
    "PATIENCE_S",
    "README_FILE",
    "Event",
    "Store",
    "annotated",
    "deleted",
    "identity_of",
    "sealed",
    "started",
]
