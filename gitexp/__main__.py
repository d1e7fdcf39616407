"""`python -m gitexp`: the same as `git exp`."""

from gitexp.cli.script import main

if __name__ == "__main__":
    main()
