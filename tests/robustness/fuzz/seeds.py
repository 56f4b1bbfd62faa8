"""The seed corpus: a sample for each target, as code instead of files."""

from __future__ import annotations

import gzip
import zlib

_RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nConnection: close, x\r\nContent-Length: 0\r\n\r\nmore",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 \r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
]

SEEDS: dict[str, list[bytes]] = {
    "response": [bytes((how,)) + data for data in _RESPONSES for how in (0, 1, 2, 8, 255)],
    "decoders": [
        b"\0" + gzip.compress(b"hello" * 100),
        b"\0" + gzip.compress(b"a") * 3 + b"\0\0",
        b"\1" + zlib.compress(b"hello" * 100),
        b"\1" + zlib.compress(b"hello" * 100)[2:-4],
        b"\4" + gzip.compress(gzip.compress(bytes(100_000))),
        b"\3(\xb5/\xfd\x04X)\x00\x00hello\xdb\xd7\xca\xc1",
        b"\2\x0b\x02\x80hello\x03",
    ],
    "set_cookie": [
        b"sid=31d4d96e407aad42; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax",
        b"a=b; Expires=Wed, 09 Jun 2031 10:18:14 GMT; Max-Age=99999999999999999999",
        b"=nameless; Domain=.co.uk",
        b'__Host-a="q\xc3\xbc; o"; Path=/',
        b"a=b; Max-Age=-1; Domain=com.; domain=example.com.",
        b"a=%0d%0aX: y;;; ; =; Path",
    ],
    "content_type": [
        b'text/html; charset="utf-8"; boundary=x',
        b'attachment; filename="a\\"b.txt"; filename*=UTF-8\'\'%e2%82%ac%20rates',
        b"<https://example.com/?page=2>; rel=\"next\"; title*=iso-8859-1''x, </x>; rel=prev",
        b"Fri, 31 Dec 1999 23:59:59 GMT",
        b"attachment; filename=../../etc/passwd; filename*=UTF-8''..%2f..%5cCON",
        b"120",
    ],
    "challenges": [
        b'Basic realm="simple", Digest realm="a \\"b\\"", nonce="n", qop="auth,auth-int"',
        b"Digest username*=UTF-8''J%C3%A4s, algorithm=SHA-256, stale=TRUE, domain=\"/a /b\"",
        b"Negotiate YII=, NTLM, Bearer error=invalid_token",
        b',,= "unfinished \\',
    ],
    "url": [
        b"http://user:pass@example.com:8080/a/../b/./c?d=e&f#g",
        b"//other.example/x",
        b"../../../etc?x=%zz%20",
        b"https://[fe80::1%25eth0]:443/",
        b"http://2130706433/",
        "http://fa\u00df.de/\u00fc?\u00e4=\u00f6".encode(),
        b"http:\\\\a\\b:c\\d@foo.com\\",
        b"javascript:alert(1)",
        b"http://xn--example-/",
        b"//" + b"\xff" * 245 + b"o*\xc3\xb6",  # its error named all of it, escaped, twice
    ],
}
