"""What a large upload costs: memory stays flat, whatever the size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GIBIBYTE = 1024**3

PROGRAM = """
import resource, sys, curio
from pathlib import Path
from asks_fast.body import make_body

path, how = Path(sys.argv[1]), sys.argv[2]
body = make_body(**{"data": {"data": path}, "form": {"multipart": {"file": path}}}[how])

async def main():
    size = 0
    async for piece in body.chunks():
        size += len(piece)
    return size

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
assert curio.run(main) == body.length
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["data", "form"])
def test_gibibyte_from_disk(tmp_path, how):
    """A file of 1 GiB is read for sending in less than 8 MiB of memory."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(GIBIBYTE)  # a hole: it takes no disk
    grown = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), how],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(grown.stdout) < 8 * 1024**2
