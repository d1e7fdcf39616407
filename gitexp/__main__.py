"""`python -m gitexp`: the same as `git exp`.

Floor 6.
"""

from gitexp.cli.script import main

if __name__ == "__main__":
    main()
