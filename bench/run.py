"""`make bench`: the parts (pytest-benchmark), the kinds of request, then the comparison.

Arguments go to the comparison. `bench/run.py --parts` runs the parts only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    arguments = sys.argv[1:]
    parts_only = "--parts" in arguments
    parts = [
        sys.executable,
        "-m",
        "pytest",
        "bench",
        "-o",
        "python_files=bench_*.py",
        "-o",
        "python_functions=bench_*",
        "--benchmark-enable",
        "--benchmark-only",
        "--benchmark-columns=min,median,iqr,rounds",
        "--benchmark-sort=name",
        "-p",
        "no:xdist",
        "-q",
    ]
    status = subprocess.run(parts, cwd=ROOT).returncode
    if parts_only or status:
        return status
    kinds = [sys.executable, "-m", "bench.request_kinds"]
    status = subprocess.run(kinds, cwd=ROOT).returncode
    if status:
        return status
    comparison = [sys.executable, "-m", "bench.compare", *arguments]
    return subprocess.run(comparison, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
