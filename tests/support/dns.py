"""A DNS server on loopback, and a resolver that queries it, for tests of custom resolvers.

Names in `records` have addresses, names in `silent` are never answered, other names do not exist.
Every question is counted.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from typing import Any

import curio
import curio.socket
import pytest

from support.leaks import ignore_descriptor


class DnsServer:
    """Answers A and AAAA questions over UDP."""

    def __init__(self, records: dict[str, list[str]], silent: tuple[str, ...] = ()) -> None:
        self._dnslib = pytest.importorskip("dnslib", reason="dnslib is not installed")
        self.records, self.silent = records, silent
        self.questions: Counter[str] = Counter()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ignore_descriptor(self._sock.fileno())
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(0.05)
        self.address: tuple[str, int] = self._sock.getsockname()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        while not self._stopping:
            try:
                data, client = self._sock.recvfrom(4096)
            except TimeoutError:
                continue
            answer = self._answer(data)
            if answer is not None:
                self._sock.sendto(answer, client)

    def _answer(self, data: bytes) -> bytes | None:
        dnslib: Any = self._dnslib
        question = dnslib.DNSRecord.parse(data)
        name = str(question.q.qname).rstrip(".")
        self.questions[name] += 1
        if name in self.silent:
            return None
        reply = question.reply()
        if name not in self.records:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        for address in self.records.get(name, []):
            kind, rdata = ("AAAA", dnslib.AAAA) if ":" in address else ("A", dnslib.A)
            if question.q.qtype == getattr(dnslib.QTYPE, kind):
                record = dnslib.RR(name, question.q.qtype, rdata=rdata(address), ttl=60)
                reply.add_answer(record)
        packed: bytes = reply.pack()
        return packed


class DnsResolver:
    """A resolver as a user could write it: A and AAAA queries over curio's UDP sockets."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server

    async def resolve(self, host: str) -> list[str]:
        import dnslib

        found: list[str] = []
        sock = curio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            for kind in ("A", "AAAA"):
                await sock.sendto(dnslib.DNSRecord.question(host, kind).pack(), self._server)
                reply = dnslib.DNSRecord.parse(await sock.recv(4096))
                if reply.header.rcode:
                    raise LookupError(f"rcode {dnslib.RCODE[reply.header.rcode]}")
                found += [str(record.rdata) for record in reply.rr]
        finally:
            await sock.close()
        return found
