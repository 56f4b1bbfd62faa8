"""Fuzz with atheris, guided by coverage of the Python parts.

    make fuzz ARGS='--seconds 300'      make fuzz ARGS='url -max_total_time=60'

Without a target all are run one after another, each for `--seconds` (default 30). What is found is
written to the corpus folder, a `crash-*` file among it is the input that broke a promise.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
CORPUS = TESTS.parent / ".cache" / "fuzz"


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=["asks_fast", "fuzz"]):
        from robustness.fuzz.targets import TARGETS
    from robustness.fuzz.seeds import SEEDS

    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number:03}").write_bytes(seed)
    artifacts = f"-artifact_prefix={folder}/"
    atheris.Setup([sys.argv[0], *options, artifacts, str(folder)], TARGETS[name])
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    sys.path[0] = str(TESTS)
    sys.path.append(str(TESTS.parent))
    seconds = "30"
    if arguments[:1] == ["--seconds"]:
        seconds, arguments = arguments[1], arguments[2:]
    if arguments:
        fuzz(arguments[0], arguments[1:])
    from robustness.fuzz.targets import TARGETS

    failed = []
    for name in TARGETS:
        print(f"== {name}", flush=True)
        command = [sys.executable, __file__, name, f"-max_total_time={seconds}", "-timeout=20"]
        if subprocess.run([*command, "-print_final_stats=1"], env=os.environ).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
