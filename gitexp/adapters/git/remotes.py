"""Choice of the remote for a fetch or push, and the key of its refs in `refs/gitexp/remotes`.

The choice follows git's rules. The key depends on the URL only: a renamed remote keeps its refs, a
remote with a new URL starts without any.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import NotFound, Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import remote_ref

GUARD = "GITEXP_IN_PUSH"
"""Set during gitexp's own pushes, so that its pre-push hook does nothing."""

_SECRET = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*@")
_URL = re.compile(r"://|^[^/]+:|^\.{0,2}/")


class Remote(NamedTuple):
    """A configured remote, for fetch or for push."""

    name: str
    urls: tuple[str, ...]
    """URLs that git connects to, after `url.*.insteadOf`; a push may have several."""
    options: tuple[str, ...] = ()
    """Options that make a fetch use the push URL, when the two differ."""

    @property
    def key(self) -> str:
        """Name in `refs/gitexp/remotes`, a hash of the URLs without their passwords."""
        import hashlib

        places = "\n".join(_SECRET.sub(r"\1", url).rstrip("/") for url in self.urls)
        return hashlib.sha256(places.encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def shown_urls(self) -> tuple[str, ...]:
        """The URLs without user names and passwords."""
        return tuple(_SECRET.sub(r"\1", url) for url in self.urls)

    def known(self, repo: Repo, refs: Sequence[str]) -> dict[str, ObjectId]:
        """Return the ids that the remote had at the last fetch or push, by its own ref names."""
        ours = {ref: remote_ref(self.key, ref) for ref in refs}
        found = repo.read_refs(*ours.values())
        return {theirs: found[ref] for theirs, ref in ours.items() if ref in found}


def remote_names(repo: Repo) -> list[str]:
    """List the configured remotes."""
    return repo.git("remote").text.split()


def check_remote(repo: Repo, name: str) -> str:
    """Return the name of a configured remote. Raises `NotFound`, and `Refused` for a URL."""
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
    """Return the remote to fetch from: `wanted`, or git's choice.

    Raises `NotFound`, `Refused`.
    """
    name = check_remote(repo, wanted) if wanted else _default(repo, push=False)
    return Remote(name, _urls(repo, name, push=False))


def push_remote(repo: Repo, wanted: str | None = None) -> Remote:
    """Return the remote to push to: `wanted`, or git's choice (`branch.*.pushRemote`, …).

    Raises `NotFound`, `Refused`.
    """
    name = check_remote(repo, wanted) if wanted else _default(repo, push=True)
    urls = _urls(repo, name, push=True)
    written = repo.config().get(f"remote.{name}.url")
    if urls == _urls(repo, name, push=False) or written is None or "=" in urls[0]:
        return Remote(name, urls)
    return Remote(name, urls, ("-c", f"url.{urls[0]}.insteadOf={written}"))


def remotes_by_key(repo: Repo) -> dict[str, str]:
    """Return the names of the configured remotes by their keys."""
    found = {}
    for name in remote_names(repo):
        for push in (True, False):
            found[Remote(name, _urls(repo, name, push=push)).key] = name
    return found


def _urls(repo: Repo, name: str, *, push: bool) -> tuple[str, ...]:
    options = ["--push", "--all"] if push else []
    result = repo.git("remote", "get-url", *options, "--", name, check=False)
    return tuple(result.text.splitlines()) or (name,)


def _default(repo: Repo, *, push: bool) -> str:
    names = remote_names(repo)
    config = repo.config()
    ref = repo.git("symbolic-ref", "--quiet", "HEAD", check=False).text.strip()
    branch = ref.removeprefix("refs/heads/")
    field = "%(push:remotename)" if push else "%(upstream:remotename)"
    result = repo.git("for-each-ref", f"--format={field}", "--", ref) if ref else None
    found = [
        result.text.strip() if result is not None else None,
        # The following serve a branch without a commit, and a detached HEAD.
        config.get(f"branch.{branch}.pushremote") if push else None,
        config.get("remote.pushdefault") if push else None,
        config.get(f"branch.{branch}.remote"),
        "origin" if "origin" in names or len(names) != 1 else names[0],
    ]
    chosen = next(name for name in found if name and name != ".")
    return check_remote(repo, chosen)
