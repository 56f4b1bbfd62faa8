"""Fixtures of the tests of adapters: the packages httpx and httpx2, and calls through them."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request: pytest.FixtureRequest) -> Any:
    """The package."""
    return pytest.importorskip(request.param)


@pytest.fixture
def transports(httpx: Any) -> Any:
    """The module of asks_fast with the transports for the package."""
    return importlib.import_module(f"asks_fast.contrib.{httpx.__name__}")


class Caller:
    """Sends one request through a client of the package."""

    def __init__(self, httpx: Any, transports: Any) -> None:
        self._httpx = httpx
        self._transports = transports

    async def make_async(self, method: str, url: str, options: Any, **arguments: Any) -> Any:
        if isinstance(content := arguments.get("content"), list):
            arguments["content"] = pieces(content)
        transport = self._transports.AsyncTransport(**options)
        async with self._httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, url, **arguments)

    def make(self, method: str, url: str, options: Any, **arguments: Any) -> Any:
        if isinstance(content := arguments.get("content"), list):
            arguments["content"] = iter(content)
        transport = self._transports.Transport(**options)
        with self._httpx.Client(transport=transport) as client:
            return client.request(method, url, **arguments)


async def pieces(content: list[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


@pytest.fixture(params=["asyncio", "trio", "sync"])
def call(request: pytest.FixtureRequest, httpx: Any, transports: Any) -> Callable[..., Any]:
    """`call(method, url, transport=…, **arguments)`: a response, its body read."""
    caller = Caller(httpx, transports)

    def make(method: str, url: str, transport: dict[str, Any] | None = None, **more: Any) -> Any:
        options = transport or {}
        if request.param == "sync":
            return caller.make(method, url, options, **more)
        if request.param == "asyncio":
            return asyncio.run(caller.make_async(method, url, options, **more))
        trio = pytest.importorskip("trio")
        return trio.run(partial(caller.make_async, method, url, options, **more))

    return make


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`download(url, settings=…, connect=…, **request)`: the response of Scrapy's handler.

    `connect(crawler)` may connect handlers of signals. Several URLs give a list of responses.
    """
    scrapy = pytest.importorskip("scrapy")
    from scrapy.utils.test import get_crawler

    from asks_fast.contrib.scrapy import LOG_LEVELS, DownloadHandler

    for name in LOG_LEVELS:  # which the handler changes
        log = logging.getLogger(name)
        monkeypatch.setattr(log, "level", log.level)

    async def run(urls: list[str], settings: Any, connect: Any, request: Any) -> list[Any]:
        crawler = get_crawler(settings_dict={"TWISTED_REACTOR_ENABLED": False, **settings})
        handler = DownloadHandler.from_crawler(crawler)
        connect(crawler)
        try:
            requests = [scrapy.Request(url, **request) for url in urls]
            return [await handler.download_request(one) for one in requests]
        finally:
            await handler.close()

    def call(
        url: str | list[str],
        settings: dict[str, Any] | None = None,
        connect: Callable[[Any], object] = lambda crawler: None,
        **request: Any,
    ) -> Any:
        urls = [url] if isinstance(url, str) else url
        found = asyncio.run(run(urls, settings or {}, connect, request))
        return found[0] if isinstance(url, str) else found

    return call
