"""The far side of a tunnel: what a scripted proxy does after it said yes to CONNECT."""

from __future__ import annotations

import select
import socket

from support.leaks import disregard
from support.scripted_server import PeerConnection


def relay(connection: PeerConnection) -> None:
    """A step: carry bytes both ways between the client and the host that CONNECT named.

    In one thread: OpenSSL forbids that one reads a TLS socket while another writes it.
    """
    host, _, port = connection.requests[-1].target.rpartition(":")
    outer = socket.create_connection((host.strip("[]"), int(port)), 5)
    disregard(outer.fileno())
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
