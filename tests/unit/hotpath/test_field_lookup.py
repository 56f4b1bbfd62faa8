"""A field is found in a head that was not parsed yet, with the result of parsing it."""

from __future__ import annotations

import pytest
from support.exchange_harness import GET, ExchangeHarness

from asks_fast._hotpath import BaseHttpResponse, Headers

LINES = {
    "no field": b"",
    "one field": b"X-A: 1\r\n",
    "letter case": b"x-A: 1\r\nX-a: 2\r\nX-AB: 3\r\n",
    "white space": b"X-A: \t 1 \t\r\nX-B:2\r\n",
    "empty value": b"X-A:\r\nX-B: \r\n",
    "bare line feeds": b"X-A: 1\nX-B: 2\n",
    "folded": b"X-A: 1\r\n  2\r\nX-B: 3\r\n",
    "folded elsewhere": b"X-A: 1\r\nX-B: 3\r\n\tX-A: 2\r\n",
    "a name in a value": b"X-B: X-A: 1\r\n",
    "cookies": b"Set-Cookie: a=1\r\nX-A: 1\r\nset-cookie: b=2, c=3\r\n",
    "a colon in a value": b"X-A: b:c\r\nX-B:: 1\r\n",
    "not UTF-8": b"X-A: \xe4\r\nX-B: \xc3\xa4\r\n",
}
NAMES = [
    "X-A",
    "x-a",
    "X-B",
    "X-AB",
    "Set-Cookie",
    "Content-Length",
    "X",
    "HTTP/1.1 200 OK",
    "X-A: b",
    "X-B:",
    "ä",
    "",
]


def received(lines: bytes) -> Headers:
    """The fields of a response with these lines, none of which was read yet."""
    response = BaseHttpResponse()
    data = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n"
    with ExchangeHarness() as wire:
        wire.drive(wire.connection.exchange(GET, response), [data], False)
    return response.headers


@pytest.mark.parametrize(
    ("line", "is_absent"),
    [
        (b"X-A: Content-Encoding: gzip\r\n", True),
        (b"Content-Encodin: gzip\r\n", True),
        (b"content-ENCODING:gzip\r\n", False),
        (b"Content-Encoding:\r\n", False),
    ],
)
def test_content_coding_is_noted_with_the_head(line: bytes, is_absent: bool) -> None:
    """The pass over a head finds Content-Encoding; replaced fields are searched instead."""
    response = BaseHttpResponse()
    data = b"HTTP/1.1 200 OK\r\n" + line + b"Content-Length: 0\r\n\r\n"
    with ExchangeHarness() as wire:
        for _ in range(2):  # the second head is a repeated one
            wire.drive(wire.connection.exchange(GET, response), [data], False)
            assert wire.pool.get_idle(wire.origin) is wire.connection
            assert response._is_identity_encoded() is is_absent
    assert response.headers is response.headers
    response.headers = {"Content-Encoding": "gzip"}
    assert not response._is_identity_encoded()


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize("name", NAMES)
def test_lookup_before_parsing(lines: bytes, name: str) -> None:
    """`get`, `in`, `getlist` and `[]` give the same before and after the head was parsed."""
    parsed = received(lines)
    assert parsed.raw
    assert received(lines).get(name, "default") == parsed.get(name, "default")
    assert (name in received(lines)) == (name in parsed) == (parsed.get(name) is not None)
    assert received(lines).getlist(name) == parsed.getlist(name)
    if name in parsed:
        assert received(lines)[name] == parsed[name]
    else:
        with pytest.raises(KeyError):
            received(lines)[name]


def test_lookup_of_something_else() -> None:
    """A name that is not text is absent."""
    assert received(b"X-A: 1\r\n").get(b"X-A", 5) == 5  # type: ignore[arg-type]
    assert b"X-A" not in received(b"X-A: 1\r\n")
