"""`python -m galdiff` is the `galdiff` command."""

from galdiff.cli import main

if __name__ == "__main__":
    main()
