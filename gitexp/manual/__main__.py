"""`python -m gitexp.manual FOLDER` writes every page of the manual there.

Floor 6.
"""

import sys
from pathlib import Path

from gitexp.manual import write

if __name__ == "__main__":
    write(Path(sys.argv[1]))
