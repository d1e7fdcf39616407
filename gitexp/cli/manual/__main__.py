"""`python -m gitexp.cli.manual DIRECTORY` writes all manual pages into a directory."""

import sys
from pathlib import Path

from gitexp.cli.manual.pages import write

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m gitexp.cli.manual DIRECTORY")
    write(Path(sys.argv[1]))
