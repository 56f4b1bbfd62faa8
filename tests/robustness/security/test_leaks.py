"""No secret appears in a repr, a log line, an event, an error or a warning.

The secrets are passwords (in a URL, as `auth`, for a proxy), cookies and header fields. All contain
the same word, and neither it nor its Base64 form may be found.
"""

from __future__ import annotations

import base64
import gc
import logging
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from support.script_steps import OK, close, expect, repeat, reset, send, stall
from support.scripted_server import Peer

from asks_fast import BasicAuth, BearerAuth, DigestAuth, DSession, HSession, Proxy
from asks_fast.cookie_utils import CookieTracker
from asks_fast.errors import AsksException, BadStatus, InvalidHeader
from asks_fast.urls import parse_url

SECRET = "hush-hush"
TRACES = [
    SECRET,
    *(
        base64.b64encode(text.encode()).decode().rstrip("=")
        for text in (SECRET, f"user:{SECRET}", f"u:{SECRET}")
    ),
]
BASIC = f"Basic {TRACES[2]}"
SECRETS: dict[str, Any] = {
    "headers": {"Authorization": BASIC, "X-Api-Key": SECRET},
    "cookies": {"sid": SECRET},
}


def assert_silent(*texts: object) -> None:
    for text in map(str, texts):
        for trace in TRACES:
            assert trace not in text, text


def shown(error: BaseException) -> str:
    return "".join([str(error), repr(error), *traceback.format_exception_only(error)])


ENDS: dict[str, list[Any]] = {
    "closed": [expect(), close()],
    "reset": [expect(), reset()],
    "garbage": [expect(), send(b"SSH-2.0-x\r\n\r\n")],
    "cut head": [expect(), send(b"HTTP/1.1 200 OK\r\nA"), close()],
    "cut body": [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), close()],
    "silent": [expect(), stall()],
    "401": [
        expect(),
        send(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"),
    ],
    "redirects": [
        repeat(expect(), send(b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"))
    ],
    "bad place": [
        repeat(expect(), send(b"HTTP/1.1 302 F\r\nLocation: x:y\r\nContent-Length: 0\r\n\r\n"))
    ],
}


@pytest.mark.parametrize("script", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("how", ["fields", "auth", "url", "bearer", "proxy"])
async def test_no_secret_in_errors_events_and_logs(
    peer: Callable[..., Peer], script: list[Any], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors, events and the log of a failing request name the URL, and no secret."""
    server = peer(script)
    texts: list[str] = []
    url, given = server.url + "/x?y=1", {**SECRETS}
    if how == "auth":
        given = {"auth": BasicAuth(("user", SECRET))}
    elif how == "bearer":
        given = {"auth": BearerAuth(SECRET)}
    elif how == "url":
        url, given = url.replace("//", f"//user:{SECRET}@"), {}
    elif how == "proxy":
        proxy = server.url.replace("//", f"//u:{SECRET}@")
        url, given = "http://origin.test/x", {"proxy": proxy}

    def listen(event: Any) -> None:
        texts.extend((str(event), repr(event), repr(event.request)))

    with caplog.at_level(logging.DEBUG):
        async with DSession() as session:
            try:
                r = await session.get(
                    url, timeout=0.2, on_event=listen, max_redirects=2, retries=0, **given
                )
                texts += [repr(r), repr(r.request), r.url, repr(r.headers)]
                r.raise_for_status()
            except AsksException as error:
                texts.append(shown(error))
            texts.append(repr(session))
    assert texts
    assert_silent(*texts, caplog.text)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1:1/",
        f"http://user:{SECRET}@[::1/",
        f"http://user:{SECRET}@h:99999/",
        f"http://user:{SECRET}@h\\x/",
        f"ftp://user:{SECRET}@h/",
        f"http://user:{SECRET}@a b/",
        f"http://user:{SECRET}@no-such-name.invalid/",
        f"http://user:{SECRET}%00@h/",
        f"http://us@er:{SECRET}@h:x/",
    ],
)
async def test_urls(url: str) -> None:
    """An invalid URL is shown without user and password."""

    async def resolver(host: str) -> list[str]:
        raise OSError(f"no such name {host}")

    async with DSession(resolver=resolver) as session:
        with pytest.raises(AsksException) as caught:
            await session.get(url, retries=0)
        assert_silent(shown(caught.value), repr(session))
    with pytest.raises(AsksException) as caught:
        HSession(url + "?q#f")
    assert_silent(shown(caught.value))


@pytest.mark.parametrize("value", [f"{SECRET}\r\n", f"{SECRET}\udc80", [[SECRET]], {SECRET: 1}])
async def test_rejected_headers(value: Any) -> None:
    """The error names a rejected field and does not show its value."""
    async with DSession() as session:
        with pytest.raises(InvalidHeader, match="X-Key") as caught:
            await session.get("http://127.0.0.1:1/", headers={"X-Key": value})
    assert_silent(shown(caught.value))


async def test_rejected_cookies_and_credentials() -> None:
    """The same for cookies and for credentials that no field can carry."""
    async with DSession() as session:
        for given in (
            {"cookies": {"sid": SECRET + "\r\n"}},
            {"cookies": {"sid": SECRET * 1000}},
            {"auth": (f"user\r\n{SECRET}", SECRET)},
            {"auth": ("user", SECRET, "three")},
        ):
            with pytest.raises((AsksException, TypeError)) as caught:
                await session.get("http://127.0.0.1:1/", **given)
            if not isinstance(caught.value, TypeError):
                assert_silent(shown(caught.value))
    with pytest.raises(AsksException) as caught:
        BearerAuth(SECRET + "\n")
    assert_silent(shown(caught.value))


async def test_reprs(peer: Callable[..., Peer]) -> None:
    """No repr shows a secret."""
    lines = f"Set-Cookie: sid={SECRET}\r\nSet-Cookie: {SECRET}\r\n".encode()
    server = peer([repeat(expect(), send(OK.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n")))])
    tracker = CookieTracker()
    url = server.url.replace("//", f"//user:{SECRET}@")
    proxy = Proxy.from_url(f"http://u:{SECRET}@proxy.test:1", headers={"X-P": "1"})
    seen: list[object] = [proxy, parse_url(url), BasicAuth(("user", SECRET)), BearerAuth(SECRET)]
    seen.append(DigestAuth(("user", SECRET)))
    async with HSession(url, persist_cookies=tracker, **SECRETS) as session:
        r = await session.get()
        seen += [session, tracker, r, r.request, r.cookies, session.pool_stats(), r.url]
        seen += [tracker.domain_dict, session._transport.origin(r.request)]
    async with DSession(proxy=proxy) as session:
        seen += [session, session._connector, session._connector.route_for("http", "h", 80)]
    assert_silent(*map(repr, seen), *map(str, (proxy, parse_url(url))))


async def test_warnings(peer: Callable[..., Peer]) -> None:
    """The warning about a session that was not closed shows no secret."""
    server = peer([repeat(expect(), send(OK))])
    url = server.url.replace("//", f"//user:{SECRET}@")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session = HSession(url)
        r = await session.get()
        assert r.status_code == 200
        del session, r
        gc.collect()
        await server.all_closed()
    assert any("never closed" in str(warning.message) for warning in caught)
    assert_silent(*(warning.message for warning in caught))


async def test_text_of_a_server_is_escaped(peer: Callable[..., Peer]) -> None:
    """Bytes of a server in an error are escaped and truncated."""
    evil = b"\x1b]0;owned\x07\x1b[2J"
    answers = [
        b"HTTP/1.1 200 OK\r\n" + evil + b"\r\n\r\n",
        evil * 1000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + evil * 100 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + evil * 100 + b"\r\n\r\n",
        b"HTTP/1.1 302 F\r\nLocation: http://" + evil * 100 + b"/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 " + evil * 1000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: "
        + b", ".join([evil] * 9)
        + b"\r\nContent-Length: 1\r\n\r\nx",
    ]
    server = peer(*([expect(), send(answer)] for answer in answers))
    for _ in answers:
        async with DSession(max_header_size=1 << 20) as session:
            with pytest.raises(AsksException) as caught:
                await use(session, server.url)
            assert_harmless(str(caught.value))
            assert len(str(caught.value)) < 1500
            if isinstance(caught.value, BadStatus):
                assert "404 Client Error" in str(caught.value)


async def use(session: DSession, url: str) -> None:
    r = await session.get(url)
    assert_harmless(repr(r))
    r.raise_for_status()
    assert r.content


def assert_harmless(text: str) -> None:
    assert text.isprintable(), ascii(text)
