"""The fuzz targets: one function for each place that reads bytes of a peer.

Each takes bytes and returns nothing. It catches the errors that are allowed; any other one, an
AssertionError included, is a bug. The promise (docs/reliability.md): any input of a peer gives a
response or a `BadHttpResponse`, however it is split, and no stored data exceeds its limit. The
bytes come from Hypothesis (`test_fuzz`), atheris (`run`) or the corpus.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asks_fast import _hotpath
from asks_fast._auth.challenges import parse_challenges
from asks_fast._cookies.cookie import parse_set_cookie
from asks_fast._header_syntax import quote_string
from asks_fast._response.content_decoder import decode_body
from asks_fast.cookie_utils import CookieTracker
from asks_fast.errors import BadHttpResponse, InvalidURL
from asks_fast.http_utils import (
    charset_of,
    decode_text,
    filename_from,
    parse_content_type,
    parse_links,
    retry_after,
)
from asks_fast.urls import Url, join_url, parse_url

LIMITS = {"head": 2048, "fields": 20, "interim": 4}
CODINGS = ("gzip", "deflate", "br", "zstd", "gzip, gzip", "br, zstd, gzip", "identity")


def _is_fit_to_show(error: Exception) -> None:
    text = str(error)
    assert text
    assert len(text) < 2000
    assert "password" not in text.split("user and password")[0]


def _read(pieces: list[bytes], **options: Any) -> Any:
    """The outcome, in a form that can be compared."""
    try:
        found = _hotpath.read_response(pieces, limits=_hotpath.Limits(**LIMITS), **options)
    except BadHttpResponse as error:
        _is_fit_to_show(error)
        return "bad"
    status, minor, headers, body, trailers, complete, reusable = found
    return (
        status,
        minor,
        None if headers is None else headers.raw,
        body,
        None if trailers is None else trailers.raw,
        complete,
        reusable,
    )


def response(data: bytes) -> None:
    """The bytes of a connection. The first byte selects how they are split."""
    if not data:
        return
    choice, data = data[0], data[1:]
    options = {"is_head_request": bool(choice & 1), "closed": bool(choice & 2)}
    if choice & 4:
        options["max_body"] = 64
    whole = _read([data], **options)
    step = (choice >> 3) + 1
    cut = _read(_cut(data, step), **options)
    if (whole == "bad") != (cut == "bad") and not _trails_off(whole, cut):
        data += b"\n"  # a line may be refused when it ends, or before
        whole, cut = _read([data], **options), _read(_cut(data, step), **options)
        assert (whole == "bad") == (cut == "bad") or _trails_off(whole, cut), (whole, cut)
    strict = _read([data], strict=True, **options)
    assert strict in ("bad", whole), "what is read strictly is read the same otherwise"
    if whole == "bad" or cut == "bad":
        return
    assert whole[:6] == cut[:6], (whole, cut)
    status, minor, fields, body, trailers, complete, reusable = whole
    assert not reusable or complete
    if fields is not None:
        assert 200 <= status <= 999
        assert minor in (0, 1)
        assert len(fields) <= LIMITS["fields"]
        assert sum(len(name) + len(value) for name, value in fields) <= LIMITS["head"]
        for name, value in fields:
            assert b"\0" not in name + value
            assert b"\n" not in name + value
    assert not options["is_head_request"] or not body
    assert "max_body" not in options or len(body) <= 64
    assert trailers is None or len(trailers) <= LIMITS["fields"]


def _cut(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


def _trails_off(whole: Any, cut: Any) -> bool:
    """Whether surplus bytes after a complete message explain the difference."""
    return any(one != "bad" and one[5] and not one[6] for one in (whole, cut))


def decoders(data: bytes) -> None:
    """A body with one of several codings, within limits."""
    if not data:
        return
    coding = CODINGS[data[0] % len(CODINGS)]
    found = []
    for strict in (False, True):
        try:
            found.append(
                decode_body(data[1:], coding, max_size=1 << 20, max_ratio=2000, strict=strict)
            )
        except BadHttpResponse:
            found.append(b"bad")
    assert found[1] in (b"bad", found[0])
    assert len(found[0]) <= 1 << 20


def set_cookie(data: bytes) -> None:
    """A Set-Cookie value, parsed alone and stored in a jar."""
    cookie = parse_set_cookie(data, "www.example.com", "/a/b", 1e9)
    tracker = CookieTracker()
    url = Url("http", "www.example.com", 80, "/a/b")
    tracker.store(url, [data, data[::-1], data + b"; Domain=example.com"])
    field = tracker.header_for(url)
    if field is not None:
        sent = _hotpath.encode_headers([("Cookie", field)])
        assert sent.count(b"\r\n") == 1
        assert len(sent) < 9000
    if cookie is not None:
        assert repr(cookie)
        dict(cookie)


def content_type(data: bytes) -> None:
    """Content-Type, Content-Disposition, Link and Retry-After, and text by that type."""
    value = data.decode("latin-1")
    parse_content_type(value)
    charset_of(value)
    assert isinstance(decode_text(data, value, "utf-8"), str)
    for field in (value, f"text/plain; charset={value}", f'text/plain; charset="{value}"'):
        assert isinstance(decode_text(b"abc\xff", field, "utf-8"), str)
    parse_links(value)
    name = filename_from(value)
    assert name is None or not ({"/", "\\", "\0"} & set(name) or name in ("", ".", ".."))
    seconds = retry_after(value, 1e9)
    assert seconds is None or seconds >= 0


def challenges(data: bytes) -> None:
    """WWW-Authenticate values; values written in quotes are read back unchanged."""
    for found in (parse_challenges(data), parse_challenges([data, data])):
        for challenge in found:
            for name, value in challenge.params.items():
                assert name == name.lower()
                again = parse_challenges(f"x a={quote_string(value)}")
                assert again[0].params == {"a": value}


def url(data: bytes) -> None:
    """An untrusted URL, and a Location resolved against a valid URL."""
    text = data.decode("utf-8", "surrogateescape")
    base = Url("https", "www.example.com", 443, "/a/b?c=d", ("user", "password"))
    for make in (lambda: parse_url(text), lambda: join_url(base, data)):
        try:
            made = make()
        except InvalidURL as error:
            _is_fit_to_show(error)
            continue
        assert made.scheme in ("http", "https")
        assert made.target.startswith("/")
        assert all(0x20 < ord(character) < 0x7F for character in made.target + made.host)
        assert 0 < made.port < 65536
        again = parse_url(str(made))
        assert (again.origin, again.target) == (made.origin, made.target)
        head = _hotpath.encode_head(
            b"GET", made.target.encode(), _hotpath.encode_headers([("Host", made.authority)])
        )
        assert head.count(b"\r\n") == 3


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (response, decoders, set_cookie, content_type, challenges, url)
}
