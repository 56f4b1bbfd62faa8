"""`python -m asks_fast`: the command line, as `asks-fast` starts it."""

from asks_fast.cli import main

if __name__ == "__main__":
    main()
