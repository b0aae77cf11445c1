"""``python -m dsk``: the command line."""

from dsk.cli import main

if __name__ == "__main__":
    main()
