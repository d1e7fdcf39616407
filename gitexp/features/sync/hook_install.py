"""Install and remove the pre-push shim beside other tools.

An earlier hook keeps running, and is restored byte for byte when the shim is removed. `pre_push`
implements the hook that the shim calls.
"""

import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.core.errors import ForeignHook, GitexpError

HOOK = "pre-push"
CHAINED = "pre-push.gitexp-chained"
"""File name of a foreign hook while the shim is in its place."""

_PROGRAM = "program"
"""File in gitexp's state directory with the path of `git-exp`."""

_CONFIG_NAME = "gitexp"
"""Name of gitexp's hook in git's configuration."""

_MARK = b"# gitexp pre-push shim"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStatus:
    """State of the pre-push hook of a repository."""

    path: Path
    """The path from which git runs it."""
    installed: bool
    """True when the file at `path` is the shim."""
    working: bool
    """True when the shim can run and finds gitexp, or another tool calls gitexp."""
    chained: Path | None = None
    """The foreign hook that runs before the shim."""
    tool: str | None = None
    """Another tool that manages the hooks of this repository, or `another hook`."""
    advice: tuple[str, ...] = ()
    """What to do when it does not work, one sentence or line each."""


@dataclass(frozen=True, slots=True)
class _Tool:
    """Another tool that manages hooks, and how to add a hook to it."""

    name: str
    signs: tuple[str, ...]
    """Files or directories at the top of the work tree that show the tool is used."""
    advice: tuple[str, ...]
    written: tuple[str, ...] = ()
    """Files in which the tool lists the hook, if they differ from `signs`."""


_PRE_COMMIT = """\
  - repo: local
    hooks:
      - id: gitexp
        name: push the runs along with the code
        entry: git exp hook pre-push
        language: system
        stages: [pre-push]
        always_run: true
        pass_filenames: false"""
_LEFTHOOK = """\
pre-push:
  commands:
    gitexp:
      run: git exp hook pre-push {1} {2}
      use_stdin: true"""

_TOOLS = (
    _Tool(
        "pre-commit",
        (".pre-commit-config.yaml", ".pre-commit-config.yml"),
        (
            f"add to `.pre-commit-config.yaml`:\n{_PRE_COMMIT}",
            "then `pre-commit install --hook-type pre-push`",
        ),
    ),
    _Tool(
        "husky",
        (".husky",),
        ('add to `.husky/pre-push`:\ngit exp hook pre-push "$@"',),
        written=(".husky/pre-push",),
    ),
    _Tool(
        "lefthook",
        tuple(
            dot + "lefthook" + end
            for dot in ("", ".")
            for end in (".yml", ".yaml", ".toml", ".json")
        ),
        (f"add to `lefthook.yml`:\n{_LEFTHOOK}", "then `lefthook install`"),
    ),
)
_CALLS = (b"exp hook pre-push", b"gitexp-push")
"""Texts by which the configuration of another tool calls gitexp."""
_FORCE = "`git exp hooks install --force` installs our shim in its place, and runs it first"


def shim() -> bytes:
    """Return the content of the shim, from the package or from the top of a source tree."""
    package = Path(__file__).parents[2]
    packed = package / "shims" / HOOK
    return (packed if packed.exists() else package.parent / "hooks" / HOOK).read_bytes()


def hook_path(repo: Repo) -> Path:
    """Return the path from which git runs the pre-push hook; git answers with `core.hooksPath`."""
    folder = repo.git("rev-parse", "--git-path", "hooks").text.removesuffix("\n")
    return repo.launcher.directory / folder / HOOK


def find_program() -> Path | None:
    """Find `git-exp` on PATH or beside the running Python."""
    found = shutil.which("git-exp") or shutil.which(
        "git-exp", path=str(Path(sys.executable).parent)
    )
    return None if found is None else Path(found).absolute()


def install(repo: Repo, *, force: bool = False, program: Path | None = None) -> HookStatus:
    """Install the shim. A foreign hook is moved aside and runs before it. Idempotent.

    The shim tries `program` when `git-exp` is not on PATH, as in many graphical clients.

    Another tool may manage the hooks, or their directory may be shared or committed. Git 2.54 and
    newer then get the hook through the repository's configuration, beside the existing hooks; with
    an older git this raises `ForeignHook` with the lines to add by hand. `force` installs the shim
    in any case.
    """
    path = hook_path(repo)
    if not force and _is_called(repo, path):
        return status(repo)
    if not force:
        try:
            _refuse_managed(repo, path)
        except ForeignHook:
            if not _has_config_hooks(repo):
                raise
            return _install_in_config(repo, program)
    chained = path.with_name(CHAINED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if program is not None:
            repo.state_dir.mkdir(parents=True, exist_ok=True)
            (repo.state_dir / _PROGRAM).write_text(f"{program}\n")
        if _exists(path) and not _is_ours(path):
            _move_aside(path, chained)
        if not _exists(path) or path.read_bytes() != shim() or not os.access(path, os.X_OK):
            fresh = path.with_name(f"{HOOK}.{clock.new_id()}")
            fresh.write_bytes(shim())
            fresh.chmod(0o755)
            fresh.replace(path)
    except OSError as error:
        raise GitexpError(
            f"cannot install the hook '{path}'",
            why=error.strerror,
            hints=["`git config core.hooksPath` says where git looks for hooks"],
        ) from error
    return status(repo)


def uninstall(repo: Repo) -> bool:
    """Remove the shim and restore the foreign hook. Return False if the shim is not installed."""
    if repo.config().get(f"hook.{_CONFIG_NAME}.command") is not None:
        repo.git("config", "--local", "--remove-section", f"hook.{_CONFIG_NAME}", check=False)
        (repo.state_dir / HOOK).unlink(missing_ok=True)
        return True
    path = _ours(hook_path(repo))
    if path is None:
        return False
    chained = path.with_name(CHAINED)
    try:
        if _exists(chained):
            chained.replace(path)
        else:
            path.unlink()
    except OSError as error:
        raise GitexpError(f"cannot remove the hook '{path}'", why=error.strerror) from error
    return True


def status(repo: Repo) -> HookStatus:
    """Return the state of the hook without changing anything."""
    path = hook_path(repo)
    chained = path.with_name(CHAINED)
    ours = _is_ours(path)
    tool = _find_tool(repo)
    name = tool.name if tool else _configured(repo)
    if name is None and _exists(path) and not ours:
        name = _owner(path)
    advice: tuple[str, ...] = ()
    in_config = _is_in_config(repo)
    called = not ours and (in_config or _is_called(repo, path))
    if in_config:
        name = _configured(repo)
    if called:
        advice = ()
    elif not ours:
        advice = tool.advice if tool else ("`git exp hooks install` installs it",)
    elif not os.access(path, os.X_OK):
        advice = ("`git exp hooks install` makes it executable again",)
    elif shutil.which("git-exp") is None and not _has_program(repo):
        advice = ("put `git-exp` on PATH, for instance with `pipx install gitexp`",)
    return HookStatus(
        path=path,
        installed=ours,
        working=(ours or called) and not advice,
        chained=chained if ours and _exists(chained) else None,
        tool=name,
        advice=advice,
    )


def _install_in_config(repo: Repo, program: Path | None) -> HookStatus:
    """Write the shim into gitexp's state directory, and add it to git's configuration."""
    place = repo.state_dir / HOOK
    try:
        repo.state_dir.mkdir(parents=True, exist_ok=True)
        if program is not None:
            (repo.state_dir / _PROGRAM).write_text(f"{program}\n")
        place.write_bytes(shim())
        place.chmod(0o755)
    except OSError as error:
        raise GitexpError(f"cannot install the hook '{place}'", why=error.strerror) from error
    for variable, value in (("event", HOOK), ("command", shlex.quote(str(place)))):
        repo.git("config", "--local", f"hook.{_CONFIG_NAME}.{variable}", value)
    return status(Repo.discover(repo.start))


def _has_config_hooks(repo: Repo) -> bool:
    """Return whether git runs hooks from its configuration: 2.54 and newer do."""
    found = re.search(r"(\d+)\.(\d+)", repo.git("--version").text)
    return found is not None and (int(found[1]), int(found[2])) >= (2, 54)


def _is_in_config(repo: Repo) -> bool:
    """Return whether git's configuration has a hook that calls gitexp, and git runs it."""
    named = _configured(repo)
    return named is not None and "calls gitexp" in named and _has_config_hooks(repo)


def _has_program(repo: Repo) -> bool:
    with suppress(OSError):
        return os.access((repo.state_dir / _PROGRAM).read_text().rstrip("\n"), os.X_OK)
    return False


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_ours(path: Path) -> bool:
    try:
        return _MARK in path.read_bytes()[:200]
    except OSError:
        return False


def _ours(path: Path) -> Path | None:
    """Return the shim's path: the hook, or the file to which pre-commit moved it and calls it."""
    legacy = path.with_name(f"{HOOK}.legacy")
    return path if _is_ours(path) else legacy if _is_ours(legacy) else None


def _configured(repo: Repo) -> str | None:
    """Return a hook in git's configuration; git 2.54 and newer run it before the hook file."""
    for event in repo.config().items("hook."):
        name, _, variable = event.key.removeprefix("hook.").rpartition(".")
        if variable == "event" and event.value == HOOK:
            command = repo.config().get(f"hook.{name}.command") or ""
            ours = name == _CONFIG_NAME or any(call.decode() in command for call in _CALLS)
            return f"hook.{name}" + (", which calls gitexp (git 2.54 and newer)" if ours else "")
    return None


def _owner(path: Path) -> str:
    with suppress(OSError):
        text = path.read_bytes()
        for name in (b"git lfs", b"pre-commit", b"lefthook", b"husky"):
            if name in text:
                return name.decode().replace(" ", "-")
    return "another hook"


def _move_aside(path: Path, chained: Path) -> None:
    if _exists(chained) and chained.read_bytes() != path.read_bytes():
        raise ForeignHook(
            f"cannot install the hook '{path}'",
            why=f"it belongs to another tool, and '{chained.name}' beside it to yet another",
            hints=[f"make one script of the two, remove '{chained.name}', and try again"],
        )
    path.replace(chained)


def _find_tool(repo: Repo) -> _Tool | None:
    if repo.top is None:
        return None
    top = repo.top
    return next((t for t in _TOOLS if any((top / sign).exists() for sign in t.signs)), None)


def _is_called(repo: Repo, path: Path) -> bool:
    """Return whether the tool that manages the hooks is configured to call gitexp."""
    tool = _find_tool(repo)
    if _is_in_config(repo):
        return True
    if _is_ours(path) or not _exists(path):
        return False
    if _ours(path) is not None:
        return True
    if tool is None or repo.top is None:
        return False
    for name in tool.written or tool.signs:
        with suppress(OSError):
            text = (repo.top / name).read_bytes()
            if any(call in text for call in _CALLS):
                return True
    return False


def _refuse_managed(repo: Repo, path: Path) -> None:
    """Raise `ForeignHook` if a file of gitexp would be overwritten, committed or shared."""
    if _is_ours(path):
        return
    tool = _find_tool(repo)
    if tool is not None:
        raise ForeignHook(
            f"the hooks of this repository are managed by {tool.name}",
            hints=[*tool.advice, _FORCE],
        )
    settings = repo.config().items("core.hookspath")
    folder = path.parent.resolve()
    if not settings or folder.is_relative_to(repo.common_dir):
        return
    line = f'add to `{path}`:\ncommand -v git-exp >/dev/null && git exp hook pre-push "$@"'
    if repo.top is not None and folder.is_relative_to(repo.top):
        why = "`core.hooksPath` points to a folder that is committed with the code"
    elif settings[-1].origin in ("global", "system"):
        why = f"`core.hooksPath` ({settings[-1].origin}) is shared by all your repositories"
    else:
        return
    raise ForeignHook(
        "the hooks of this repository are not only its own", why=why, hints=[line, _FORCE]
    )
