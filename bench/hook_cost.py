"""What event hooks, trace, log and timings cost those who do not use them.

    python -m bench.hook_cost [--rounds N]

Two trees are built: this one, and a copy in which every look at a listener is cut out of the source
(`CUTS`). The same requests go through both, with no listener in either.

Facts:  instructions are counted by callgrind (Valgrind), as the difference between two lengths of
        the same run, so that starting Python does not count. Rates are taken in turns within one
        run, each round's ratio by itself; their median is shown.
Rules:  each cut must be found in the source exactly once (a test looks), or the figure would
        mean nothing. Server and client on a core of their own.
Not here: what listening costs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.compare.servers import best

ROOT = Path(__file__).resolve().parents[1]
KINDS = {"by a plan": "", "the long way": ", max_redirects=5"}

# File → the lines of each look at a listener, and what is left without it.
CUTS: dict[str, list[tuple[str, str]]] = {
    "src_pyx/hotpath/connection.pyx": [
        (
            "        if self.response.is_timed and self.response.first_byte == 0.0:\n"
            "            self.response.first_byte = self.last_activity\n",
            "",
        ),
        (
            "            if response.is_timed:\n"
            "                response.request_sent = now() if found == NEED_DATA else self.last_activity\n"
            "                if found == NEED_DATA:\n"
            "                    response.first_byte = 0.0    # so far it was 100 Continue\n",
            "",
        ),
    ],
    "asks_fast/_transport/transport.py": [
        ("        emit = get_emitter(request)\n", ""),
        ("            if emit is not None:\n                emit.begin(response)\n", ""),
        (
            "                if emit is not None:\n"
            "                    reused = exchange.connection is not None\n"
            '                    emit("connection_acquired", connection=exchange.connection, reused=reused)\n',
            "",
        ),
        (
            "response, stream, followup_statuses, emit)",
            "response, stream, followup_statuses, None)",
        ),
        ("            if emit is not None:\n                emit.finish(response, stream)\n", ""),
    ],
    "asks_fast/sessions.py": [(" or get_emitter(request) is not None", "")],
}

CLIENT = """
import sys
from asks_fast import HSession, run

async def main(url, number):
    async with HSession(url) as session:
        for n in range(number):
            await session.get(path="/small"{more})

run(main, sys.argv[1], int(sys.argv[2]))
"""

RATES = """
import sys, time
from asks_fast import HSession, run

async def main(url):
    async with HSession(url) as session:
        for line in sys.stdin:
            begin = time.perf_counter()
            for n in range(int(line)):
                await session.get(path="/small"{more})
            print(time.perf_counter() - begin, flush=True)

run(main, sys.argv[1])
"""


def cut(folder: Path) -> None:
    """Take every look at a listener out of the tree in `folder`; ValueError where one is gone."""
    for name, cuts in CUTS.items():
        path = folder / name
        text = path.read_text()
        for lines, rest in cuts:
            if text.count(lines) != 1:
                raise ValueError(f"{name} has {text.count(lines)} times:\n{lines}")
            text = text.replace(lines, rest)
        path.write_text(text)


def build(folder: Path, *, without: bool) -> Path:
    """A copy of this tree, built in place."""
    folder.mkdir()
    for name in ("asks_fast", "src_pyx"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__py*"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    if without:
        cut(folder)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True
    )
    return folder


def instructions(tree: Path, url: str, more: str) -> float:
    """Instructions per request, by callgrind."""
    few, many = 500, 2500
    counts = []
    for number in (few, many):
        done = subprocess.run(
            [
                "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                sys.executable, "-c", CLIENT.replace("{more}", more), url, str(number),
            ],
            env={**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
        assert found is not None, done.stderr
        counts.append(int(found[1]))
    return (counts[1] - counts[0]) / (many - few)


class Client:
    """A process that makes as many requests as it is told, and says the seconds."""

    def __init__(self, tree: Path, url: str, more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RATES.replace("{more}", more), url],
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def take(self, number: int) -> float:
        """Seconds for so many requests."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def ratio(trees: tuple[Path, Path], url: str, more: str, rounds: int) -> float:
    """Rate of the first tree to that of the second: the median of rounds in turns."""
    clients = [Client(tree, url, more) for tree in trees]
    try:
        for client in clients:
            client.take(500)
        found = []
        for number in range(rounds):
            order = (0, 1) if number % 2 else (1, 0)
            seconds = [0.0, 0.0]
            for which in order:
                seconds[which] = clients[which].take(1000)
            found.append(seconds[1] / seconds[0])
        return statistics.median(found)
    finally:
        for client in clients:
            client.end()


def main() -> None:
    """Build both trees, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    has_valgrind = shutil.which("valgrind") is not None
    with tempfile.TemporaryDirectory() as name:
        trees = (
            build(Path(name) / "with", without=False),
            build(Path(name) / "without", without=True),
        )
        root = Path(name) / "server"
        root.mkdir()
        with best(root, cores[0]) as server:
            if len(cores) > 1:
                os.sched_setaffinity(0, {cores[1]})
            url = f"http://127.0.0.1:{server.ports['http']}"
            print(
                "| a small request | instructions, with | without | ratio | rate, with : without |"
            )
            print("|---|---|---|---|---|")
            for kind, more in KINDS.items():
                cells = ["", "", ""]
                if has_valgrind:
                    with_them, without = (instructions(tree, url, more) for tree in trees)
                    cells = [
                        f"{with_them:,.0f}", f"{without:,.0f}", f"{with_them / without:.4f}"
                    ]  # fmt: skip
                rate = ratio(trees, url, more, given.rounds)
                print(f"| {kind} | {' | '.join(cells)} | {rate:.3f} |", flush=True)


if __name__ == "__main__":
    main()
