"""The choice of a proxy: URLs, environment variables, rotation. No sockets."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast._transport.connector import Connector
from asks_fast._transport.proxies import EnvironmentProxies, Proxy, make_proxy
from asks_fast._transport.proxy_pool import ProxyPool
from asks_fast.errors import InvalidRequest, InvalidURL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://p:3128", Proxy("http", "p", 3128)),
        ("p:3128", Proxy("http", "p", 3128)),
        ("HTTP://P.Example", Proxy("http", "p.example", 80)),
        ("https://p/", Proxy("https", "p", 443)),
        ("socks5h://p", Proxy("socks5h", "p", 1080)),
        ("socks4://me@p:9050", Proxy("socks4", "p", 9050, "me")),
        ("http://u:p%40ss%3A@[::1]:8080", Proxy("http", "::1", 8080, "u", "p@ss:")),
        ("http://user:@p:1", Proxy("http", "p", 1, "user", "")),
        ("http://bücher.example:1", Proxy("http", "xn--bcher-kva.example", 1)),
    ],
)
def test_proxy_urls(url: str, expected: Proxy) -> None:
    """Scheme (http if none), host in ASCII, port by scheme, credentials percent-decoded."""
    assert make_proxy(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "ftp://u:secret@p",
        "http://u:secret@p:99999",
        "http://u:secret@p:0",
        "http://u:secret@p:port",
        "http://u:secret@/",
        "http://u:secret@p/path",
        "http://u:secret@p?query",
        "http://u:secret@[::1",
        "http://u:secret@a b",
        "http://u:secret@a\r\nb",
        "http://u:secret@" + "ü" * 80,
        "http://u:secret://secret@p q",
        "u:secret@p q",
        "http://u:secret%0d%0aX:1@p",
        "socks5://u%00:secret@p",
    ],
)
def test_invalid_url_error_shows_no_credentials(url: str) -> None:
    """An invalid proxy URL raises `InvalidURL`, whose text contains no password."""
    with pytest.raises(InvalidURL) as caught:
        make_proxy(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nb"}, {"X y": "a"}, {"": "a"}, {"X": "ä"}, [("X", "a\0")]]
)
def test_invalid_proxy_headers(headers: dict[str, str]) -> None:
    """Header fields that could split the CONNECT request are rejected."""
    with pytest.raises(InvalidRequest):
        make_proxy("http://p", headers=headers)


def test_repr_hides_the_password() -> None:
    """Neither repr nor str shows credentials."""
    proxy = make_proxy("http://user:secret@p:3128", headers={"X-Key": "hidden"})
    assert repr(proxy) == "<Proxy 'http://***@p:3128'>"
    assert str(proxy) == "http://p:3128"
    assert repr(make_proxy("socks5://[::1]")) == "<Proxy 'socks5://[::1]:1080'>"


def test_headers_to_send() -> None:
    """The proxy's own fields, and Basic credentials unless Digest is configured."""
    proxy = make_proxy("http://Aladdin:open%20sesame@p", headers={"X-Key": "1"})
    assert proxy.headers_to_send() == (
        ("X-Key", "1"),
        ("Proxy-Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    )
    assert make_proxy("http://a:b@p", digest=True).headers_to_send() == ()
    assert make_proxy("http://p").headers_to_send() == ()


def test_proxy_headers_on_forward_routes_only() -> None:
    """Requests through a tunnel and direct ones contain no field of the proxy."""
    connector = Connector(proxy="http://a:b@p")
    forwarded = connector.route_for("http", "o", 80)
    assert forwarded.is_forward_proxy
    assert connector.proxy_headers(forwarded, "GET", "http://o/") == forwarded.proxy_headers
    assert [name for name, _ in forwarded.proxy_headers] == ["Proxy-Authorization"]
    for route in (
        connector.route_for("https", "o", 443),
        connector.route_for("http", "o", 80, proxy=None),
        connector.route_for("http", "o", 80, proxy="socks5://a:b@p"),
    ):
        assert not route.is_forward_proxy
        assert route.proxy_headers == ()
        assert connector.proxy_headers(route, "GET", "http://o/") == ()


def test_rotation() -> None:
    """A list of proxies is used in turn, one per request; a request's own proxy does not count."""
    connector = Connector(proxy=["http://a", None, make_proxy("http://b")])
    assert connector.proxy_pool() is not None
    assert connector.proxy_pool(proxy="http://c") is None

    def host(**options: str) -> str | None:
        proxy = connector.route_for("http", "o", 80, **options).proxy
        return proxy and proxy.host

    assert [host(), host(), host(proxy="http://c"), host(), host()] == ["a", None, "c", "b", "a"]
    assert connector.route_for("http", "o", 80) is not connector.route_for("http", "o", 80)


def test_rotation_of_a_request() -> None:
    """A request's own list is used in turn, too; equal lists share one position."""
    connector = Connector()

    def host(*proxies: Any) -> str | None:
        proxy = connector.route_for("http", "o", 80, proxy=list(proxies)).proxy
        return proxy and proxy.host

    assert connector.proxy_pool(proxy=["http://a"]) is not None
    assert connector.proxy_pool() is None
    one, other = ("http://a", make_proxy("http://b"), None), ("http://c", "http://d")
    assert [host(*one), host(*other), host(*one), host(*one), host(*one)] == [
        "a", "c", "b", None, "a"
    ]  # fmt: skip
    assert host(*other) == "d"
    rotation = ProxyPool(["http://x", "http://y"])
    taken = [connector.route_for("http", "o", 80, proxy=rotation).proxy for _ in range(3)]
    assert [proxy and proxy.host for proxy in taken] == ["x", "y", "x"]
    for number in range(200):
        host(f"http://p{number}")
    assert len(connector._routes._pools) <= 64


@pytest.mark.parametrize("bad", [[], [5], ["gopher://x"], [["http://a"]], {"http://a"}, 5])
def test_invalid_lists(bad: Any) -> None:
    """An empty list, or one with something else than proxies, raises at the call."""
    with pytest.raises(InvalidRequest):
        Connector().route_for("http", "o", 80, proxy=bad)


# -- the environment -------------------------------------------------------------------------------


def environment(**variables: str) -> EnvironmentProxies:
    return EnvironmentProxies(variables)


def test_environment_variable_by_scheme() -> None:
    """Each scheme has its variable, `all_proxy` covers the others; lower case takes precedence."""
    env = environment(
        http_proxy="lower:1", HTTP_PROXY="upper:1", HTTPS_PROXY="http://secure:2", all_proxy=" "
    )
    assert str(env.proxy_for("http", "o", 80)) == "http://lower:1"
    assert str(env.proxy_for("https", "o", 443)) == "http://secure:2"
    assert str(environment(ALL_PROXY="socks5://s").proxy_for("http", "o", 80)) == "socks5://s:1080"
    assert environment(http_proxy="p").proxy_for("https", "o", 443) is None


def test_httpoxy() -> None:
    """In a CGI process HTTP_PROXY comes from the client of that server and is ignored."""
    env = environment(HTTP_PROXY="http://evil", HTTPS_PROXY="http://good", REQUEST_METHOD="GET")
    assert env.proxy_for("http", "o", 80) is None
    assert str(env.proxy_for("https", "o", 443)) == "http://good:80"
    env = environment(http_proxy="http://good", REQUEST_METHOD="GET")
    assert str(env.proxy_for("http", "o", 80)) == "http://good:80"


def test_invalid_variable_error_shows_no_password() -> None:
    """The error names the variable and contains no password."""
    with pytest.raises(InvalidURL, match="https_proxy") as caught:
        environment(HTTPS_PROXY="gopher://u:secret@p")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("*", "anything", 80, True),
        ("example.com", "example.com", 80, True),
        ("example.com", "www.example.com", 80, True),
        ("example.com", "notexample.com", 80, False),
        (".example.com", "www.example.com", 80, True),
        (".example.com", "example.com", 80, True),
        ("*.example.com", "www.example.com", 80, True),
        ("EXAMPLE.com", "example.com", 80, True),
        ("example.com.", "example.com", 80, True),
        ("example.com", "example.com.", 80, True),
        ("example.com:8080", "example.com", 8080, True),
        ("example.com:8080", "example.com", 80, False),
        ("a.test, b.test", "b.test", 80, True),
        ("a.test b.test", "b.test", 80, True),
        (",,", "b.test", 80, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("10.1.2.3:81", "10.1.2.3", 80, False),
        ("2.3", "10.1.2.3", 80, False),
        ("::1", "::1", 80, True),
        ("0:0::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("fe80::/10", "fe80::1%eth0", 80, True),
        ("a.com", "::1%25.a.com", 80, False),
        ("10.0.0.0/8", "10.example.com", 80, False),
        ("10.0.0.0/99", "10.0.0.1", 80, False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, port: int, is_direct: bool) -> None:
    """Names with subdomains on label boundaries, addresses, blocks, ports."""
    env = environment(http_proxy="http://p", NO_PROXY=no_proxy)
    assert (env.proxy_for("http", host, port) is None) == is_direct


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_no_proxy_blocks_agree_with_ipaddress(
    network: ipaddress.IPv4Address, bits: int, address: ipaddress.IPv4Address
) -> None:
    """A CIDR block covers exactly its addresses."""
    env = environment(http_proxy="http://p", no_proxy=f"{network}/{bits}")
    covered = address in ipaddress.ip_network(f"{network}/{bits}", strict=False)
    assert (env.proxy_for("http", str(address), 80) is None) == covered


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_proxy_accepts_any_text(no_proxy: str, host: str) -> None:
    """Any value of `no_proxy` is parsed without an error."""
    environment(http_proxy="http://p", no_proxy=no_proxy).proxy_for("http", host.lower(), 80)


@given(st.text(max_size=60))
def test_any_text_is_a_proxy_or_invalid_url(url: str) -> None:
    """Any text is a proxy or raises `InvalidURL`."""
    try:
        proxy = make_proxy(url)
    except InvalidURL:
        return
    assert proxy.host
    assert 0 < proxy.port < 65536


def test_given_proxy_overrides_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `trust_env` the environment is ignored; an explicit proxy takes precedence."""
    monkeypatch.setenv("http_proxy", "http://env:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    def proxy(connector: Connector, **options: str | None) -> str:
        return str(connector.route_for("http", "o.test", 80, **options).proxy)

    assert proxy(Connector()) == "None"
    trusting = Connector(trust_env=True)
    assert proxy(trusting) == "http://env:1"
    assert proxy(trusting, proxy="http://own:2") == "http://own:2"
    assert proxy(trusting, proxy=None) == "None"
    assert proxy(trusting, unix_socket="/s") == "None"
    assert proxy(Connector(trust_env=True, proxy="http://own:2")) == "http://own:2"
