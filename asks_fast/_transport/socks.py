"""A tunnel through a SOCKS proxy (4, 4a, 5, 5h), spoken by python-socks.

Facts:  python-socks keeps the protocol apart from sockets, but under names of its own house
        (`_connectors`); they have stayed since 2.5, the least version of our extra. Its stream
        methods were renamed in 3.0.
Rules:  it reads exactly what the protocol says, so nothing of the origin's is swallowed. Its errors
        leave here as `ProxyError`. Never its `[curio]` extra, which would install another curio.
Not here: reaching the proxy, resolving names (for 4 and 5 the host comes here as an address).
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidRequest, ProxyError
from .proxies import Proxy
from .raw_io import receive, receive_exactly, send_all

__all__ = ["open_socks_tunnel", "require_python_socks"]


def require_python_socks() -> None:
    """Raises `InvalidRequest` where the extra is not installed."""
    try:
        import python_socks  # noqa: F401
    except ImportError as error:
        raise InvalidRequest(
            'a SOCKS proxy needs an extra: pip install "asks-fast[socks]"'
        ) from error


class _Stream:
    """Our socket as python-socks likes it, old names and new."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    async def write(self, data: bytes) -> None:
        await send_all(self._sock, data)

    async def read(self, max_bytes: int = 2048) -> bytes:
        return await receive(self._sock, max_bytes)

    async def read_exactly(self, n: int) -> bytes:
        return await receive_exactly(self._sock, n)

    async def close(self) -> None:
        """The socket stays ours to close."""

    write_all = write
    read_exact = read_exactly


async def open_socks_tunnel(sock: Any, proxy: Proxy, host: str, port: int) -> None:
    """Make `sock`, connected to `proxy`, a tunnel to `host` at `port`.

    Raises `ProxyError` with the proxy's reason. Closes nothing; cancelled, `sock` is of no use.
    """
    from python_socks import ProxyType
    from python_socks._connectors.factory_async import create_connector

    is_five = proxy.scheme.startswith("socks5")
    connector = create_connector(
        ProxyType.SOCKS5 if is_five else ProxyType.SOCKS4,
        proxy.username,
        proxy.password or "" if proxy.username is not None else None,
        True,  # a name that comes here is the proxy's to resolve
        None,  # type: ignore[arg-type]  # so no resolver is asked
    )
    try:
        await connector.connect(_Stream(sock), host, port)  # type: ignore[arg-type]
    except EOFError as error:
        raise ProxyError(f"{proxy} closed the connection while asked for {host}:{port}") from error
    except OSError as error:
        raise ProxyError(
            f"{proxy} broke off while asked for {host}:{port}: {error.strerror or error}"
        ) from error
    except Exception as error:
        raise ProxyError(f"{proxy} gives no way to {host}:{port}: {error}") from error
