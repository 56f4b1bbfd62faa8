"""Resolve host names to addresses, with a cache, without blocking the kernel.

- An answer is cached for `ttl` seconds, a failure for `negative_ttl`. The size is bounded.
- IP literals and static hosts are not resolved.
- One resolution per name runs at a time, in a task of its own, for any number of waiting tasks.
  Cancelling one of these tasks does not affect the others; when the last one is gone, the
  resolution is cancelled.

The choice among the addresses is implemented in `happy_eyeballs`, the threads in `dns_threads`.
"""

from __future__ import annotations

import inspect
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import curio

from .._curio import get_kernel
from .._shutdown import is_shutting_down
from ..errors import InvalidRequest, NameResolutionError
from . import dns_threads
from .sockets import Address

__all__ = [
    "DEFAULT_TTLS",
    "DnsCache",
    "Resolver",
    "StaticHosts",
    "as_resolver",
    "literal_address",
    "shared_dns_cache",
    "system_lookup",
]

DEFAULT_TTLS = (60.0, 1.0)
"""The defaults: seconds that an answer and a failure are cached."""

MAX_ADDRESSES = 64

Resolver = Callable[[str], Awaitable[Iterable[Any]]]
"""Takes a host name; returns IP addresses, as str or as objects whose `str()` is an address."""


def literal_address(host: str, port: int) -> Address | None:
    """Return `host` as a numeric address, or None if it is a name. Does not block."""
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        pass
    else:
        return (socket.AF_INET, (host, port))
    if ":" not in host:
        return None
    plain, _, zone = host.partition("%")
    try:
        socket.inet_pton(socket.AF_INET6, plain)
    except (OSError, ValueError):
        return None
    return (socket.AF_INET6, (plain, port, 0, _scope(zone) if zone else 0))


def _scope(zone: str) -> int:
    if zone.isascii() and zone.isdigit():
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError:
        raise NameResolutionError(
            f"no network interface {zone!r} for a link-local address"
        ) from None


def _system_addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(
        dict.fromkeys(_format_address(family, address) for family, _, _, _, address in found)
    )


def _format_address(family: int, address: Any) -> str:
    if family == socket.AF_INET6 and address[3]:
        return f"{address[0].partition('%')[0]}%{address[3]}"
    return str(address[0])


async def system_lookup(host: str) -> list[str]:
    """Resolve a name by `getaddrinfo` in one of the threads of `dns_threads`."""
    found: list[str] = await dns_threads.run(lambda: _system_addresses(host))
    return found


def as_resolver(resolver: object) -> Resolver:
    """Return a user's resolver as a function. It may be one, or have a method `resolve`.

    Raises `InvalidRequest` for anything else.
    """
    method = getattr(resolver, "resolve", None)
    call = resolver if method is None else method
    if not callable(call):
        raise InvalidRequest(
            "resolver= takes an async function (host) -> addresses, or an object with such a "
            f"method named resolve; not {resolver!r}"
        )
    return _UserResolver(call)


class _UserResolver:
    """Calls the user's resolver, which may be async or not."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[str], Any]) -> None:
        self._call = call

    async def __call__(self, host: str) -> Iterable[Any]:
        answer = self._call(host)
        if inspect.isawaitable(answer):
            answer = await answer
        return [answer] if isinstance(answer, str) else list(answer)


class StaticHosts:
    """Names with fixed addresses, as in a hosts file.

    A key is `"name"` or `"name:port"`, which takes precedence for that port. A value is an IP
    address or several.
    """

    def __init__(self, hosts: Mapping[str, str | Iterable[str]] | None = None) -> None:
        self._hosts: dict[str, tuple[str, ...]] = {}
        for name, value in (hosts or {}).items():
            addresses = (value,) if isinstance(value, str) else tuple(value)
            for address in addresses:
                if literal_address(str(address), 0) is None:
                    raise InvalidRequest(f"hosts={{{name!r}: …}}: {address!r} is not an IP address")
            if not addresses:
                raise InvalidRequest(f"hosts={{{name!r}: …}} names no address")
            self._hosts[name.lower()] = tuple(str(address) for address in addresses)

    def __bool__(self) -> bool:
        return bool(self._hosts)

    def find(self, host: str, port: int) -> tuple[str, ...] | None:
        """Return the fixed addresses of `host` at `port`, or None."""
        return self._hosts.get(f"{host}:{port}") or self._hosts.get(host)


class _Resolution:
    """One resolution that runs: its task, the number of waiting tasks and its result."""

    __slots__ = ("addresses", "done", "error", "is_cancelled", "kernel", "task", "waiters")

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel  # only tasks of this kernel can wait for it
        self.done = curio.Event()
        self.task: Any = None
        self.waiters = 0
        self.is_cancelled = False
        self.addresses: tuple[str, ...] = ()
        self.error: str | None = None


class DnsCache:
    """A cache for one resolver. Usable from several kernels and threads.

    Args:
        lookup: the resolver.
        ttl: seconds that an answer is cached; 0 caches none.
        negative_ttl: seconds that a failure is cached; 0 caches none.
        size: at most so many names; the oldest entry is removed first.
        clock: monotonic, in seconds.

    Raises:
        InvalidRequest: a number is out of range.
    """

    def __init__(
        self,
        lookup: Resolver = system_lookup,
        *,
        ttl: float = DEFAULT_TTLS[0],
        negative_ttl: float = DEFAULT_TTLS[1],
        size: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (ttl >= 0 and negative_ttl >= 0):
            raise InvalidRequest("dns_ttl= and dns_negative_ttl= take seconds, 0 or more")
        if size < 1:
            raise InvalidRequest(f"the name cache holds 1 name or more, not {size!r}")
        self._lookup = lookup
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._size = size
        self._clock = clock
        # host → (time of expiry, addresses, the reason if there are none)
        self._cached: dict[str, tuple[float, tuple[str, ...], str | None]] = {}
        self._in_flight: dict[str, _Resolution] = {}

    def __repr__(self) -> str:
        return f"<DnsCache {len(self._cached)} cached, {len(self._in_flight)} in flight>"

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of `host`, at least one. Raises `NameResolutionError`.

        If cancelled, the resolution goes on while other tasks wait for it, and else is cancelled.
        """
        kernel = await get_kernel()
        while True:
            cached = self._cached.get(host)
            if cached is not None:
                if self._clock() < cached[0]:
                    return _outcome(host, cached[1], cached[2])
                self._cached.pop(host, None)
            in_flight = self._in_flight.get(host)
            if in_flight is None or in_flight.kernel is not kernel:
                in_flight = _Resolution(kernel)
                if is_shutting_down(kernel):  # it must not get new tasks
                    await self._look_up(host, in_flight)
                    break
                self._in_flight[host] = in_flight
                in_flight.task = await curio.spawn(self._run, host, in_flight, daemon=True)
            await self._wait_for(host, in_flight)
            if not in_flight.is_cancelled:
                break
        return _outcome(host, in_flight.addresses, in_flight.error)

    async def _wait_for(self, host: str, in_flight: _Resolution) -> None:
        in_flight.waiters += 1
        try:
            await in_flight.done.wait()
        finally:
            in_flight.waiters -= 1
            if not in_flight.waiters and not in_flight.done.is_set():
                self._remove(host, in_flight)
                await in_flight.task.cancel(blocking=False)

    async def _run(self, host: str, in_flight: _Resolution) -> None:
        try:
            await self._look_up(host, in_flight)
        except BaseException:
            in_flight.is_cancelled = True  # by a shutdown: each waiting task resolves the name
            raise
        finally:
            self._remove(host, in_flight)
            await in_flight.done.set()

    async def _look_up(self, host: str, in_flight: _Resolution) -> None:
        try:
            in_flight.addresses = _validate(await self._lookup(host))
        except Exception as error:
            in_flight.error = _reason(error)
        self._store(host, in_flight)

    def _remove(self, host: str, in_flight: _Resolution) -> None:
        if self._in_flight.get(host) is in_flight:
            del self._in_flight[host]

    def _store(self, host: str, in_flight: _Resolution) -> None:
        seconds = self._negative_ttl if in_flight.error is not None else self._ttl
        if seconds <= 0:
            return
        cached = self._cached
        cached.pop(host, None)
        while len(cached) >= self._size:
            try:
                del cached[next(iter(cached))]
            except (KeyError, StopIteration, RuntimeError):
                break  # another thread removed it first
        cached[host] = (self._clock() + seconds, in_flight.addresses, in_flight.error)


def _validate(answer: Iterable[Any]) -> tuple[str, ...]:
    """Return the first `MAX_ADDRESSES` addresses: each may cost a connection attempt."""
    addresses = tuple(islice(dict.fromkeys(map(str, answer)), MAX_ADDRESSES))
    for address in addresses:
        if literal_address(address, 0) is None:
            raise ValueError(f"the resolver returned {address!r}, which is not an IP address")
    if not addresses:
        raise ValueError("the name has no address")
    return addresses


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _outcome(host: str, addresses: tuple[str, ...], error: str | None) -> tuple[str, ...]:
    if error is not None:
        raise NameResolutionError(f"could not resolve {host!r}: {error}")
    return addresses


_shared: DnsCache | None = None


def shared_dns_cache() -> DnsCache:
    """Return the cache of the process, which all sessions with default settings share."""
    global _shared
    if _shared is None:
        _shared = DnsCache()
    return _shared
