"""The comparison of whole exchanges: `python -m bench.compare --quick | --full`."""
