"""Packs of one commit without its history, for machines that share no repository with this one."""

from collections.abc import Sequence

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed


def commit_pack(repo: Repo, commit: str, known: Sequence[str] = ()) -> bytes:
    """Return a pack with a parentless commit, its trees and its files, exactly as git stores them.

    It leaves out what the first of the `known` commits that is here has too; the receiver must
    have that commit. Raises `CommandFailed`.
    """
    found = next((each for each in known if repo.resolve(f"{each}^{{tree}}") is not None), None)
    wanted = f"{commit}\n" + (f"^{found}^{{tree}}\n" if found else "")
    argv = ("pack-objects", "--stdout", "--quiet", "--revs", *(("--thin",) if found else ()))
    done = repo.git(*argv, stdin=wanted.encode(), check=False)
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
    return done.stdout
