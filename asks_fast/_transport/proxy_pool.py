"""`ProxyPool`: several proxies, of which those that fail or are banned are not used for a while.

- A cooldown begins after `max_failures` failures in a row, or after one response with a status of
  `ban_statuses`. The first one takes `cooldown` seconds. Each one that follows without a success in
  between takes twice as long, up to `max_cooldown`.
- After its cooldown one request tries the proxy. Its outcome decides: the proxy is used again, or
  its next cooldown begins.
- Outcomes of requests that began before a cooldown do not change the state after it.
- A request has a lease on its proxy. A lease that a program drops is released when it is collected.
- Waiting requests are served in order of arrival. A released proxy is given to a waiting request
  directly, so that a newcomer cannot take it in between.
- A pool may be used by several sessions, kernels and threads: a lock guards its state, and
  nothing is awaited while it is held.

`proxy_outcome` decides which failures are those of a proxy, and `request_flow` whether a request is
sent again. Routes are created in `route_builder`, the state of a proxy is in `proxy_member`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from .._curio import future_wait
from .._deadlines import ignore_after
from ..errors import (
    InvalidRequest,
    NoProxyAvailable,
    PoolTimeout,
)
from .proxies import Proxy, as_proxy
from .proxy_member import ProxyMember, ProxyStats
from .proxy_outcome import describe_outcome, judge_outcome

__all__ = ["KeyedProxies", "ProxyLease", "ProxyPool", "ProxyStats"]

_MAX_KEYS = 4096


class _Waiter:
    """A request that waits for a proxy: the future of curio's trap, set by any thread."""

    __slots__ = ("_callback", "_is_set", "error", "exclude", "key", "lease")

    def __init__(self, key: Hashable, exclude: Collection[Proxy | None]) -> None:
        self.key = key
        self.exclude = exclude
        self.lease: ProxyLease | None = None
        self.error: NoProxyAvailable | None = None
        self._callback: Callable[[_Waiter], object] | None = None
        self._is_set = False

    # The methods that the kernel calls. The lock of the pool is not needed: `set` of the trap's
    # event, which is this object too, comes after `add_done_callback`.

    def add_done_callback(self, callback: Callable[[_Waiter], object]) -> None:
        self._callback = callback

    def set(self) -> None:
        if self._is_set:
            self.wake()

    def cancel(self) -> bool:
        self._callback = None
        return True

    def wake(self) -> None:
        """Resume the request; from any thread, more than once without harm."""
        self._is_set = True
        callback, self._callback = self._callback, None
        if callback is not None:
            with suppress(OSError):  # the kernel has closed in the meantime
                callback(self)


class ProxyLease:
    """The use of one proxy by one request.

    Attributes:
        proxy: the proxy, None for a direct connection.
        pool: the pool that it belongs to.
    """

    __slots__ = ("_is_released", "_is_trial", "_member", "_period", "pool", "proxy")

    def __init__(self, pool: ProxyPool, member: ProxyMember, is_trial: bool) -> None:
        self.pool = pool
        self.proxy = member.proxy
        self._member = member
        self._is_trial = is_trial
        self._period = member.cooldowns
        self._is_released = False

    def __repr__(self) -> str:
        return f"<ProxyLease {self._member}{', released' if self._is_released else ''}>"

    def __del__(self) -> None:
        if not self._is_released:
            self.release()

    def is_ban(self, status: int) -> bool:
        """Return whether a response with this status is a ban of the proxy."""
        return status in self.pool.ban_statuses

    def record(self, outcome: int | BaseException) -> None:
        """Record the outcome of a request: the status of its response, or its error."""
        self.pool._record(self, outcome)

    def release(self) -> None:
        """End the use of the proxy. May be called twice."""
        if not self._is_released:
            self._is_released = True
            self.pool._release(self)


class ProxyPool:
    """Several proxies for one or more sessions: `proxy=ProxyPool([…])`.

    Each request, and each try of one, takes the next proxy that is not in cooldown. A request is
    sent again through another proxy only if its `retries=` allow it. A list as `proxy=` is a
    `ProxyPool` with `ban_statuses=[407]`.

    Args:
        proxies: URLs, `Proxy` objects, or None for a direct connection.
        max_failures: failures in a row after which a cooldown begins.
        ban_statuses: statuses of responses after which a cooldown begins at once.
        cooldown: seconds of the first cooldown.
        max_cooldown: seconds of the longest one; each is twice as long as the one before.
        requests_per_proxy: most requests that use one proxy at the same time, None for no limit.
            Further ones wait; `pool_timeout` limits this wait.
        sticky: `"host"` sends all requests to one host through the same proxy while it is usable.
        clock: a monotonic clock in seconds.

    Raises:
        InvalidRequest: an argument has an invalid value.
        InvalidURL: the URL of a proxy is invalid.

    Example:
        >>> pool = ProxyPool(["http://10.0.0.1:3128", "socks5h://10.0.0.2:1080"], sticky="host")
        >>> async with DSession(proxy=pool, retries=2) as session:
        ...     await session.get("https://example.com")
        >>> for one in pool.stats():
        ...     print(one.proxy, one.state, one.requests, one.failures)
    """

    def __init__(
        self,
        proxies: Iterable[str | Proxy | None],
        *,
        max_failures: int = 3,
        ban_statuses: Iterable[int] = (403, 407, 429),
        cooldown: float = 60.0,
        max_cooldown: float = 1800.0,
        requests_per_proxy: int | None = None,
        sticky: Literal["host"] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(proxies, (str, Proxy)):
            raise InvalidRequest("ProxyPool takes a list of proxies; a single one is proxy= itself")
        if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 1:
            raise InvalidRequest(f"max_failures must be 1 or more, not {max_failures!r}")
        if not 0 < cooldown <= max_cooldown:
            raise InvalidRequest(
                f"cooldown must be more than 0 seconds and at most max_cooldown, not {cooldown!r}"
            )
        if requests_per_proxy is not None and (
            isinstance(requests_per_proxy, bool) or not requests_per_proxy >= 1
        ):
            raise InvalidRequest(
                f"requests_per_proxy must be 1 or more, or None, not {requests_per_proxy!r}"
            )
        if sticky not in (None, "host"):
            raise InvalidRequest(f"sticky must be 'host' or None, not {sticky!r}")
        self.max_failures = max_failures
        self.ban_statuses = frozenset(ban_statuses)
        self.cooldown = cooldown
        self.max_cooldown = max_cooldown
        self.requests_per_proxy = requests_per_proxy
        self.sticky = sticky
        self._clock = clock
        self._lock = threading.RLock()  # a lease may be collected while it is held
        self._members: list[ProxyMember] = []
        self._cursor = 0
        self._keys: OrderedDict[Hashable, ProxyMember] = OrderedDict()  # of sticky requests
        self._waiters: deque[_Waiter] = deque()
        self.replace(proxies)

    def __repr__(self) -> str:
        with self._lock:
            now = self._clock()
            cooling_down = sum(member.is_cooling_down(now) for member in self._members)
            in_use = sum(member.in_use for member in self._members)
            return (
                f"<ProxyPool of {len(self._members)}, {cooling_down} in cooldown, "
                f"{in_use} requests, {len(self._waiters)} waiting>"
            )

    def __len__(self) -> int:
        return len(self._members)

    # -- what the pool contains

    def replace(self, proxies: Iterable[str | Proxy | None]) -> None:
        """Use these proxies from now on; those that were in the pool before keep their state.

        Requests under way end with the proxies that they have.

        Raises:
            InvalidRequest: there is no proxy, or one is not valid.
        """
        wanted = list(dict.fromkeys(as_proxy(proxy) for proxy in proxies))
        if not wanted:
            raise InvalidRequest("proxy=[] contains no proxy; omit proxy= for a direct connection")
        with self._lock:
            old: dict[Proxy | None, ProxyMember] = {one.proxy: one for one in self._members}
            self._members = [
                old.pop(proxy) if proxy in old else ProxyMember(proxy, self.cooldown)
                for proxy in wanted
            ]
            for member in old.values():
                member.is_removed = True
            self._cursor %= len(self._members)
            self._serve_all()

    def stats(self) -> list[ProxyStats]:
        """Return the state and the counts of each proxy, in the order of `proxies`."""
        with self._lock:
            now = self._clock()
            return [member.stats(now) for member in self._members]

    def for_key(self, key: Hashable) -> KeyedProxies:
        """Return this pool as the `proxy=` of requests that use the same proxy: those of one key.

        They go on with another proxy if theirs is in cooldown or removed. The pool remembers the
        last 4,096 keys.

        Example:
            >>> await session.get(url, proxy=pool.for_key("account 7"))
        """
        return KeyedProxies(self, key)

    # -- leases

    def next(self, host: str = "") -> Proxy | None:
        """Return the proxy that the next request would use, and move on, without a lease.

        Raises:
            NoProxyAvailable: all proxies are in cooldown.
        """
        with self._lock:
            member = self._choose(self._key_for(host, None), ())
            if member is None:
                error = self._error_if_all_cool_down()
                if error is not None:
                    raise error
                member = self._members[self._cursor]  # all are in use
                self._cursor = (self._cursor + 1) % len(self._members)
            return member.proxy

    async def acquire(
        self,
        host: str,
        *,
        key: Hashable = None,
        exclude: Collection[Proxy | None] = (),
        timeout: float | None = None,
    ) -> ProxyLease:
        """Return a lease on a proxy, waiting for one if all are in use.

        If cancelled, it holds nothing.

        Args:
            host: of the request, for `sticky="host"`.
            key: of the request, for `for_key`; None for none.
            exclude: proxies that the request has used; they are used again only if no other is
                usable.
            timeout: most seconds to wait, None for no limit.

        Raises:
            NoProxyAvailable: all proxies are in cooldown.
            PoolTimeout: `timeout` expired.
        """
        key = self._key_for(host, key)
        with self._lock:
            member = self._choose(key, exclude)
            if member is not None:
                return self._grant(member)
            error = self._error_if_all_cool_down()
            if error is not None:
                raise error
            waiter = _Waiter(key, exclude)
            self._waiters.append(waiter)
        try:
            return await self._wait(waiter, timeout)
        finally:
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    async def _wait(self, waiter: _Waiter, timeout: float | None) -> ProxyLease:
        started = time.monotonic()
        try:
            while True:
                seconds = self._seconds_to_end_of_cooldown()
                with self._lock:  # a cooldown may have ended since the last look
                    if waiter.lease is None and waiter.error is None:
                        self._serve(waiter)
                    lease, waiter.lease = waiter.lease, None
                if lease is not None:
                    return lease
                if waiter.error is not None:
                    raise waiter.error
                if timeout is not None:
                    left = started + timeout - time.monotonic()
                    if left <= 0:
                        raise PoolTimeout(
                            f"waited {timeout:g} s for one of {len(self)} proxies; more of them, a "
                            "higher requests_per_proxy=, or a longer pool_timeout= would help",
                            timeout,
                        )
                    seconds = left if seconds is None else min(seconds, left)
                await ignore_after(seconds, future_wait(waiter, waiter))
        except BaseException:
            with self._lock:
                lease, waiter.lease = waiter.lease, None
            if lease is not None:
                lease.release()
            raise

    # -- the state; the callers of these methods hold the lock

    def _key_for(self, host: str, key: Hashable) -> Hashable:
        if key is not None:
            return ("key", key)
        return ("host", host) if self.sticky is not None and host else None

    def _choose(self, key: Hashable, exclude: Collection[Proxy | None]) -> ProxyMember | None:
        """Return the member for a request that can begin now, None if there is none.

        The next request begins its search after a member that was chosen in turn.
        """
        now = self._clock()
        kept = None if key is None else self._keys.get(key)
        if (
            kept is not None
            and not (kept.is_removed or kept.is_cooling_down(now))
            and kept.proxy not in exclude
        ):
            self._keys.move_to_end(key)
            return kept if self._has_capacity(kept) else None
        chosen = used_before = None
        is_another_usable = False
        count = len(self._members)
        for step in range(count):
            member = self._members[(self._cursor + step) % count]
            if member.is_cooling_down(now):
                continue
            has_capacity = self._has_capacity(member)
            if member.proxy in exclude:
                used_before = used_before or (member if has_capacity else None)
            elif has_capacity:
                chosen = member
                break
            else:
                is_another_usable = True  # the request waits for it
        if chosen is None and not is_another_usable:
            chosen = used_before
        if chosen is not None:
            self._cursor = (self._members.index(chosen) + 1) % count
        if chosen is not None and key is not None:
            self._keys[key] = chosen
            self._keys.move_to_end(key)
            if len(self._keys) > _MAX_KEYS:
                self._keys.popitem(last=False)
        return chosen

    def _has_capacity(self, member: ProxyMember) -> bool:
        if member.cooldown_until is not None:  # its cooldown is over: one request tries it
            return not member.on_trial
        return self.requests_per_proxy is None or member.in_use < self.requests_per_proxy

    def _grant(self, member: ProxyMember) -> ProxyLease:
        is_trial = member.cooldown_until is not None
        member.on_trial = is_trial
        member.in_use += 1
        member.requests += 1
        return ProxyLease(self, member, is_trial)

    def _error_if_all_cool_down(self) -> NoProxyAvailable | None:
        left = self._seconds_to_end_of_cooldown()
        if left is None or not all(one.is_cooling_down(self._clock()) for one in self._members):
            return None
        number = len(self._members)
        subject = (
            "the only proxy is in cooldown"
            if number == 1
            else f"all {number} proxies are in cooldown"
        )
        return NoProxyAvailable(
            f"{subject} after failures or bans; a proxy is used again in "
            f"{left:.1f} s (pool.stats() has the last failures)",
            retry_after=left,
        )

    def _seconds_to_end_of_cooldown(self) -> float | None:
        """Seconds until the first cooldown ends; None without one."""
        with self._lock:
            now = self._clock()
            left = [
                member.cooldown_until - now
                for member in self._members
                if member.cooldown_until is not None and member.cooldown_until > now
            ]
        return min(left, default=None)

    def _serve(self, waiter: _Waiter) -> bool:
        """Give a waiting request a proxy or an error; False if it must wait."""
        member = self._choose(waiter.key, waiter.exclude)
        if member is not None:
            waiter.lease = self._grant(member)
        else:
            waiter.error = self._error_if_all_cool_down()
            if waiter.error is None:
                return False
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        waiter.wake()
        return True

    def _serve_all(self) -> None:
        """Serve the waiting requests in order of arrival, as far as proxies are free."""
        is_exhausted = False
        for waiter in list(self._waiters):
            is_plain = waiter.key is None and not waiter.exclude
            if is_exhausted and is_plain:
                continue
            if not self._serve(waiter) and is_plain:
                is_exhausted = True

    def _record(self, lease: ProxyLease, outcome: int | BaseException) -> None:
        verdict = judge_outcome(outcome, lease.proxy, self.ban_statuses)
        member = lease._member
        with self._lock:
            if verdict is None:
                return
            if verdict == "success":
                member.successes += 1
            else:
                member.bans += verdict == "ban"
                member.failures += verdict == "failure"
                member.last_failure = describe_outcome(outcome)
            if lease._period != member.cooldowns:  # it began before the last cooldown
                return
            if verdict == "success":
                was_on_trial, member.on_trial = member.on_trial, False
                member.cooldown_until = None
                member.failures_in_row = 0
                member.next_cooldown = self.cooldown
                if was_on_trial:
                    self._serve_all()
                return
            member.failures_in_row += verdict == "failure"
            if verdict == "ban" or lease._is_trial or member.failures_in_row >= self.max_failures:
                self._start_cooldown(member)

    def _start_cooldown(self, member: ProxyMember) -> None:
        member.cooldown_until = self._clock() + member.next_cooldown
        member.next_cooldown = min(2 * member.next_cooldown, self.max_cooldown)
        member.cooldowns += 1
        member.on_trial = False
        self._serve_all()

    def _release(self, lease: ProxyLease) -> None:
        member = lease._member
        with self._lock:
            member.in_use -= 1
            if lease._is_trial and lease._period == member.cooldowns:
                member.on_trial = False  # without an outcome the next request tries it
            self._serve_all()


@dataclass(frozen=True, slots=True)
class KeyedProxies:
    """A pool as the `proxy=` of requests of one key: see `ProxyPool.for_key`."""

    pool: ProxyPool
    key: Hashable
