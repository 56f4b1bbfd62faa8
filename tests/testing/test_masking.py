"""Secrets are masked in a recording."""

from __future__ import annotations

import json
import time

import pytest

from asks_fast.testing.masking import Mask


def test_urls() -> None:
    """Userinfo is removed, sensitive pairs of the query are masked, the rest is unchanged."""
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
    """Members of JSON at any depth and pairs of a form are masked; other bodies are unchanged."""
    mask = Mask()
    body = json.dumps({"user": "u", "auth": {"password": "p", "list": [{"token": 5}]}}).encode()
    assert json.loads(mask.body(body, "application/json")) == {"user": "u", "auth": "***"}
    assert mask.body(b'{ "a" : 1 }', "application/json") == b'{ "a" : 1 }'
    form = "application/x-www-form-urlencoded"
    assert mask.body(b"user=u&password=p%26&x=%20", form) == b"user=u&password=***&x=%20"
    assert mask.body(b"\xff\0", None) == b"\xff\0"


def test_literal_secrets() -> None:
    """A given secret is masked wherever it occurs, percent-encoded too."""
    mask = Mask(["s3/cret", "s3/cret-longer"])
    assert mask.url("http://h/s3%2Fcret?q=s3/cret") == "http://h/***?q=***"
    assert mask.fields([("X", "a s3/cret-longer b")]) == [["X", "a *** b"]]
    assert mask.body(b"<a>s3/cret</a>", "text/html") == b"<a>***</a>"
    assert mask.body(b"\xffs3/cret", None) == b"\xff***"
    with pytest.raises(TypeError):
        Mask("s3/cret")


JSON = "application/json"
S = "hunter2"  # the secret


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        # names by their parts
        ('{"accessToken": "%s", "n": 1}', JSON),
        ('{"userPassword": "%s"}', JSON),
        ('{"data": {"aws_secret_access_key": "%s"}}', JSON),
        ('{"x-access-token": "%s"}', JSON),
        ('[{"name": "password", "value": "%s"}]', JSON),
        # whole below a secret name
        ('{"tokens": ["%s", "b"], "token": ["%s"]}', JSON),
        ('{"credentials": {"a": {"b": "%s"}}}', JSON),
        ('{"credentials": {"%s": true}}', JSON),
        ('{"password": "%s", "password": null}', JSON),
        ('{"password": {"a": "%s"}, "password": {}}', JSON),
        # JSON that does not stand alone
        ('{"a": 1}\n{"token": "%s"}\n{"token": "%s"}\n', "application/x-ndjson"),
        (')]}\',\n{"token": "%s"}', JSON),
        ('while(1);{"token": "%s"}', JSON),
        ('callback({"token": "%s"});', "text/javascript"),
        ('event: x\ndata: {"token": "%s"}\n\n', "text/event-stream"),
        ('\ufeff{"token": "%s"}', JSON),
        ('{"token": "%s"}', None),
        ('{"data": "{\\"token\\": \\"%s\\"}"}', JSON),
        ('{"a": [1, 2, {"token": "%s"', JSON),
        ('{"a": [1, 2, {"token": "%s', JSON),
        ('{"a": [1, 2, {"token": ["%s", ', JSON),
        ("[" * 100_000 + '{"token": "%s"}', JSON),
        ('{"n": ' + "9" * 5000 + ', "token": "%s"}', JSON),
        ('<script>var x = "{\\"token\\":\\"%s\\"}"</script>', "text/html"),
        ("<script>init({token: '%s'})</script>", "text/html"),
        # URLs in bodies
        ('{"next": "https://h/?access_token=%s&n=1"}', JSON),
        ('{"clone": "https://user:%s@h/"}', JSON),
        ('<a href="/x?n=1&amp;token=%s">', "text/html"),
        # forms
        ("user=u&user%%5BpassWord%%5D=%s", "application/x-www-form-urlencoded"),
        ("access_token=%s&scope=x", "text/plain"),
        # HTML and XML
        ('<input type="hidden" name="csrf_token" value="%s">', "text/html"),
        ('<meta content="%s" name="csrf-token">', "text/html"),
        ("<a><ns:Password>%s</ns:Password></a>", "application/soap+xml"),
        ('<login password="%s"/>', "text/xml"),
        # multipart
        (
            '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n%s\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=newPassword\r\n\r\n%s\r\n--b--\r\n",
            'multipart/form-data; boundary="b"',
        ),
        (
            '--b\nContent-Disposition: form-data; name="password"\n\n%s\n--b--\n',
            "multipart/form-data",
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=x\r\nContent-Type: application/json\r\n"
            '\r\n{"token": "%s"}\r\n--b--\r\n',
            "multipart/mixed; boundary=b",
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_secrets_in_bodies(body: str, kind: str | None, encoding: str) -> None:
    """A secret is masked in any context, and masking twice changes nothing more."""
    if encoding != "utf-8" and (kind is None or "multipart" in kind or "\ufeff" in body):
        pytest.skip("the encoding cannot be told")
    mask = Mask()
    text = body.replace("%s", S).replace("%%", "%")
    if encoding == "latin-1":
        text += " é"
    masked = mask.body(text.encode(encoding), kind)
    assert S.encode() not in masked
    assert S not in masked.decode(encoding)
    assert mask.body(masked, kind) == masked


def test_binary_parts_are_unchanged() -> None:
    """A file in a multipart body is unchanged; a password in another part is masked."""
    file = bytes(range(256))
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="p"\r\n\r\n' + file + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--b--\r\n'
    )
    masked = Mask().body(body, "multipart/form-data; boundary=b")
    assert masked == body.replace(b"hunter2", b"***")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"max_tokens": 5, "author": "x", "has_password": true, "token": null}', JSON),
        (b"<p>The password: none, [see] {this}</p>", "text/html"),
        (b"\x89PNG\r\n?token=\xff\0", "image/png"),
        (b"a=1&b=2", "application/x-www-form-urlencoded"),
        (b"{" * 5000, JSON),
        (b"[" * 200_000, JSON),
        (b'{"a' * 50_000, JSON),
        (b"?a=" * 50_000, "text/plain"),
        (b"//a" * 50_000, "text/html"),
        (b"<input " * 30_000, "text/html"),
        (b"<a>" * 50_000, "text/xml"),
        (b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 2000, "multipart/mixed"),
    ],
)
def test_bodies_without_secrets_are_unchanged(body: bytes, kind: str) -> None:
    """A body without secrets is unchanged, and masking takes reasonable time."""
    before = time.process_time()
    assert Mask().body(body, kind) == body
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    "name",
    ["X-Access-Token", "Private-Token", "X-Vault-Token", "Api-Key", "X-Amz-Security-Token", "mine"],
)
def test_secret_fields(name: str) -> None:
    """Fields are secret by parts of their names, in any spelling."""
    mask = Mask(names=["MINE"])
    assert mask.fields([(name, S), (name.lower(), S)]) == [[name, "***"], [name.lower(), "***"]]


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("Link", "<https://h/?token=%s&p=2>; rel=next", "<https://h/?token=***&p=2>; rel=next"),
        ("Link", "</a?n=1&sig=%s>, </b#token=%s>", "</a?n=1&sig=***>, </b#token=***>"),
        ("Refresh", "0;url=/x?token=%s", "0;url=/x?token=***"),
        ("X-Next", "https://user:%s@h/", "https://h/"),
        ("Location", "//user:p@%s@h/", "//h/"),
        ("Location", "http://[bad?token=%s", "http://[bad?token=***"),
        ("X-Data", '{"token": "%s"}', '{"token": "***"}'),
    ],
)
def test_tokens_in_fields(name: str, value: str, masked: str) -> None:
    """URLs and JSON in any field are masked as they are in bodies."""
    assert Mask().fields([(name, value.replace("%s", S))]) == [[name, masked]]
