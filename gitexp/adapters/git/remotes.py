"""Which remote a fetch or a push of ours goes to, and the name under which we remember it.

The choice is git's own. What a remote has is remembered by its URL: a remote that is renamed stays
known, one with another URL is not known yet.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import NotFound, Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import remote_ref

GUARD = "GITEXP_IN_PUSH"
"""Set while we push, so that our own pre-push hook does nothing."""

_SECRET = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*@")
_URL = re.compile(r"://|^[^/]+:|^\.{0,2}/")


class Remote(NamedTuple):
    """A configured remote, for one direction."""

    name: str
    urls: tuple[str, ...]
    """Where git connects to, `url.*.insteadOf` included; a push may go to several."""
    options: tuple[str, ...] = ()
    """Options of git that make a fetch ask the URL that is pushed to, where that is another."""

    @property
    def key(self) -> str:
        """The name in `refs/gitexp/remotes`: the same for the same URLs, with any password."""
        import hashlib

        places = "\n".join(_SECRET.sub(r"\1", url).rstrip("/") for url in self.urls)
        return hashlib.sha256(places.encode(errors="surrogateescape")).hexdigest()[:16]

    def known(self, repo: Repo, refs: Sequence[str]) -> dict[str, ObjectId]:
        """What it had when we last fetched or pushed, by its own ref name."""
        ours = {ref: remote_ref(self.key, ref) for ref in refs}
        found = repo.read_refs(*ours.values())
        return {theirs: found[ref] for theirs, ref in ours.items() if ref in found}


def remote_names(repo: Repo) -> list[str]:
    """The configured remotes."""
    return repo.git("remote").text.split()


def check_remote(repo: Repo, name: str) -> str:
    """Accept only the name of a configured remote. Raises `NotFound`, `Refused` for a URL."""
    names = remote_names(repo)
    if name in names:
        return name
    if _URL.search(name):
        shown = _SECRET.sub(r"\1", name)
        raise Refused(
            f"'{shown}' is not the name of a remote",
            why="runs go only to configured remotes",
            hints=["`git remote add NAME URL` names it"],
        )
    raise NotFound(
        f"there is no remote '{name}'",
        near=[n for n in names if n[:2] == name[:2]],
        hints=["`git remote -v` lists the remotes"]
        if names
        else ["add one first: `git remote add origin <url>`"],
    )


def fetch_remote(repo: Repo, wanted: str | None = None) -> Remote:
    """The remote to fetch from, as git chooses it; `wanted` is one by name.

    Raises `NotFound`, `Refused`.
    """
    name = check_remote(repo, wanted) if wanted else _default(repo, push=False)
    return Remote(name, _urls(repo, name, push=False))


def push_remote(repo: Repo, wanted: str | None = None) -> Remote:
    """The remote to push to, as git chooses it: `branch.*.pushRemote`, `remote.pushDefault`, …

    Raises `NotFound`, `Refused`.
    """
    name = check_remote(repo, wanted) if wanted else _default(repo, push=True)
    urls = _urls(repo, name, push=True)
    written = repo.config().get(f"remote.{name}.url")
    if urls == _urls(repo, name, push=False) or written is None or "=" in urls[0]:
        return Remote(name, urls)
    return Remote(name, urls, ("-c", f"url.{urls[0]}.insteadOf={written}"))


def remotes_by_key(repo: Repo) -> dict[str, str]:
    """The names of the configured remotes by the keys under which they are remembered."""
    found = {}
    for name in remote_names(repo):
        for push in (True, False):
            found[Remote(name, _urls(repo, name, push=push)).key] = name
    return found


def _urls(repo: Repo, name: str, *, push: bool) -> tuple[str, ...]:
    options = ["--push", "--all"] if push else []
    asked = repo.git("remote", "get-url", *options, "--", name, check=False)
    return tuple(asked.text.splitlines()) or (name,)


def _default(repo: Repo, *, push: bool) -> str:
    names = remote_names(repo)
    config = repo.config()
    ref = repo.git("symbolic-ref", "--quiet", "HEAD", check=False).text.strip()
    branch = ref.removeprefix("refs/heads/")
    field = "%(push:remotename)" if push else "%(upstream:remotename)"
    asked = repo.git("for-each-ref", f"--format={field}", "--", ref) if ref else None
    found = [
        asked.text.strip() if asked is not None else None,
        # A branch without a commit, or a detached HEAD.
        config.get(f"branch.{branch}.pushremote") if push else None,
        config.get("remote.pushdefault") if push else None,
        config.get(f"branch.{branch}.remote"),
        "origin" if "origin" in names or len(names) != 1 else names[0],
    ]
    chosen = next(name for name in found if name and name != ".")
    return check_remote(repo, chosen)
