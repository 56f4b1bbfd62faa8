"""Run the command line: `python -m asks_fast` is the same as `asks-fast`."""

from asks_fast.cli import main

if __name__ == "__main__":
    main()
