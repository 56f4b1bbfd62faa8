"""squid as a real proxy in a process of its own (`proxy_steps` has scripted proxies).

These programs cannot use port 0, so a free port is searched first. A proxy is ready when it
accepts, and ends with the `with` block. A missing program raises `NotInstalled`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers import NotInstalled, Server, free_port, stop_process, wait_for_port

USER, PASSWORD, REALM = "user", "pass word:+", "test proxy"

_HELPERS = {
    "basic": """
        import sys, urllib.parse
        for line in sys.stdin:
            user, password = (urllib.parse.unquote(word) for word in line.split())
            ok = (user, password) == ({user!r}, {password!r})
            print("OK" if ok else "ERR", flush=True)
    """,
    "digest": """
        import sys
        for line in sys.stdin:
            known = line.strip() == '"{user}":"{realm}"'
            print('OK ha1="{ha1}"' if known else "ERR", flush=True)
    """,
}


@contextmanager
def squid(auth: str | None = None, *, denies: bool = False) -> Iterator[Server]:
    """Run squid for forwarding and CONNECT; `auth` is "basic" or "digest" (USER, PASSWORD).

    With `denies` it answers every request with 403.
    """
    program = shutil.which("squid") or shutil.which("squid", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NotInstalled("squid is not installed: apt-get install squid")
    # Started by root, squid changes its user, which cannot read pytest's directories.
    directory = Path(tempfile.mkdtemp(prefix="asks_fast_squid"))
    directory.chmod(0o777)
    port = free_port()
    lines = [f"http_port 127.0.0.1:{port}", f"pid_filename {directory}/pid", "access_log none"]
    lines += [f"cache_log {directory}/cache.log", "cache deny all", "shutdown_lifetime 0 seconds"]
    lines += ["visible_hostname proxy.test", f"coredump_dir {directory}", "pinger_enable off"]
    lines += ["logfile_rotate 0", "max_filedescriptors 1024", "via on"]
    if auth is not None:
        ha1 = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()
        helper = directory / "helper.py"
        text = textwrap.dedent(_HELPERS[auth])
        helper.write_text(text.format(user=USER, password=PASSWORD, realm=REALM, ha1=ha1))
        python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
        lines += [f"auth_param {auth} program {python} {helper}", f"auth_param {auth} children 1"]
        lines += [f"auth_param {auth} realm {REALM}", "acl known proxy_auth REQUIRED"]
        lines += ["http_access allow known", "http_access deny all"]
    else:
        lines += [f"http_access {'deny' if denies else 'allow'} all"]
    config = directory / "squid.conf"
    config.write_text("\n".join(lines) + "\n")
    command = [program, "-N", "-f", str(config), "-n", f"t{os.getpid()}p{port}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=directory)
    try:
        wait_for_port("127.0.0.1", port, process)
        yield Server("127.0.0.1", port)
    finally:
        stop_process(process)
        shutil.rmtree(directory, ignore_errors=True)
