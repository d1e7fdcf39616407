"""The run branch: what goes onto it, and how it gets there and is read.

Floor 3.
"""

from gitexp.store.branch import PATIENCE_S, Store
from gitexp.store.events import Event, annotated, deleted, identity_of, is_ours, sealed, started
from gitexp.store.root_files import CODE_IDENTITY, ROOT_FILES, format_file

__all__ = [
    "CODE_IDENTITY",
    "PATIENCE_S",
    "ROOT_FILES",
    "Event",
    "Store",
    "annotated",
    "deleted",
    "format_file",
    "identity_of",
    "is_ours",
    "sealed",
    "started",
]
