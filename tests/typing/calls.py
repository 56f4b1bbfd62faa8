"""What type checkers must accept and reject in calls.

Checked, never run; see `answers`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from typing_extensions import assert_type

import asks_fast
from asks_fast import (
    BaseResponse,
    BasicAuth,
    BearerAuth,
    CallNext,
    CookieTracker,
    DigestAuth,
    DSession,
    HSession,
    PostResponseAuth,
    PreparedRequest,
    PreResponseAuth,
    Proxy,
    ProxyPool,
    Response,
    Retry,
    Session,
    Timeouts,
    errors,
)
from asks_fast._client.bulk import ResultStream
from asks_fast.contrib.har import HarRecorder
from asks_fast.contrib.opentelemetry import OpenTelemetry
from asks_fast.contrib.prometheus import PrometheusMetrics
from asks_fast.crawl import Politeness, Result
from asks_fast.multipart import MultipartData


def made() -> None:
    """Sessions accept defaults of requests, and options of connections and pools."""
    HSession("https://h", "/api", connections=50, headers={"A": "b"}, timeout=5)
    HSession("https://h", persist_cookies=True, retries=Retry(attempts=2), auth=("u", "p"))
    DSession(connections=20, connections_per_host=5, idle_timeout=10.0, trust_env=True)
    DSession(persist_cookies=CookieTracker(), timeout=Timeouts(total=5), proxy="http://p:1")
    DSession(proxy=ProxyPool(["http://p:1", None], sticky="host").for_key(1), dns_timeout=1.0)
    DSession(proxy=ProxyPool(["http://p:1"], sticky="key"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DSession(hosts={"name": ["::1"]}, verify="/ca.pem", cert=("/c.pem", "/k.pem"), keepalive=None)
    Session("https://h", "/api", {"A": "b"}, ssl_context=ssl.create_default_context())
    Session(proxy=[Proxy.from_url("http://p:1"), "socks5://q:2"], source_address="127.0.0.1")
    HSession("https://h", on_event=[print, HarRecorder(bodies=True)])
    HSession("https://h", on_event=PrometheusMetrics(by_host=True), middleware=[OpenTelemetry()])
    HSession("https://h", conections=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    HSession("https://h", connections="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    HSession("https://h", timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def passed_on(request: PreparedRequest, call_next: CallNext) -> BaseResponse:
    """A middleware may change the request and return what `call_next` does."""
    request.headers["X-A"] = "b"
    request.url = "https://h/x"
    request.body = b"abc"
    return await call_next(request)


async def answered(request: PreparedRequest, call_next: CallNext) -> Response:
    """Or a response of its own."""
    return Response(status_code=404, body=request.content)


async def wrapped() -> None:
    """Sessions and requests take a list of them."""
    session = HSession("https://h", middleware=[passed_on, answered])
    await session.get(path="/", middleware=(passed_on,))
    await asks_fast.get("https://h", middleware=[answered])
    HSession("https://h", cache=asks_fast.Cache("file", max_size=10))
    DSession(cache=True)
    HSession("https://h", cache="file")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    HSession("https://h", middleware=[print, 5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def asked(session: HSession, rows: AsyncIterator[bytes]) -> None:
    """Requests accept every argument of the guide, in each accepted form."""
    await session.get(path="/", params={"q": ["a", 1, None]}, headers={"A": None, "B": ["c", "d"]})
    await session.get(params=[("a", "b")], headers=[("A", b"b")], cookies={"c": "v"})
    await session.get(params="a=b", auth=BasicAuth(("u", "p")), timeout=None, read_timeout=5)
    await session.get(auth=BearerAuth("t"), follow_redirects=False, max_redirects=3, retries=0)
    await session.get(auth=DigestAuth(("u", "p")), callback=print, max_body=10, verify=False)
    await session.get(detect_encoding=True, decompress=False, on_event=print, normalize_url=False)
    await session.post(data={"a": ["b", 1]}, encoding="latin-1", mimetype="text/plain")
    await session.post(data=rows, expect_continue=1.5)
    await session.post(data=Path("file"), headers=None)
    await session.post(json=[1], json_dumps=str, json_loads=lambda text: text)
    await session.post(files={"a": "/path"})
    await session.post(multipart={"a": MultipartData(b"", mime_type="text/plain")})
    await session.post(
        unix_socket=Path("/socket"), persist_cookies=False, sensitive_headers=["X-Key"]
    )
    await asks_fast.get("http://h", connection_timeout=1, dns_ttl=5, trust_env=True)
    await session.send(session.prepare("GET", path="/", stream=True))
    await session.get(tiemout=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await session.get(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await session.get(retries=None)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await session.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await session.get(stream="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await session.get(headers=["A: b"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await asks_fast.get("http://h", dns_ttl="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await session.get(stream=True, max_body=5.0)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await asks_fast.get("http://h", conections=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    session.prepare("GET", tiemout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def in_bulk(session: DSession, urls: list[str]) -> None:
    """`map` yields results; `gather` returns a list of them."""
    results = session.map(urls, concurrency=5, ordered=True, politeness=Politeness(min_delay=1))
    assert_type(results, ResultStream)
    assert_type(results.adaptive_limits(["h"]), dict[str, str])
    async for result in results:
        assert_type(result, Result)
    assert_type(await session.gather(urls), list[Result])


class ApiKey(PreResponseAuth):
    """A custom class that adds a header to each request."""

    async def __call__(self, request: object) -> dict[str, str]:
        return {"X-Key": "k"}


class Login(PostResponseAuth):
    """A custom class that responds to a 401."""

    async def __call__(self, response: object, request: object) -> dict[str, str]:
        return {}


async def failing(session: HSession) -> None:
    """Errors have typed attributes."""
    try:
        await session.get(auth=ApiKey())
        await session.get(auth=Login())
    except errors.RequestTimeout as error:
        assert_type(error.phase, str)
    except errors.BadStatus as error:
        assert_type(error.status_code, int)


async def main() -> int:
    """A coroutine function to run."""
    return 1


asks_fast.run(main)
