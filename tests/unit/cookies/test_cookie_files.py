"""Saved cookie files: round trips, formats of other programs, malformed files."""

from __future__ import annotations

import http.cookiejar
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asks_fast._cookies.files import MAX_FILE, MAX_LINE
from asks_fast.cookie_utils import CookieTracker
from asks_fast.errors import BadCookieFile
from asks_fast.urls import parse_url

NOW = 1_700_000_000.0
URL = parse_url("https://www.example.org/a/b")


def make(now: float = NOW) -> CookieTracker:
    return CookieTracker(clock=lambda: now)


def facts(tracker: CookieTracker) -> list[tuple[Any, ...]]:
    return [
        (c.name, c.value, c.effective_domain, c.host_only, c.scope_path, bool(c.secure), c.httponly,
         c.expires_at)
        for c in tracker
    ]  # fmt: skip


def filled() -> CookieTracker:
    tracker = make()
    tracker.store(
        URL,
        ["host=1", "domain=2; domain=example.org; path=/", "all=3; secure; httponly; max-age=60",
         "nameless", 'q="a b,c"', "empty=", b"utf=\xc3\xa9", b"raw=\xff", "tab=a\tb",
         "lax=1; samesite=Lax"],
    )  # fmt: skip
    tracker.store(parse_url("http://127.0.0.1/"), ["ip=1"])
    tracker.store(parse_url("http://[::1]/"), ["ip=1"])
    return tracker


@pytest.mark.parametrize("name", ["cookies.txt", "cookies.json"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    """Saving and loading preserves host-only, expiry, order and raw bytes of every cookie."""
    tracker = filled()
    tracker.save(tmp_path / name)
    loaded = make()
    loaded.load(tmp_path / name)
    assert facts(loaded) == facts(tracker)
    for url in ("https://www.example.org/a/x", "http://example.org/", "http://[::1]/"):
        assert loaded.header_for(parse_url(url)) == tracker.header_for(parse_url(url))


def test_json_keeps_samesite(tmp_path: Path) -> None:
    """JSON preserves all attributes."""
    filled().save(tmp_path / "c.json")
    loaded = make()
    loaded.load(tmp_path / "c.json")
    assert [c.samesite for c in loaded if c.name == "lax"] == ["Lax"]


def test_private_and_whole(tmp_path: Path) -> None:
    """The file has mode 0600, also if it replaces one with another mode."""
    path = tmp_path / "c.txt"
    path.write_text("old")
    path.chmod(0o644)
    filled().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    """If writing fails, the old file is kept and no temporary file remains."""
    folder = tmp_path / "c.txt"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        filled().save(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_format_by_name_or_word(tmp_path: Path) -> None:
    """The name `.json` selects JSON, other names Netscape; `format` takes precedence."""
    filled().save(tmp_path / "a", format="json")
    assert json.loads((tmp_path / "a").read_text())["version"] == 1
    filled().save(tmp_path / "b.json", format="netscape")
    assert (tmp_path / "b.json").read_bytes().startswith(b"# Netscape HTTP Cookie File\n")
    with pytest.raises(ValueError, match="format must be"):
        filled().save(tmp_path / "c", format="pickle")


def test_expired_cookies(tmp_path: Path) -> None:
    """Expired cookies are neither written nor read; other cookies are kept."""
    path = tmp_path / "c.txt"
    filled().save(path)
    later = make(NOW + 61)
    later.store(URL, ["all=new"])
    later.load(path)
    assert later.get("all") == "new"
    assert later.get("host") == "1"
    early = filled()
    early._clock = lambda: NOW + 61
    early.save(path)
    assert "all" not in path.read_text("utf-8", "surrogateescape").split("\t")


def test_curl_and_browsers_write_this(tmp_path: Path) -> None:
    """Files of curl, of exporters and of the standard library are read."""
    path = tmp_path / "c.txt"
    path.write_bytes(
        b"# Netscape HTTP Cookie File\r\n# a comment\r\n\r\n"
        b"#HttpOnly_.example.org\tTRUE\t/\tTRUE\t1700000060\tsid\tv=1;2\r\n".replace(b";", b",")
        + b"example.org\tFALSE\t/x\tfalse\t0\ta\tb\n"
        b"www.example.org\tFALSE\t/\tFALSE\t-1\tempty\n"
        b".example.org\tTRUE\t/\tFALSE\t1700000060.5\tc\td\n"
        b"example.org\tFALSE\t/\tFALSE\t\t\tnameless"
    )
    tracker = make()
    tracker.load(path)
    assert facts(tracker) == [
        ("sid", "v=1,2", "example.org", False, "/", True, True, NOW + 60),
        ("a", "b", "example.org", True, "/x", False, False, None),
        ("empty", "", "www.example.org", True, "/", False, False, None),
        ("c", "d", "example.org", False, "/", False, False, NOW + 60.5),
        ("", "nameless", "example.org", True, "/", False, False, None),
    ]


def test_standard_library_reads_ours(tmp_path: Path) -> None:
    """http.cookiejar and CookieTracker read each other's files."""
    ours = CookieTracker()
    ours.store(URL, ["a=1; domain=example.org; path=/; max-age=999", "b=2; secure; max-age=999"])
    ours.save(tmp_path / "c.txt")
    jar = http.cookiejar.MozillaCookieJar(str(tmp_path / "c.txt"))
    jar.load()
    assert {(c.name, c.value, c.domain, c.path, c.secure) for c in jar} == {
        ("a", "1", ".example.org", "/", False),
        ("b", "2", "www.example.org", "/a", True),
    }
    jar.save(str(tmp_path / "d.txt"))
    back = CookieTracker()
    back.load(tmp_path / "d.txt")
    assert sorted(fact[:6] for fact in facts(back)) == sorted(fact[:6] for fact in facts(ours))


def test_public_suffix_in_a_file(tmp_path: Path) -> None:
    """A loaded cookie of a public suffix becomes host-only, and expires within 400 days."""
    path = tmp_path / "c.txt"
    path.write_text(".co.uk\tTRUE\t/\tFALSE\t9999999999\ta\tb\n")
    tracker = make()
    tracker.load(path)
    assert facts(tracker) == [("a", "b", "co.uk", True, "/", False, False, NOW + 400 * 86400)]


GOOD = b"example.org\tFALSE\t/\tFALSE\t0\ta\tb\n"


@pytest.mark.parametrize(
    "line",
    [
        b"example.org\tFALSE\t/\tFALSE\t0",
        b"<html>",
        b"example.org\tMAYBE\t/\tFALSE\t0\ta\tb",
        b"example.org\tFALSE\t/\tyes\t0\ta\tb",
        b"example.org\tFALSE\tx\tFALSE\t0\ta\tb",
        b"example.org\tFALSE\t/\tFALSE\tsoon\ta\tb",
        b"example.org\tFALSE\t/\tFALSE\tnan\ta\tb",
        b"example.org\tFALSE\t/\tFALSE\t1-1\ta\tb",
        b"example.org\tFALSE\t/\tFALSE\t" + b"9" * 400 + b"\ta\tb",
        b"exa mple\tFALSE\t/\tFALSE\t0\ta\tb",
        b"\tFALSE\t/\tFALSE\t0\ta\tb",
        b"example.org\tFALSE\t/\tFALSE\t0\t\t",
        b"example.org\tFALSE\t/\tFALSE\t0\ta=b\tc",
        b"example.org\tFALSE\t/\tFALSE\t0\ta\tb;c",
        b"example.org\tFALSE\t/\tFALSE\t0\ta\tb\rc",
        b"example.org\tFALSE\t/\tFALSE\t0\ta\t\x00",
        b"example.org\tFALSE\t/\tFALSE\t0\ta\t" + b"b" * 4096,
        b"example.org\tFALSE\t/" + b"x" * 1024 + b"\tFALSE\t0\ta\tb",
        b"#" + b"x" * MAX_LINE,
    ],
)
def test_malformed_netscape(tmp_path: Path, line: bytes) -> None:
    """With one malformed or overlong line, no cookie of the file is loaded."""
    path = tmp_path / "c.txt"
    path.write_bytes(GOOD + line + b"\n" + GOOD)
    tracker = make()
    with pytest.raises(BadCookieFile, match="line 2"):
        tracker.load(path)
    assert not tracker


ENTRY = {
    "name": "a", "value": "b", "domain": "example.org", "host_only": True, "path": "/",
    "secure": False, "httponly": False, "samesite": None, "expires_at": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"name": 5}, {"value": None}, {"domain": ""}, {"domain": "a/b"}, {"host_only": 1},
        {"path": "x"}, {"secure": "yes"}, {"expires_at": True}, {"expires_at": "1"},
        {"expires_at": -1}, {"expires_at": float("inf")}, {"expires_at": float("nan")},
        {"expires_at": 10**300}, {"name": "", "value": ""}, {"value": "\n"}, {"value": "x" * 4096},
        {"extra": 1}, {"samesite": "\r"}, {"value": "\ud800"}, {"path": "/\ud800"},
    ],
)  # fmt: skip
def test_malformed_json(tmp_path: Path, change: dict[str, Any]) -> None:
    """With one invalid entry, no cookie of the file is loaded."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"version": 1, "cookies": [ENTRY, {**ENTRY, **change}]}))
    tracker = make()
    with pytest.raises(BadCookieFile, match="cookie 2"):
        tracker.load(path)
    assert not tracker


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"null", b'{"version": 2, "cookies": []}', b'{"version": 1}',
     b'{"version": 1, "cookies": {}}', b'{"version": 1, "cookies": [5]}', b"[" * 100000, b"\xff",
     b'{"version": 1, "cookies": [{"name": "a"}]}'],
)  # fmt: skip
def test_not_our_json(tmp_path: Path, content: bytes) -> None:
    """Other JSON raises BadCookieFile, and the error contains the path."""
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(BadCookieFile, match=r"c\.json"):
        make().load(path)


def test_file_too_long(tmp_path: Path) -> None:
    """A file beyond the size limit raises BadCookieFile."""
    path = tmp_path / "c.txt"
    with path.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(BadCookieFile, match="longer than"):
        make().load(path)
    with pytest.raises(FileNotFoundError):
        make().load(tmp_path / "none.txt")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=200), st.sampled_from(["netscape", "json"]))
def test_any_file(tmp_path: Path, content: bytes, format: str) -> None:
    """Any content is loaded completely or raises BadCookieFile."""
    path = tmp_path / "c"
    path.write_bytes(content)
    tracker = make()
    try:
        tracker.load(path, format=format)
    except BadCookieFile:
        assert not tracker


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.text(max_size=10), st.text(max_size=10), st.sampled_from(["", "; max-age=9"]))
        | st.tuples(
            st.sampled_from(["a", "b"]), st.text(max_size=10), st.just("; domain=example.org")
        )
    ),
    st.sampled_from(["netscape", "json"]),
)
def test_whatever_was_stored_comes_back(
    tmp_path: Path, stored: list[tuple[str, str, str]], format: str
) -> None:
    """Every cookie survives saving, except one with a tab in its name in Netscape files."""
    tracker = make()
    tracker.store(URL, [f"{name}={value}{rest}" for name, value, rest in stored])
    path = tmp_path / "c"
    tracker.save(path, format=format)
    loaded = make()
    loaded.load(path, format=format)
    expected = [f for f in facts(tracker) if format == "json" or "\t" not in f[0]]
    assert facts(loaded) == expected
