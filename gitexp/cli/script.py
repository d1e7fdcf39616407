"""The console script. A push waits for `git exp hook pre-push`, which is run without `click`."""

import sys


def main() -> None:
    """Run the command of this process and end the process with its exit code."""
    words = sys.argv[1:]
    if words[:2] == ["hook", "pre-push"] and not any(word.startswith("-") for word in words):
        from gitexp.cli.before_push import main as run
    else:
        from gitexp.cli.app import main as run
    run()
