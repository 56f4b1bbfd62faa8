"""Benchmarks: parts with pytest-benchmark (`bench_*.py`), whole exchanges with `bench.compare`."""
