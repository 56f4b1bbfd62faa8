"""What is secret does not get into a recording."""

from __future__ import annotations

import json

import pytest

from asks_fast.testing.masking import Mask


def test_urls() -> None:
    """Userinfo goes, secret pairs of the query are masked, the rest stays as written."""
    mask = Mask()
    url = "https://user:pw@h/p%20q?a=1&Api-Key=x&access_token=y%20z&b=%2F#token=t"
    assert mask.url(url) == "https://h/p%20q?a=1&Api-Key=***&access_token=***&b=%2F#token=***"


def test_fields() -> None:
    """Credentials are masked, cookies keep name and attributes, redirects lose their tokens."""
    masked = Mask(names=["X-Mine"]).fields(
        [
            ("Authorization", "Bearer abc"),
            ("Cookie", "sid=abc"),
            ("Set-Cookie", "sid=abc; Path=/; HttpOnly"),
            ("X-API-Key", "abc"),
            ("x-mine", "abc"),
            ("Location", "/next?token=abc&n=2"),
            ("WWW-Authenticate", 'Basic realm="x"'),
            ("Accept", "*/*"),
        ]
    )
    assert dict(map(tuple, masked)) == {
        "Authorization": "***",
        "Cookie": "***",
        "Set-Cookie": "sid=***; Path=/; HttpOnly",
        "X-API-Key": "***",
        "x-mine": "***",
        "Location": "/next?token=***&n=2",
        "WWW-Authenticate": 'Basic realm="x"',
        "Accept": "*/*",
    }


def test_bodies() -> None:
    """Members of JSON at any depth, pairs of a form; a body without secrets stays as it was."""
    mask = Mask()
    body = json.dumps({"user": "u", "auth": {"password": "p", "list": [{"token": 5}]}}).encode()
    assert json.loads(mask.body(body, "application/json")) == {
        "user": "u",
        "auth": {"password": "***", "list": [{"token": "***"}]},
    }
    assert mask.body(b'{ "a" : 1 }', "application/json") == b'{ "a" : 1 }'
    form = "application/x-www-form-urlencoded"
    assert mask.body(b"user=u&password=p%26&x=%20", form) == b"user=u&password=***&x=%20"
    assert mask.body(b"\xff\0", None) == b"\xff\0"


def test_literal_secrets() -> None:
    """A secret given as such is masked wherever it stands, percent-encoded too."""
    mask = Mask(["s3/cret", "s3/cret-longer"])
    assert mask.url("http://h/s3%2Fcret?q=s3/cret") == "http://h/***?q=***"
    assert mask.fields([("X", "a s3/cret-longer b")]) == [["X", "a *** b"]]
    assert mask.body(b"<a>s3/cret</a>", "text/html") == b"<a>***</a>"
    assert mask.body(b"\xffs3/cret", None) == b"\xff***"
    with pytest.raises(TypeError):
        Mask("s3/cret")
