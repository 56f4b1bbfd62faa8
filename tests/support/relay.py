"""The far side of a tunnel: a step for scripted proxies that accepted CONNECT."""

from __future__ import annotations

import select
import socket

from support.leaks import ignore_descriptor
from support.scripted_server import PeerConnection


def relay(connection: PeerConnection) -> None:
    """Copy bytes in both directions between the client and the host of the CONNECT request.

    One thread does both: OpenSSL does not allow reading and writing one TLS socket in two threads.
    """
    host, _, port = connection.requests[-1].target.rpartition(":")
    outer = socket.create_connection((host.strip("[]"), int(port)), 5)
    ignore_descriptor(outer.fileno())
    inner = connection.sock
    try:
        while True:
            if connection.unread:
                outer.sendall(connection.unread)
                connection.unread.clear()
            ready = [inner]
            if not getattr(inner, "pending", int)():
                ready = select.select([inner, outer], [], [], 0.5)[0]
            if inner in ready:
                connection.take_more()
            if outer in ready:
                data = outer.recv(65536)
                if not data:
                    return
                connection.put(data)
    finally:
        outer.close()
