"""Downloads to a file: resumed, verified, paced, and visible only when complete."""

from __future__ import annotations

import hashlib
import os
import time

import curio
import pytest
from support.script_steps import close, expect, reset, send, stall

from asks_fast import HSession, Retry, Session
from asks_fast._client.part_file import PartFile
from asks_fast._config.transfer import BandwidthLimit, TransferMeter
from asks_fast.errors import (
    BadHttpResponse,
    BadStatus,
    ChecksumMismatch,
    InvalidRequest,
    ServerClosedConnectionError,
    TransferTooSlow,
)

DATA = bytes(range(256)) * 40
SIZE = len(DATA)
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
AT_ONCE = Retry(attempts=3, backoff=0.0)


def whole(*, sent: int = SIZE, fields: bytes = b'ETag: "v1"\r\n', data: bytes = DATA) -> bytes:
    """A 200 with the first `sent` bytes of the body."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(data), data[:sent])


def part(
    start: int,
    end: int = SIZE,
    *,
    sent: int | None = None,
    total: bytes = b"%d" % SIZE,
    fields: bytes = b'ETag: "v1"\r\n',
) -> bytes:
    """A 206 with the bytes from `start` to `end`, of which the first `sent` arrive."""
    body = DATA[start:end]
    head = b"HTTP/1.1 206 Part\r\n%bContent-Range: bytes %d-%d/%b\r\nContent-Length: %d\r\n\r\n"
    return head % (fields, start, end - 1, total, len(body)) + body[:sent]


def broken(answer: bytes) -> list:
    return [expect(), send(answer), close()]


def leftovers(directory) -> list[str]:
    return sorted(os.listdir(directory))


async def test_plain(peer, tmp_path):
    """The file has its name, its bytes and nothing beside it; the figures are right."""
    server = peer([expect("GET", "/x"), send(whole())])
    target = tmp_path / "x"
    async with HSession(server.url) as session:
        done = await session.download("/x", target, checksum=SHA256)
        assert session.pool_stats()["idle"] == 1
    assert target.read_bytes() == DATA
    assert leftovers(tmp_path) == ["x"]
    assert (done.path, done.size, done.received) == (str(target), SIZE, SIZE)
    assert (done.resumed_from, done.attempts, done.response.status_code) == (0, 1, 200)
    assert server.requests[0].header("accept-encoding") == "identity"
    assert server.requests[0].header("range") is None


async def test_continues_where_it_broke_off(peer, tmp_path):
    """After a closed and a reset connection the rest is requested with the same validator."""
    server = peer(
        broken(whole(sent=1000)),
        broken(part(1000, sent=500)),
        [expect(), send(part(1500, 3000)), expect(), send(part(3000))],
    )
    steps = []
    async with HSession(server.url) as session:
        done = await session.download(
            "/", tmp_path / "x", retries=AT_ONCE, progress=steps.append, checksum=SHA256
        )
    assert (tmp_path / "x").read_bytes() == DATA
    assert leftovers(tmp_path) == ["x"]
    assert (done.received, done.attempts, done.resumed_from) == (SIZE, 4, 0)
    ranges = [request.header("range") for request in server.requests]
    assert ranges == [None, "bytes=1000-", "bytes=1500-", "bytes=3000-"]
    assert [request.header("if-range") for request in server.requests] == [None] + ['"v1"'] * 3
    assert steps[-1].transferred == steps[-1].total == SIZE
    assert steps[-1].fraction == 1.0
    assert [step.transferred for step in steps] == sorted(step.transferred for step in steps)


async def test_resumed_by_a_later_call(peer, tmp_path):
    """What a failed call received is kept, and another session continues it."""
    target = tmp_path / "x"
    server = peer(broken(whole(sent=1000)), [expect(), send(part(1000))])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError):
            await session.download("/", target, retries=0)
    assert leftovers(tmp_path) == ["x.part", "x.part.json"]
    async with HSession(server.url) as session:
        done = await session.download("/", target, checksum=SHA256)
    assert target.read_bytes() == DATA
    assert (done.received, done.resumed_from) == (SIZE - 1000, 1000)
    assert leftovers(tmp_path) == ["x"]


async def test_cancelled_it_can_be_resumed(peer, tmp_path):
    """Cancellation closes the connection and keeps the part."""
    target = tmp_path / "x"
    server = peer([expect(), send(whole(sent=1000)), stall()], [expect(), send(part(1000))])
    async with HSession(server.url) as session:
        assert await curio.ignore_after(0.1, session.download("/", target)) is None
        assert session.pool_stats()["open"] == 0
        await session.download("/", target, checksum=SHA256)
    assert target.read_bytes() == DATA


async def test_without_resumption(peer, tmp_path):
    """`resume=False` ignores an earlier part and keeps none."""
    target = tmp_path / "x"
    server = peer(broken(whole(sent=1000)), broken(whole(sent=1000)))
    async with HSession(server.url) as session:
        for resume in (True, False):
            with pytest.raises(ServerClosedConnectionError):
                await session.download("/", target, retries=0, resume=resume)
    assert server.requests[1].header("range") is None
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([whole()], id="the resource has changed: 200"),
        pytest.param([part(999), whole()], id="another start"),
        pytest.param([part(1000, total=b"99999"), whole()], id="another total"),
        pytest.param([part(1000, fields=b'ETag: "v2"\r\n'), whole()], id="another validator"),
        pytest.param([part(1000, fields=b"Content-Encoding: gzip\r\n"), whole()], id="coded"),
        pytest.param(
            [b"HTTP/1.1 206 Part\r\nContent-Type: multipart/byteranges; boundary=x\r\n"
             b"Content-Length: 1\r\n\r\nx", whole()], id="no Content-Range"),
        pytest.param(
            [b"HTTP/1.1 206 Part\r\nContent-Range: bytes 1000-1009/%d\r\nContent-Length: 20\r\n\r\n"
             b"%020d" % (SIZE, 0), whole()], id="another length"),
        pytest.param(
            [b"HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n", whole()],
            id="416"),
    ],
)  # fmt: skip
async def test_unusable_partial_response(peer, tmp_path, answers):
    """A response that does not continue the file is never appended to it."""
    steps = [step for answer in answers for step in (expect(), send(answer))]
    server = peer(broken(whole(sent=1000)), *[steps[at:] for at in range(0, len(steps), 2)])
    async with HSession(server.url) as session:
        await session.download("/", tmp_path / "x", retries=AT_ONCE, checksum=SHA256)
    assert (tmp_path / "x").read_bytes() == DATA
    assert leftovers(tmp_path) == ["x"]


async def test_complete_part(peer, tmp_path):
    """A part that has all bytes needs only the answer 416 with the same length."""
    server = peer([expect(), send(whole(sent=SIZE - 1)), close()],
                  [expect(), send(b"HTTP/1.1 416 No\r\nContent-Range: bytes */%d\r\n"
                                  b"Content-Length: 0\r\n\r\n" % SIZE)])  # fmt: skip
    target = tmp_path / "x"
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError):
            await session.download("/", target, retries=0)
        with open(f"{target}.part", "ab") as file:
            file.write(DATA[-1:])
        await session.download("/", target, checksum=SHA256)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        (b'ETag: W/"1"\r\n', None),
        (b"", None),
        (b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
         None),
        (b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
         "Sun, 06 Nov 1994 08:49:37 GMT"),
        (b'ETag: "1"\r\nContent-Encoding: x-unknown\r\n', None),
    ],
    ids=["weak ETag", "none", "modified in that second", "modified before", "coded"],
)  # fmt: skip
async def test_validators(peer, tmp_path, fields, validator):
    """Only a strong validator allows a range (RFC 9110, section 13.1.5)."""
    last = part(1000, fields=b"") if validator else whole(fields=fields)
    server = peer(broken(whole(sent=1000, fields=fields)), [expect(), send(last)])
    async with HSession(server.url) as session:
        await session.download("/", tmp_path / "x", retries=AT_ONCE)
    assert server.requests[1].header("if-range") == validator
    assert (tmp_path / "x").read_bytes() == DATA


async def test_part_of_another_url(peer, tmp_path):
    """A part belongs to one URL; a damaged record is ignored."""
    server = peer(broken(whole(sent=1000)), broken(whole(sent=1000)), [expect(), send(whole())])
    target = tmp_path / "x"
    async with HSession(server.url) as session:
        for url in ("/a", "/b"):
            with pytest.raises(ServerClosedConnectionError):
                await session.download(url, target, retries=0)
        (tmp_path / "x.part.json").write_bytes(b'{"url_digest": "x", "validator"')
        await session.download("/b", target)
    assert [request.header("range") for request in server.requests] == [None] * 3
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "record",
    [b"", b"[]", b"{}", b"[" * 60_000, b'{"total": "1"}', b"\xff"],
    ids=["empty", "list", "object", "deep", "no fields", "not UTF-8"],
)
def test_damaged_record(tmp_path, record):
    """Whatever the record says, bytes without a matching one are discarded."""
    (tmp_path / "x.part").write_bytes(b"1234")
    (tmp_path / "x.part.json").write_bytes(record)
    with PartFile(str(tmp_path / "x"), "http://a/") as file:
        assert file.size == 0
    assert leftovers(tmp_path) == ["x.part"]


async def test_checksum(peer, tmp_path):
    """A file with another checksum is discarded; a resumed one is first fetched from its start."""
    wrong = "sha256:" + "0" * 64
    target = tmp_path / "x"
    server = peer([expect(), send(whole())])
    async with HSession(server.url) as session:
        with pytest.raises(ChecksumMismatch, match=f"sha256 of the {SIZE} bytes"):
            await session.download("/", target, checksum=wrong)
    assert leftovers(tmp_path) == []
    server = peer(broken(whole(sent=1000)), [expect(), send(part(1000)), expect(), send(whole())])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError):
            await session.download("/", target, retries=0)
        with open(f"{target}.part", "r+b") as file:
            file.write(b"damaged")
        done = await session.download("/", target, checksum=SHA256)
    assert target.read_bytes() == DATA
    assert done.resumed_from == 0


@pytest.mark.parametrize("status", [b"404 No", b"503 No", b"204 No", b"304 No"])
async def test_statuses(peer, tmp_path, status):
    """A status other than 200 is an error, and no file is left."""
    body = b"Content-Length: 2\r\n\r\nno" if status[:1] in b"45" else b"\r\n"
    server = peer([expect(), send(b"HTTP/1.1 " + status + b"\r\n" + body)])
    async with HSession(server.url) as session:
        with pytest.raises(BadStatus, match=status[:3].decode()):
            await session.download("/", tmp_path / "x", retries=0)
    assert leftovers(tmp_path) == []


async def test_status_of_the_retry_policy(peer, tmp_path):
    """A 503 is tried again if the policy says so."""
    refusal = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"
    server = peer([expect(), send(refusal), expect(), send(whole())])
    async with HSession(server.url) as session:
        assert (await session.download("/", tmp_path / "x", retries=AT_ONCE)).attempts == 2


async def test_attempts_that_bring_something_do_not_count(peer, tmp_path):
    """The policy limits attempts in a row that bring nothing."""
    cuts = range(1000, SIZE, 1000)
    server = peer(broken(whole(sent=1000)),
                  *[broken(part(at, sent=1000)) for at in cuts[:-1]],
                  [expect(), send(part(cuts[-1]))])  # fmt: skip
    async with HSession(server.url) as session:
        done = await session.download("/", tmp_path / "x", retries=1, checksum=SHA256)
    assert done.attempts == len(cuts) + 1
    server = peer([expect(), reset()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError):
            await session.download("/", tmp_path / "y", retries=2)
    assert len(server.connections) == 3


async def test_206_that_was_not_asked_for(peer, tmp_path):
    """A 206 to a request without Range is an error."""
    server = peer([expect(), send(part(0))])
    async with HSession(server.url) as session:
        with pytest.raises(BadHttpResponse, match="206 to a request without Range"):
            await session.download("/", tmp_path / "x")


async def test_compressed(app_server, tmp_path):
    """A server that compresses all the same gives the decompressed file."""
    async with HSession(app_server.url) as session:
        await session.download("/gzip", tmp_path / "x")
    assert b'"coding": "gzip"' in (tmp_path / "x").read_bytes()


async def test_several_at_once(app_server, tmp_path):
    """Downloads run at the same time, each into a file of its own."""
    async with Session(app_server.url, connections=5) as session, curio.TaskGroup() as group:
        for n in range(20):
            await group.spawn(session.download, f"/bytes/{n * 10_000}", tmp_path / str(n))
    assert [(tmp_path / str(n)).stat().st_size for n in range(20)] == [
        n * 10_000 for n in range(20)
    ]


async def test_two_to_one_file(peer, tmp_path):
    """The second download of one file is refused while the first runs."""
    server = peer([expect(), send(whole(sent=1000)), stall(), send(DATA[1000:])])
    target = tmp_path / "x"
    async with HSession(server.url, connections=2) as session:
        first = await curio.spawn(session.download, "/", target)
        await server.saw_requests()
        with pytest.raises(InvalidRequest, match="being written by another download"):
            await session.download("/", target)
        server.release()
        await first.join()
    assert target.read_bytes() == DATA


async def test_low_speed_continues_over_another_connection(peer, tmp_path):
    """A connection that is too slow is closed, and another one brings the rest."""
    server = peer([expect(), send(whole(sent=1000)), stall()], [expect(), send(part(1000))])
    async with HSession(server.url) as session:
        done = await session.download(
            "/", tmp_path / "x", low_speed=(100_000, 0.1), retries=AT_ONCE, checksum=SHA256
        )
    assert done.attempts == 2


async def test_low_speed_of_a_stream(app_server):
    """A slow body is cut off, although it is never silent for long."""
    async with HSession(app_server.url) as session:
        response = await session.get(path="/drip?n=1000&pause=0.01", stream=True)
        with pytest.raises(TransferTooSlow, match="fewer than low_speed=1000 bytes per second"):
            async for _ in response.body.metered(low_speed=(1000, 0.2)):
                pass
        assert session.pool_stats()["open"] == 0


async def test_max_rate(app_server, tmp_path):
    """A bandwidth limit applies to all downloads that share it."""
    limit = BandwidthLimit(200_000)
    began = time.monotonic()
    async with Session(app_server.url, connections=2) as session, curio.TaskGroup() as group:
        for name in "ab":
            await group.spawn(
                lambda name=name: session.download("/bytes/50000", tmp_path / name, max_rate=limit)
            )
    assert time.monotonic() - began >= 0.45


async def test_progress_of_a_stream(app_server):
    """A coroutine function is awaited with each chunk; the total is that of Content-Length."""
    seen = []

    async def progress(step):
        await curio.sleep(0)
        seen.append((step.transferred, step.total))

    async with HSession(app_server.url) as session:
        response = await session.get(path="/bytes/100000", stream=True)
        size = 0
        async for chunk in response.body.metered(progress=progress):
            size += len(chunk)
            assert seen[-1] == (size, 100_000)
    assert size == 100_000


async def test_error_of_the_progress_function(peer, tmp_path):
    """An exception of the caller is raised unchanged, and the connection is closed."""
    server = peer([expect(), send(whole(sent=1000)), stall()])

    def progress(step):
        raise KeyError("mine")

    async with HSession(server.url) as session:
        with pytest.raises(KeyError, match="mine"):
            await session.download("/", tmp_path / "x", progress=progress)
        assert session.pool_stats()["open"] == 0


def test_meter_counts_waiting_alone():
    """Only waiting for the network counts; each window that is fast enough starts another."""
    meter = TransferMeter(low_speed=(100, 2))
    assert meter.time_left() == 2
    meter.wait_ended(1.5, 100)
    assert meter.time_left() == 0.5
    meter.wait_ended(0.4, 100)
    assert meter.time_left() == 2
    with pytest.raises(TransferTooSlow):
        meter.wait_ended(2.0, 199)


def test_bandwidth_limit_saves_nothing_up():
    """A pause is not made up for by a burst."""
    now = [0.0]
    limit = BandwidthLimit(100, clock=lambda: now[0])
    assert limit.delay_after(50) == 0.5
    assert limit.delay_after(50) == 1.0
    now[0] = 100.0
    assert limit.delay_after(50) == 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        {"checksum": "sha256:12"},
        {"checksum": "crc32:12345678"},
        {"checksum": "9f86d0"},
        {"low_speed": (0, 1)},
        {"low_speed": 5},
        {"max_rate": 0},
        {"headers": {"range": "bytes=0-"}},
    ],
    ids=["short", "unknown", "no algorithm", "zero", "no pair", "no rate", "own range"],
)
async def test_invalid_arguments(tmp_path, arguments):
    """Invalid arguments raise before a request is sent, and no file is made."""
    async with HSession("http://localhost:1") as session:
        with pytest.raises(InvalidRequest):
            await session.download("/", tmp_path / "x", **arguments)
        with pytest.raises(InvalidRequest, match="is a directory"):
            await session.download("/", tmp_path)
        with pytest.raises(TypeError, match="by position"):
            await session.download("/", tmp_path / "x", path="/y")
    assert leftovers(tmp_path) == []
