"""The Cookie field that a jar keeps ready is always the one that would be made anew."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast._cookies import jar as jar_module
from asks_fast.cookie_utils import Cookie, CookieTracker
from asks_fast.urls import parse_url

URLS = [
    parse_url(url)
    for url in (
        "http://h.example.com/",
        "http://h.example.com/a/b?q",
        "https://h.example.com/a",
        "http://example.com/a/",
        "http://127.0.0.1/a",
        "http://com/",
    )
]
DOMAINS = ["h.example.com", "example.com", "127.0.0.1", "com"]
PATHS = ["/", "/a", "/a/b"]
Change = tuple[str, int, int]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def apply(jar: CookieTracker, clock: Clock, change: Change) -> None:
    """Change the jar, one of its cookies or the time."""
    kind, first, second = change
    domain, path = DOMAINS[first % 4], PATHS[second % 3]
    cookies = list(jar)
    if kind == "set":
        expires = clock.now + second if second % 2 else None
        jar.set(
            f"n{second % 4}",
            str(first),
            domain=domain,
            path=path,
            secure=first % 3 == 0,
            expires=expires,
            host_only=True,
        )
    elif kind == "store":
        jar.store(URLS[first % len(URLS)], [f"n{second % 4}={first}; Path={path}; Domain={domain}"])
    elif kind == "wait":
        clock.now += first
    elif kind == "clear":
        jar.clear(domain)
    elif kind == "append":
        jar.domain_dict.setdefault(domain, []).append(Cookie(domain, {"name": "x", "value": "y"}))
    elif kind == "forget":
        jar.domain_dict.pop(domain, None)
    elif cookies:
        cookie: Any = cookies[first % len(cookies)]
        values = {"value": str(second), "scope_path": path, "secure": second % 2 == 0}
        values |= {"name": f"n{second}", "host_only": second % 2 == 1, "expires_at": clock.now}
        name = list(values)[first % len(values)]
        setattr(cookie, name, values[name])


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "store", "wait", "clear", "append", "forget", "edit"]),
        st.integers(0, 11),
        st.integers(0, 11),
    ),
    max_size=12,
)


@given(CHANGES)
def test_after_any_change(changes: list[Change]) -> None:
    """After each change the field is that of a jar that has kept nothing ready."""
    clock = Clock()
    jar = CookieTracker(clock=clock)
    for change in changes:
        apply(jar, clock, change)
        fresh = CookieTracker(clock=clock)
        fresh.domain_dict = copy.deepcopy(jar.domain_dict)
        for url in URLS:
            assert jar.cookies_for(url) == fresh.cookies_for(url)
            assert jar.header_for(url) == fresh.header_for(url)


def test_unchanged() -> None:
    """As long as nothing changes, the field is the same object, and its cookies count as used."""
    jar = CookieTracker()
    jar.set("a", "1", domain="example.com")
    unused = jar.set("b", "1", domain="example.com", path="/b")
    first = jar.header_for(URLS[0])
    used = [cookie.last_used for cookie in jar]
    assert jar.header_for(URLS[0]) is first
    assert [cookie.last_used for cookie in jar] == [used[0] + 1, unused.last_used]


def test_copies() -> None:
    """A copy of a cookie, also by pickle, has all its attributes, and changes alone."""
    jar = CookieTracker()
    cookie = jar.set("a", "1", domain="example.com", path="/p", secure=True, expires=2e9)
    for copied in (copy.copy(cookie), copy.deepcopy(cookie), pickle.loads(pickle.dumps(cookie))):
        assert copied == cookie
        for name in ("scope_path", "effective_domain", "host_only", "expires_at", "creation_index"):
            assert getattr(copied, name) == getattr(cookie, name)
        copied.value = "2"
        assert cookie.value == "1"


def test_another_dict_of_attributes() -> None:
    """The attributes that `vars` gives can be changed, and assigned as a whole."""
    jar = CookieTracker()
    cookie = jar.set("a", "1", domain="example.com")
    assert jar.header_for(URLS[0]) == "a=1"
    vars(cookie)["value"] = "2"
    assert jar.header_for(URLS[0]) == "a=2"
    cookie.__dict__ = {**vars(cookie), "value": "3"}
    assert jar.header_for(URLS[0]) == "a=3"
    assert dict(cookie)["value"] == cookie.value == "3"


def test_no_cookie_in_the_jar() -> None:
    """Another object among the cookies is an error."""
    jar: Any = CookieTracker()
    jar.domain_dict["example.com"] = [None]
    with pytest.raises(TypeError, match="None in a cookie jar is not a Cookie"):
        jar.header_for(URLS[0])


def test_memory_is_bounded() -> None:
    """The cookies of a limited number of hosts are kept ready."""
    jar = CookieTracker()
    jar.set("a", "1", domain="example.com")
    for number in range(3 * jar_module.MAX_CANDIDATES):
        assert jar.header_for(parse_url(f"http://h{number}.example.com/")) == "a=1"
    assert len(jar._candidates) <= jar_module.MAX_CANDIDATES
