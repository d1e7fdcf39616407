"""Add a signed commit to the run branch when runs are pushed.

gitexp never signs single records: a key that asks for a touch or a passphrase must not delay a
run. One signed commit vouches for all of its ancestors.
"""

from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import identity_of
from gitexp.storage.settings.options import Settings

_MESSAGE = "checkpoint: all runs so far, signed\n\n[skip ci]\n"
_PATIENCE_S = 60.0
"""Time to type a passphrase or touch a key, in seconds."""


def sign_runs(branch: RunBranch, settings: Settings) -> str | None:
    """Add a signed commit to the run branch, unless its tip is signed.

    Signs as `git commit -S` does, with `gpg.format` and `user.signingKey`. Returns the failure as
    one sentence; the branch is unchanged then.
    """
    repo = branch.repo
    tip = repo.read_ref(branch.run_ref)
    if tip is None or b"\ngpgsig" in repo.git("cat-file", "commit", tip).stdout.split(b"\n\n")[0]:
        return None
    who, date = identity_of(settings.author), f"{clock.now().timestamp():.0f} +0000"
    identity = {
        f"GIT_{role}_{name}": value
        for role in ("AUTHOR", "COMMITTER")
        for name, value in (("NAME", who.name), ("EMAIL", who.email), ("DATE", date))
    }
    try:
        done = repo.launcher.porcelain(
            *(*(FSYNC if branch.durable else ()), "commit-tree", "-S", "-p", tip),
            *("-m", _MESSAGE.rstrip("\n"), f"{tip}^{{tree}}"),
            env=identity,
            timeout_s=_PATIENCE_S,
            check=False,
        )
        if done.status != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            late = "it took too long" if done.status < 0 else "git gave no reason"
            return f"the runs are not signed: {(lines or [late])[0]}"
        with branch.lock():
            repo.update_ref(branch.run_ref, done.text.strip(), tip, "a signed checkpoint")
    except GitexpError as error:  # also if another run was recorded: the next sync signs
        return f"the runs are not signed: {error.what}"
    return None
