"""The only door to git: plain values in, plain values out.

`launch` starts processes, `repository` reads and moves refs and reads objects, `stream` writes
objects and refs in one process, `worktree` takes snapshots and makes temporary work trees,
`transport` speaks to remotes.
"""

from gitexp.repo.launch import Completed
from gitexp.repo.repository import Change, GitConfig, Repo, Setting, TreeEntry

__all__ = ["Change", "Completed", "GitConfig", "Repo", "Setting", "TreeEntry"]
