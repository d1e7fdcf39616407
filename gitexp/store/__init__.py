"""The run branch: what goes onto it, and how it gets there and is read.

Floor 3.
"""

from gitexp.store.branch import PATIENCE_S, Store, identity_of
from gitexp.store.events import Event, annotated, deleted, sealed, started
from gitexp.store.root_files import ROOT_FILES

__all__ = [
    "PATIENCE_S",
    "ROOT_FILES",
    "Event",
    "Store",
    "annotated",
    "deleted",
    "identity_of",
    "sealed",
    "started",
]
