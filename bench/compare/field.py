"""The clients that are compared: each with its script and its environment.

Rules:  each rival has a virtual environment of its own under `.cache/`, made on first use with
        the versions named here, so that a run can be repeated. Rivals that cannot be installed
        are reported and left out.
Implemented elsewhere: how a client does its work (`bench/clients/with_*.py`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
SCRIPTS = ROOT / "bench" / "clients"

# The workloads of a spider: many small pages, of one host or of several.
SCRAPY_WORK = frozenset({"small-10", "small-50", "varied-50", "origins-20"})


# Workloads that only these clients run. Ten thousand threads, or clients that are slow with so many
# connections, would take minutes.
FEW_CLIENTS = {
    "small-10000": ("asks_fast_own", "asks_fast_asyncio", "asks_fast_uvloop", "wrk"),
}


@dataclass(frozen=True)
class Client:
    """One client; `requires` is what pip installs; if empty, it runs in this environment."""

    name: str
    label: str
    script: str
    requires: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    only: frozenset[str] = field(default_factory=frozenset)
    is_async: bool = True
    ours: bool = False
    imports: str = ""

    def takes(self, workload: str) -> bool:
        """Whether this client can run that workload."""
        if workload in FEW_CLIENTS and self.name not in FEW_CLIENTS[workload]:
            return False
        return not self.only or workload in self.only


CLIENTS = {
    c.name: c
    for c in (
        Client(
            "asks_fast",
            "asks_fast on curio.run",
            "with_asks_fast.py",
            ours=True,
            imports="asks_fast",
        ),
        Client(
            "asks_fast_own",
            "asks_fast on asks_fast.run",
            "with_asks_fast.py",
            ours=True,
            arguments=("--own",),
        ),
        Client(
            "asks_fast_asyncio",
            "asks_fast on asyncio",
            "with_asks_fast.py",
            ours=True,
            arguments=("--asyncio",),
        ),
        Client(
            "asks_fast_uvloop",
            "asks_fast on uvloop",
            "with_asks_fast.py",
            ours=True,
            arguments=("--uvloop",),
        ),
        Client(
            "asks_fast_trio",
            "asks_fast on trio",
            "with_asks_fast.py",
            ours=True,
            arguments=("--trio",),
        ),
        Client(
            "asks_fast_sync",
            "asks_fast.sync, threads",
            "with_asks_fast_sync.py",
            ours=True,
            is_async=False,
            only=frozenset({"small-1", "small-10", "small-50", "tls", "body-10m", "stream"}),
        ),
        Client(
            "asks2",
            "asks 2.4 on curio",
            "with_asks2.py",
            ("asks==2.4.12", "curio==1.4", "anyio==2.2.0", "setuptools<81"),
            imports="asks",
        ),
        Client(
            "asks3",
            "asks 3.0 on asyncio",
            "with_asks3.py",
            ("asks==3.0.0", "anyio==3.7.1", "setuptools<81"),
            imports="asks",
        ),
        Client(
            "requests",
            "requests, threads",
            "with_requests.py",
            ("requests==2.34.2",),
            is_async=False,
            imports="requests",
        ),
        Client(
            "httpx_on_asks_fast",
            "httpx on asks_fast",
            "with_httpx_on_asks_fast.py",
            ours=True,
            imports="httpx",
        ),
        Client("httpx", "httpx", "with_httpx.py", ("httpx==0.28.1",), imports="httpx"),
        Client(
            "httpx2_on_asks_fast",
            "httpx2 on asks_fast",
            "with_httpx2_on_asks_fast.py",
            ours=True,
            imports="httpx2",
        ),
        Client("httpx2", "httpx2", "with_httpx2.py", ("httpx2==2.16.2",), imports="httpx2"),
        Client(
            "scrapy_on_asks_fast",
            "Scrapy on asks_fast",
            "with_scrapy_on_asks_fast.py",
            ours=True,
            only=SCRAPY_WORK,
            imports="scrapy",
        ),
        Client(
            "scrapy",
            "Scrapy",
            "with_scrapy.py",
            ("scrapy==2.19.0", "twisted==26.10.0"),
            only=SCRAPY_WORK,
            imports="scrapy",
        ),
        Client(
            "niquests", "niquests", "with_niquests.py", ("niquests==3.21.2",), imports="niquests"
        ),
        Client(
            "aiohttp",
            "aiohttp on uvloop",
            "with_aiohttp.py",
            ("aiohttp==3.14.5", "uvloop==0.23.0"),
            imports="aiohttp",
        ),
        Client(
            "aiosonic", "aiosonic", "with_aiosonic.py", ("aiosonic==1.3.3",), imports="aiosonic"
        ),
        Client(
            "geventhttpclient",
            "geventhttpclient",
            "with_geventhttpclient.py",
            ("geventhttpclient==2.6.1",),
            imports="geventhttpclient",
        ),
        Client("wreq", "wreq (Rust)", "with_wreq.py", ("wreq==0.13.0",), imports="wreq"),
        Client(
            "pyreqwest",
            "pyreqwest (Rust)",
            "with_pyreqwest.py",
            ("pyreqwest==0.15.1",),
            imports="pyreqwest",
        ),
        Client(
            "curl_cffi",
            "curl_cffi",
            "with_curl_cffi.py",
            ("curl_cffi==0.17.0",),
            imports="curl_cffi",
        ),
        Client(
            "pycurl",
            "pycurl multi",
            "with_pycurl.py",
            ("pycurl==7.49.0",),
            is_async=False,
            imports="pycurl",
        ),
        Client(
            "pycurl_easy",
            "pycurl easy",
            "with_pycurl.py",
            ("pycurl==7.49.0",),
            arguments=("--easy",),
            is_async=False,
            only=frozenset({"small-1", "body-10m"}),
            imports="pycurl",
        ),
        Client(
            "bare",
            "bare socket loop",
            "with_bare.py",
            is_async=False,
            only=frozenset({"small-1", "body-10m"}),
        ),
        Client(
            "wrk",
            "wrk -t1 (C)",
            "",
            is_async=False,
            only=frozenset(
                {
                    *("small-1", "small-10", "small-50", "small-200"),
                    *("small-1000", "small-10000"),
                    *("varied-50", "body-100k", "tls"),
                }
            ),
        ),
    )
}


def tree_is_built() -> bool:
    """Whether asks_fast is compiled in place; if not, the installed one is used."""
    return any((ROOT / "asks_fast").glob("_hotpath*.so"))


def python_of(client: Client) -> str:
    """The interpreter of a client; its environment is made when there is none yet.

    Raises subprocess.CalledProcessError when pip cannot install the client.
    """
    if not client.requires:
        return sys.executable
    folder = CACHE / "envs" / f"{client.name}-{sys.version_info[0]}.{sys.version_info[1]}"
    python, stamp = folder / "bin" / "python", folder / "ready"
    wanted = "\n".join(client.requires)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"  making an environment for {client.name} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *client.requires,
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        stamp.write_text(wanted)
    return str(python)
