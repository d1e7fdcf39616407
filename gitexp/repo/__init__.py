"""The only door to git: plain values in, plain values out.

`launch` starts processes, `repository` reads and moves refs and reads objects, `reader` answers
many questions from one process, `stream` writes objects and refs in one go, `worktree` takes
snapshots and makes temporary work trees, `transport` speaks to remotes.
"""

from gitexp.repo.configuration import GitConfig, Setting
from gitexp.repo.launch import Completed
from gitexp.repo.repository import Change, Repo, TreeEntry

__all__ = ["Change", "Completed", "GitConfig", "Repo", "Setting", "TreeEntry"]
