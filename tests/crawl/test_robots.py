"""robots.txt: which rules count, what they cost, and how it is fetched.

Rules:  fetching is tested on real servers. What must not be requested is counted at the server.
Not here: when a polite run asks (tests/crawl/test_scheduled_map.py), all output modes at once
        (tests/crawl/test_matrix.py).
"""

from __future__ import annotations

import gzip
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script_steps import FOREVER, OK, SERVING, expect, repeat, send
from support.scripted_server import MakePeer
from support.site import Answer, Site

from asks_fast import DSession
from asks_fast.crawl import Politeness, gather
from asks_fast.crawl.job import Result
from asks_fast.crawl.robots_rules import MAX_BYTES, MAX_RULES, RobotsRules
from asks_fast.errors import ConnectionFailed, InvalidURL, RobotsDisallowed
from asks_fast.scaleout import FetchOptions, fetch_partition

protego = pytest.importorskip("protego", reason="the extra cli is not installed")
parse = protego.Protego.parse
FORBIDDING = b"User-agent: *\nDisallow: /private\n"
POLITE = Politeness(robots=True, user_agent="asks-fast")


def rules(text: str, agent: str = "asks-fast") -> RobotsRules:
    return RobotsRules(text.encode("utf-8", "surrogatepass"), agent, parse)


def forbidding(host: int, path: str) -> Answer:
    """A site whose robots.txt forbids /private."""
    return (200, {}, FORBIDDING) if path == "/robots.txt" else (200, {}, b"page")


class TestRules:
    """The rules of a robots.txt, and their cost."""

    def test_byte_order_mark(self) -> None:
        """A byte order mark does not hide the first group."""
        assert not rules("\ufeffUser-agent: *\nDisallow: /").allows("/x")

    @given(
        st.lists(
            st.sampled_from(
                [
                    "User-agent: *",
                    "User-agent: asks-fast",
                    "user agent Asks-Fast # us",
                    "User-agent: fast",
                    "User-agent: other",
                    "Useragent: asks*",
                    "User-agent:",
                    "Disallow: /a",
                    "Disallow: /a*b$",
                    "Disallow:",
                    "disalow /b",
                    "Allow: /ab",
                    "Sitemap: http://h/s.xml",
                    "Host: h",
                    "Crawl-delay: 3",
                    "Request-rate: 1/7",
                    "Noindex: /a",
                    "some text",
                    "# remark",
                    "",
                ]
            ),
            max_size=12,
        ),
        st.sampled_from(["asks-fast", "asks-fast/1.0", "Mozilla/5.0 (compatible; Asks-fast/2)"]),
    )
    def test_same_as_protego(self, lines: list[str], agent: str) -> None:
        """Selecting the relevant groups changes no decision."""
        text = "\n".join(lines)
        ours, reference = rules(text, agent), parse(text)
        for path in ("/", "/a", "/ab", "/axb", "/b", "/c"):
            assert ours.allows(path) == reference.can_fetch(f"http://h{path}", agent)
        delay = reference.crawl_delay(agent)
        rate = reference.request_rate(agent)
        if rate is not None:
            delay = max(delay or 0.0, rate.seconds / rate.requests)
        assert ours.crawl_delay() == delay

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("Disallow: /*{}x\n", id="wildcards"),
            pytest.param("Disallow: /ab{}\n", id="prefixes"),
            pytest.param("Disallow: /" + "*a" * 900 + "{}\n", id="long_rules"),
            pytest.param("User-agent: *asks{}\nUser-agent: ask*s\n", id="user_agents"),
        ],
    )
    def test_bounded_cost(self, text: str) -> None:
        """500 KiB of rules cost a fraction of a second once, and little per URL."""
        lines = [text.format(n) for n in range(MAX_BYTES // len(text))]
        began = time.process_time()
        one = rules(
            "User-agent: asks-fast\nDisallow: /first\n" + "".join(lines) + "Disallow: /ab\n" * 9
        )
        assert not one.allows("/first")
        for n in range(100):
            one.allows("/" + "ab" * 100 + str(n))
        assert time.process_time() - began < 2.0, "a single URL took 0.4 s before"

    def test_bounded_number(self) -> None:
        """Rules after the first `MAX_RULES` are not honoured; other groups do not count."""
        many = "".join(f"Disallow: /n{n}\n" for n in range(MAX_RULES))
        assert rules(f"User-agent: *\n{many}Disallow: /last\n").allows("/last")
        text = f"User-agent: other\n{many}User-agent: *\nDisallow: /last\n"
        assert not rules(text).allows("/last")

    def test_cut_between_lines(self) -> None:
        """A text that is too long loses its last, incomplete line, not half of a path."""
        head = "User-agent: *\n"
        filler = "#" * (MAX_BYTES - len(head) - len("\nDisallow: /")) + "\n"
        assert rules(head + filler + "Disallow: /private\n").allows("/x")

    @given(st.binary(max_size=200), st.text(max_size=30))
    def test_no_text_raises(self, data: bytes, path: str) -> None:
        """Every text gives a decision."""
        one = RobotsRules(b"User-agent: *\n" + data, "asks-fast", parse)
        one.allows("/" + path.encode("ascii", "replace").decode())
        one.crawl_delay()

    def test_huge_rate(self) -> None:
        """A request-rate beyond all floats is a very long delay."""
        assert rules(f"User-agent: *\nRequest-rate: 1/{'9' * 400}").crawl_delay() == float("inf")


async def fetch_all(session: Any, urls: list[Any], politeness: Politeness = POLITE) -> list[Result]:
    return await gather(session, urls, politeness=politeness)


def outcome(result: Result) -> str:
    return type(result.error).__name__ if result.error is not None else "ok"


class TestSession:
    """robots.txt as fetched by `session.map` and `gather`."""

    @pytest.mark.parametrize(
        "options",
        [
            {"follow_redirects": False},
            {"max_redirects": 1},
            {"max_body": 5},
            {"decompress": False},
            {"headers": {"Authorization": "secret", "Range": "bytes=0-3"}},
            {"auth": ("me", "secret"), "params": {"key": "secret"}, "cookies": {"c": "secret"}},
        ],
        ids=lambda options: next(iter(options)),
    )
    async def test_bare(self, options: dict[str, Any]) -> None:
        """robots.txt is fetched without limits and credentials, over five redirects."""

        def page(host: int, path: str) -> Answer:
            number = int(path[9:] or 0) if path.startswith("/robots.t") and path[-1] != "t" else 0
            if path == "/robots.txt" or 0 < number < 5:
                return 302, {"Location": f"/robots.t{number + 1}"}, b""
            if number == 5:
                return 200, {"Content-Encoding": "gzip"}, gzip.compress(FORBIDDING)
            return 200, {}, b"page"

        with Site(page) as site:
            async with DSession(**options) as session:
                results = await fetch_all(session, [f"{site.urls[0]}/private/x"])
            assert [outcome(result) for result in results] == ["RobotsDisallowed"]
            assert [one.split(" ")[2] for one in site.asked] == [
                "/robots.txt",
                *(f"/robots.t{n}" for n in range(1, 6)),
            ]
            assert "secret" not in str(site.headers)
            assert not any("range" in fields for fields in site.headers)
            assert {fields["user-agent"] for fields in site.headers} == {"asks-fast"}

    async def test_a_custom_session_class(self) -> None:
        """A session that transforms responses does not affect robots.txt."""

        class Mine(DSession):
            async def request(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
                response = await super().request(*args, **kwargs)
                response._content = b""
                return response

        with Site(forbidding) as site:
            async with Mine() as session:
                results = await fetch_all(session, [f"{site.urls[0]}/private", site.urls[0]])
            assert [outcome(result) for result in results] == ["RobotsDisallowed", "ok"]

    async def test_same_proxy(self, peer: MakePeer) -> None:
        """robots.txt is fetched by the session's proxy, as the page is."""
        robots = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(FORBIDDING), FORBIDDING)
        proxy = peer([expect(), send(robots), FOREVER])
        async with DSession(proxy=proxy.url) as session:
            results = await fetch_all(session, ["http://name.invalid/private"])
        assert [outcome(result) for result in results] == ["RobotsDisallowed"]
        assert [one.target for one in proxy.requests] == ["http://name.invalid/robots.txt"]

    async def test_endless(self, peer: MakePeer) -> None:
        """Only the first `MAX_BYTES` of an endless robots.txt are read and used."""
        head = b"HTTP/1.1 200 OK\r\n\r\n" + FORBIDDING
        server = peer([expect(), send(head), repeat(send(b"# endless\n" * 1000))], SERVING)
        async with DSession() as session:
            urls = [f"{server.url}/private", f"{server.url}/page"]
            results = await fetch_all(session, urls)
        assert [outcome(result) for result in results] == ["RobotsDisallowed", "ok"]

    async def test_redirected_for_ever(self) -> None:
        """A redirect loop counts as no robots.txt (RFC 9309 §2.3.1.2)."""

        def page(host: int, path: str) -> Answer:
            return (302, {"Location": path}, b"") if "robots" in path else (200, {}, b"page")

        with Site(page) as site:
            async with DSession() as session:
                results = await fetch_all(session, [f"{site.urls[0]}/x"])
            assert [outcome(result) for result in results] == ["ok"]
            assert sum("robots" in one for one in site.asked) <= 11

    @pytest.mark.parametrize(
        "request_",
        [
            "/public/../private",
            "/%70rivate",
            "/./private",
            {"url": "/search", "params": {"q": "private"}},
        ],
        ids=str,
    )
    async def test_the_target_that_is_sent(self, request_: Any) -> None:
        """Rules apply to the target as it is sent, not as the URL was written."""

        def page(host: int, path: str) -> Answer:
            rules = b"User-agent: *\nDisallow: /private\nDisallow: /*?q=private\n"
            return (200, {}, rules) if path == "/robots.txt" else (200, {}, b"page")

        with Site(page) as site:
            if isinstance(request_, str):
                request: Any = site.urls[0] + request_
            else:
                request = {**request_, "url": site.urls[0] + request_["url"]}
            async with DSession() as session:
                results = await fetch_all(session, [request])
            assert [outcome(result) for result in results] == ["RobotsDisallowed"]
            assert site.asked == ["GET 0 /robots.txt"]

    async def test_no_url_ends_the_run(self, peer: MakePeer) -> None:
        """A URL that Python's own parser rejects does not affect others."""
        robots = b"User-agent: *\nDisallow: /private\nRequest-rate: 1/" + b"9" * 400 + b"\n"
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(robots), robots)
        server = peer([expect(), send(answer), repeat(expect(), send(OK))])
        place = server.url.removeprefix("http://")
        urls = [f"http://us[er@{place}/private", f"http://{place}/private/\ud800", "http://[x/y"]
        async with DSession() as session:
            results = await fetch_all(session, urls, Politeness(robots=True, max_pause=0.0))
        assert outcome(results[0]) == "RobotsDisallowed"
        assert isinstance(results[1].error, (RobotsDisallowed, InvalidURL))
        assert outcome(results[2]) == "InvalidURL"

    async def test_decisions_are_kept(self) -> None:
        """A hostile robots.txt costs little per URL, and other hosts are served meanwhile."""
        wild = b"User-agent: *\n" + b"".join(b"Disallow: /*%dx\n" % n for n in range(30_000))

        def page(host: int, path: str) -> Answer:
            if path == "/robots.txt":
                return (200, {}, wild) if host == 0 else (404, {}, b"")
            return 200, {}, b"page"

        with Site(page, hosts=2) as site:
            urls = [f"{site.urls[n % 2]}/{'y' * 100}{n}" for n in range(200)]
            began = time.process_time()
            async with DSession() as session:
                results = await fetch_all(session, urls)
            assert all(result.ok for result in results)
            assert time.process_time() - began < 5.0, "40 s before"


@pytest.mark.parametrize(
    "shard", [None, "o.jsonl", "o.jsonl.gz", "o.jsonl.zst", "o.warc", "o.warc.gz", "o.parquet"]
)
@pytest.mark.parametrize("more", [{}, {"only_type": ("image/*",)}, {"max_redirects": 0}], ids=str)
def test_scaleout(shard: str | None, more: dict[str, Any], tmp_path: Path) -> None:
    """Partitions obey robots.txt in every format and with every filter."""
    if shard is not None and shard.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with Site(forbidding) as site:
        urls = [f"{site.urls[0]}/private", f"{site.urls[0]}/page"]
        options = FetchOptions(retries=0, **more)
        fetch_partition(urls, options, shard=None if shard is None else tmp_path / shard)
        assert sorted(site.asked) == ["GET 0 /page", "GET 0 /robots.txt"]


async def test_errors_of_an_unreachable_host() -> None:
    """Each URL of a host that cannot be reached gets an error of its own."""
    with socket.socket() as not_listening:
        not_listening.bind(("127.0.0.1", 0))
        port = not_listening.getsockname()[1]
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(3)]
        async with DSession() as session:
            results = await gather(session, urls, politeness=POLITE)
    errors = [result.error for result in results]
    assert {type(error) for error in errors} == {ConnectionFailed}
    assert len({id(error) for error in errors}) == 3
    assert all(isinstance(error.__cause__, ConnectionRefusedError) for error in errors if error)


def test_named_in_the_user_agent(tmp_path: Path) -> None:
    """The groups for a crawler are found by its name anywhere in the user agent that is sent."""

    def page(host: int, path: str) -> Answer:
        rules = b"User-agent: mybot\nDisallow: /private\n\nUser-agent: *\nDisallow: /page\n"
        return (200, {}, rules) if path == "/robots.txt" else (200, {}, b"page")

    agent = "Mozilla/5.0 (compatible; MyBot/1.0)"
    with Site(page) as site:
        urls = [f"{site.urls[0]}/private", f"{site.urls[0]}/page"]
        fetch_partition(urls, FetchOptions(user_agent=agent))
        assert sorted(site.asked) == ["GET 0 /page", "GET 0 /robots.txt"]
        assert {fields["user-agent"] for fields in site.headers} == {agent.lower()}
