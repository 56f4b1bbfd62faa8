"""The server side of a tunnel: steps for scripted proxies that accepted a client."""

from __future__ import annotations

import select
import socket

from support.leaks import ignore_descriptor
from support.scripted_server import PeerConnection, PeerStopped


def open_outer(host: str, port: int) -> socket.socket:
    """Connect to the host that the client named; raises OSError if that fails."""
    outer = socket.create_connection((host, port), 5)
    ignore_descriptor(outer.fileno())
    return outer


def relay(connection: PeerConnection) -> None:
    """A step: carry bytes both ways between the client and the host that CONNECT named."""
    host, _, port = connection.requests[-1].target.rpartition(":")
    carry(connection, open_outer(host.strip("[]"), int(port)))


def carry(connection: PeerConnection, outer: socket.socket) -> None:
    """Carry bytes both ways until one side closes, then close `outer`.

    One thread does both: OpenSSL does not allow reading and writing one TLS socket in two threads.
    """
    inner = connection.sock
    try:
        while True:
            if connection.peer.stopping:
                raise PeerStopped
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
