"""The far side of a tunnel: what a scripted proxy does after it said yes to CONNECT."""

from __future__ import annotations

import socket
import threading

from support.leaks import disregard
from support.peer import PeerConnection


def relay(connection: PeerConnection) -> None:
    """A step: carry bytes both ways between the client and the host that CONNECT named."""
    host, _, port = connection.requests[-1].target.rpartition(":")
    outer = socket.create_connection((host.strip("[]"), int(port)), 5)
    disregard(outer.fileno())

    def back() -> None:
        try:
            while data := outer.recv(65536):
                connection.put(data)
        except Exception:
            return

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    try:
        while True:
            connection.take_more()
            outer.sendall(connection.unread)
            connection.unread.clear()
    finally:
        outer.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        outer.close()
