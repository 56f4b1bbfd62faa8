"""Content codings: whole bodies and streams, cut, corrupt, stacked, and far too large.

The second opinion is the plain libraries: what they compress must come back, however it is cut.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.costs import thread_seconds

from asks_fast._response import compression_backends, content_decoder, decompressors
from asks_fast._response.content_decoder import ContentDecoder, decode_body
from asks_fast.errors import DecodingError, ResponseTooLarge

brotli = pytest.importorskip("brotli")
zstandard = pytest.importorskip("zstandard")


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODERS = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "x-gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "raw": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
CODINGS = list(ENCODERS)


def coding_name(encoder: str) -> str:
    return "deflate" if encoder == "raw" else encoder


def encode(data: bytes, encoders: list[str]) -> tuple[bytes, str]:
    for encoder in encoders:
        data = ENCODERS[encoder](data)
    return data, ", ".join(map(coding_name, encoders))


def in_pieces(decoder: ContentDecoder, pieces: list[bytes], step: int) -> bytes:
    """Decode a body fed in pieces, reading `step` bytes at a time."""
    out = []
    for piece in pieces:
        out.append(decoder.decode(piece, step))
        while not decoder.needs_input:
            out.append(decoder.decode(b"", step))
            assert len(out[-1]) <= step
    return b"".join(out) + decoder.finish()


# long runs, noise and text: what compressors treat differently
bodies = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=20), st.integers(0, 9000)),
    st.integers(0, 200_000).map(
        lambda size: Random(size).randbytes(size // 2) + b"a" * (size // 2)
    ),
)
stacks = st.lists(st.sampled_from(CODINGS), min_size=1, max_size=3)


@pytest.fixture(params=["isal.isal_zlib", "zlib_ng.zlib_ng", "zlib"])
def inflate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with each library for gzip and deflate."""
    module = pytest.importorskip(request.param)
    monkeypatch.setattr(compression_backends, "inflate_module", lambda size: module)
    return request.param


@pytest.fixture(params=["compression.zstd", "backports.zstd", "zstandard"])
def zstd_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with each library for zstd."""
    pytest.importorskip(request.param)
    monkeypatch.setattr(compression_backends, "ZSTD_MODULES", (request.param,))
    return request.param


class TestWholeBodies:
    @pytest.mark.parametrize("encoder", CODINGS)
    @pytest.mark.parametrize("size", [0, 1, 100, 100_000])
    def test_comes_back(self, encoder: str, size: int) -> None:
        """A compressed body decodes to the original."""
        body = (b'{"key": "value", "n": %d}' % size * size)[:size]
        assert decode_body(ENCODERS[encoder](body), coding_name(encoder)) == body

    @given(bodies, stacks)
    @settings(deadline=None, max_examples=60)
    def test_stacked(self, body: bytes, encoders: list[str]) -> None:
        """Codings are removed in the reverse of the order in which they are named."""
        data, names = encode(body, encoders)
        assert decode_body(data, names) == body

    def test_names_are_case_insensitive_and_spaced(self) -> None:
        """`GZIP ,, Identity` is gzip (RFC 9110 §8.4.1, §5.6.1)."""
        assert decode_body(gzip.compress(b"x"), " GZIP ,, Identity") == b"x"

    def test_several_fields(self) -> None:
        """Two header lines are one list."""
        data, _ = encode(b"x", ["br", "gzip"])
        assert decode_body(data, ["br", "gzip"]) == b"x"

    def test_identity_gives_the_same_object(self) -> None:
        """Without a coding the same object is returned."""
        data = b"plain"
        assert decode_body(data, "identity") is data
        assert decode_body(data, "") is data

    def test_unknown_coding_passes_through(self) -> None:
        """An unknown coding is not removed, as in browsers."""
        assert decode_body(b"data", "foo") == b"data"

    def test_unknown_inner_coding(self) -> None:
        """Known codings outside of an unknown one are removed."""
        decoder = ContentDecoder("foo, gzip")
        assert decoder.decode(gzip.compress(b"data")) == b"data"
        assert decoder.undecoded == ("foo",)

    def test_unknown_outer_coding(self) -> None:
        """Codings inside an unknown one are not removed."""
        data = gzip.compress(b"data")
        assert decode_body(data, "gzip, foo") == data
        assert ContentDecoder("gzip, foo").is_identity

    @pytest.mark.parametrize("encoder", CODINGS)
    def test_no_bytes_at_all(self, encoder: str) -> None:
        """An empty body is valid with any coding (HEAD, 304)."""
        assert decode_body(b"", coding_name(encoder)) == b""
        assert ContentDecoder(coding_name(encoder)).finish() == b""

    def test_at_most_five_codings(self) -> None:
        """More than five codings raise before a decoder is created, counted over all fields."""
        assert decode_body(b"x", ["foo, foo", "foo, foo, foo"]) == b"x"
        with pytest.raises(DecodingError, match="6 content codings"):
            decode_body(b"x", ["gzip, gzip, gzip", "gzip, gzip, gzip"])

    def test_accept_encoding(self) -> None:
        """Exactly the supported codings are in Accept-Encoding."""
        assert content_decoder.ACCEPT_ENCODING == "gzip, deflate, br, zstd"
        assert set(content_decoder.ACCEPT_ENCODING.split(", ")) < set(decompressors.LAYERS)


TRAILING = [
    b"x",
    b"garbage",
    b"\x1f",
    b"\x1fx",
    b"\0\0x",
    b"<!-- 12 ms -->\n" * 1000,
    b"x\x1f\x8b\x08",
    bytes(100_000) + b"x" * 65536,
]


class TestMembersAndFrames:
    def test_gzip_members(self, inflate: str) -> None:
        """A gzip body may have any number of members (RFC 1952 §2.2)."""
        data = gzip.compress(b"one,") + gzip.compress(b"") + gzip.compress(b"two")
        assert decode_body(data, "gzip") == b"one,two"
        assert in_pieces(ContentDecoder("gzip"), [data[i : i + 1] for i in range(len(data))], 2)

    def test_zeros_after_gzip(self, inflate: str) -> None:
        """Zeros after a gzip member are ignored; some servers add them."""
        data = gzip.compress(b"one")
        assert decode_body(data + bytes(10_000), "gzip") == b"one"
        assert decode_body(data + b"\0\0" + data, "gzip") == b"oneone"

    @pytest.mark.parametrize("encoder", CODINGS)
    def test_trailing_bytes_refused(self, encoder: str, inflate: str) -> None:
        """Bytes after the end are an error; after gzip only with `strict=True`."""
        data = ENCODERS[encoder](b"one" * 100)
        for trailing in (b"garbage", b"x", b"\x1f"):
            with pytest.raises(DecodingError):
                decode_body(data + trailing, coding_name(encoder), strict=True)
            decoder = ContentDecoder(coding_name(encoder), strict="gzip" in encoder)
            with pytest.raises(DecodingError):  # noqa: PT012 - either step may be the one
                decoder.decode(data)
                decoder.decode(trailing)
                decoder.finish()

    @pytest.mark.parametrize("trailing", TRAILING, ids=lambda trailing: repr(trailing[:8]))
    def test_trailing_bytes_after_gzip(self, trailing: bytes, inflate: str) -> None:
        """Bytes after the last gzip member are ignored, as in browsers, for any split."""
        data = gzip.compress(b"one,") + gzip.compress(b"two" * 100)
        assert decode_body(data + trailing, "gzip") == b"one," + b"two" * 100
        wire = data + trailing[:200]
        for cut in range(len(data) - 3, len(wire) + 1):
            pieces = [wire[:cut], wire[cut:]]
            assert in_pieces(ContentDecoder("gzip"), pieces, 50) == b"one," + b"two" * 100
        pieces = [wire[i : i + 1] for i in range(len(wire))]
        assert in_pieces(ContentDecoder("gzip"), pieces, 1) == b"one," + b"two" * 100
        inner, _ = encode(gzip.compress(b"body") + trailing, ["br"])
        assert decode_body(inner, "gzip, br") == b"body"

    def test_trailing_bytes_have_a_limit(self, inflate: str) -> None:
        """More than 64 KiB after the last member are an error, in one piece or many."""
        data = gzip.compress(b"one")
        with pytest.raises(DecodingError, match="more than 65536 bytes after its end"):
            decode_body(data + b"x" * 65537, "gzip")
        decoder = ContentDecoder("gzip")
        decoder.decode(data + b"x" * 30_000)
        decoder.decode(b"x" * 30_000)
        with pytest.raises(DecodingError, match="more than 65536 bytes after its end"):
            decoder.decode(b"x" * 30_000)

    @pytest.mark.parametrize("strict", [False, True])
    def test_gzip_without_its_trailer(self, strict: bool, inflate: str) -> None:
        """A member without its checksum and length is cut short, the first one and a later one."""
        data = gzip.compress(b"one")
        for wire in (
            data[:-8],
            data[:-1],
            data + data[:-8],
            data + data[:2],
            data + b"\0" + data[:9],
        ):
            with pytest.raises(DecodingError, match="gzip body was cut short"):
                decode_body(wire, "gzip", strict=strict)

    def test_many_empty_members(self, inflate: str) -> None:
        """10^5 empty members are a loop, not a recursion, and linear (CVE-2022-30631)."""
        data = gzip.compress(b"") * 100_000 + gzip.compress(b"end")
        assert decode_body(data, "gzip") == b"end"

    def test_zstd_frames(self, zstd_library: str) -> None:
        """Every frame is decoded, skippable ones are skipped (RFC 8878 §3.1)."""
        skippable = bytes.fromhex("502a4d18 03000000") + b"abc"
        one, two = zstandard.compress(b"one,"), zstandard.compress(b"two" * 99)
        data = one + skippable + two + skippable
        assert decode_body(data, "zstd") == b"one," + b"two" * 99
        pieces = [data[i : i + 1] for i in range(len(data))]
        assert in_pieces(ContentDecoder("zstd"), pieces, 5) == b"one," + b"two" * 99

    def test_zstd_window(self, zstd_library: str) -> None:
        """A window beyond 8 MiB raises DecodingError (RFC 9659 §3)."""
        for log, fine in ((23, True), (24, False), (27, False)):
            parameters = zstandard.ZstdCompressionParameters(window_log=log)
            stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
            data = stream.compress(b"abc" * 1000) + stream.flush()
            if fine:
                assert decode_body(data, "zstd") == b"abc" * 1000
            else:
                with pytest.raises(DecodingError, match="memory"):
                    decode_body(data, "zstd")

    def test_gzip_checksum_and_length(self, inflate: str) -> None:
        """A wrong CRC or length at the end raises DecodingError."""
        data = gzip.compress(b"body" * 50)
        for at in (-8, -1):
            broken = bytearray(data)
            broken[at] ^= 1
            with pytest.raises(DecodingError, match="gzip body is corrupt"):
                decode_body(bytes(broken), "gzip")

    def test_gzip_with_name_and_comment(self, inflate: str) -> None:
        """The optional fields of a member's head are skipped."""
        plain = raw_deflate(b"body")
        tail = zlib.crc32(b"body").to_bytes(4, "little") + (4).to_bytes(4, "little")
        head = bytes.fromhex("1f8b081c000000000003") + b"\x02\0ab" + b"name\0" + b"comment\0"
        assert decode_body(head + plain + tail, "gzip") == b"body"


class TestStreams:
    @given(st.data())
    @settings(deadline=None, max_examples=120)
    def test_any_split(self, data: st.DataObject) -> None:
        """The result does not depend on the size of the pieces or steps."""
        body = data.draw(bodies)
        wire, names = encode(body, data.draw(stacks))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
        pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        step = data.draw(st.sampled_from([1000, 4097, 65536, 10**9]))
        assert in_pieces(ContentDecoder(names), pieces, step) == body
        decoder = ContentDecoder(names)
        assert b"".join(map(decoder.decode, pieces)) + decoder.finish() == body

    @pytest.mark.parametrize("encoder", CODINGS)
    def test_every_split(self, encoder: str, inflate: str) -> None:
        """The body is split in two at each place, and fed byte by byte."""
        body = b"some text, " * 30 + bytes(range(256))
        wire = ENCODERS[encoder](body)
        name = coding_name(encoder)
        for cut in range(len(wire) + 1):
            assert in_pieces(ContentDecoder(name), [wire[:cut], wire[cut:]], 100) == body
        assert in_pieces(ContentDecoder(name), [wire[i : i + 1] for i in range(len(wire))], 1)

    @pytest.mark.parametrize("encoder", CODINGS)
    def test_cut_short(self, encoder: str, inflate: str) -> None:
        """A body that ends early raises DecodingError for any length, whole and streamed."""
        wire = ENCODERS[encoder](b"some text, " * 30 + bytes(range(256)))
        name = coding_name(encoder)
        for cut in range(1, len(wire)):
            with pytest.raises(DecodingError, match="cut short"):
                decode_body(wire[:cut], name)
            decoder = ContentDecoder(name)
            decoder.decode(wire[:cut])
            with pytest.raises(DecodingError, match="cut short"):
                decoder.finish()

    def test_cut_short_inside(self) -> None:
        """An incomplete inner layer raises, although the outer one is complete."""
        with pytest.raises(DecodingError, match="br body was cut short"):
            decode_body(gzip.compress(brotli.compress(b"text" * 100)[:-1]), "br, gzip")

    @given(bodies, st.sampled_from(CODINGS), st.randoms(use_true_random=False))
    @settings(deadline=None, max_examples=150)
    def test_corrupt(self, body: bytes, encoder: str, random: Random) -> None:
        """Changed bytes give a body or a DecodingError, nothing else."""
        wire = bytearray(ENCODERS[encoder](body))
        for _ in range(random.randint(1, 4)):
            wire[random.randrange(len(wire))] = random.randrange(256)
        for take in (-1, 1000):
            decoder = ContentDecoder(coding_name(encoder), max_size=1 << 24)
            with contextlib.suppress(DecodingError, ResponseTooLarge):
                decoder.decode(bytes(wire), take)
                while take > 0 and not decoder.needs_input:
                    decoder.decode(b"", take)
                decoder.finish()
        with contextlib.suppress(DecodingError, ResponseTooLarge):
            decode_body(bytes(wire), coding_name(encoder), max_size=1 << 24)

    @given(st.binary(max_size=200), st.sampled_from(list(decompressors.LAYERS)))
    @settings(deadline=None)
    def test_noise(self, wire: bytes, name: str) -> None:
        """Any bytes at all give a body or a DecodingError."""
        with contextlib.suppress(DecodingError, ResponseTooLarge):
            decode_body(wire, name, max_size=1 << 24)

    def test_caller_may_reuse_its_buffer(self) -> None:
        """The decoder keeps no reference to the caller's buffer."""
        buffer = bytearray(gzip.compress(os.urandom(5000)))
        decoder = ContentDecoder("gzip")
        out = decoder.decode(memoryview(buffer), 10)
        buffer[:] = bytes(len(buffer))
        assert len(out + decoder.finish()) == 5000

    def test_bounded_identity(self) -> None:
        """A stream without a coding supports the same calls."""
        decoder = ContentDecoder("identity")
        assert decoder.decode(b"abcdef", 4) == b"abcd"
        assert not decoder.needs_input
        assert decoder.decode(b"", 4) == b"ef"
        assert decoder.needs_input
        assert decoder.finish() == b""


BOMB_SIZE = 64 << 20


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    zeros = bytes(BOMB_SIZE)
    quick = {name: ENCODERS[name](zeros) for name in CODINGS if name != "br"}
    return {**quick, "br": brotli.compress(zeros, quality=5)}


class TestBombs:
    @pytest.mark.parametrize("encoder", [name for name in CODINGS if name != "zstd"])
    def test_a_small_step_inflates_little(
        self, encoder: str, bombs: dict[str, bytes], inflate: str
    ) -> None:
        """Reading 10 bytes of 64 MiB decompresses one step, not all."""
        import tracemalloc

        decoder = ContentDecoder(coding_name(encoder))
        tracemalloc.start()
        try:
            assert decoder.decode(bombs[encoder], 10) == bytes(10)
            assert decoder.decode(b"", 10) == bytes(10)
            assert tracemalloc.get_traced_memory()[1] < 2 << 20
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("encoder", CODINGS)
    def test_max_size(self, encoder: str, bombs: dict[str, bytes]) -> None:
        """`max_size` is exact: one byte more raises ResponseTooLarge."""
        name = coding_name(encoder)
        assert len(decode_body(bombs[encoder], name, max_size=BOMB_SIZE)) == BOMB_SIZE
        with pytest.raises(ResponseTooLarge, match=f"exceeds {BOMB_SIZE - 1} bytes"):
            decode_body(bombs[encoder], name, max_size=BOMB_SIZE - 1)
        decoder = ContentDecoder(name, max_size=1000)
        with pytest.raises(ResponseTooLarge):
            decoder.decode(bombs[encoder])

    @pytest.mark.parametrize("encoder", CODINGS)
    def test_max_ratio(self, encoder: str, bombs: dict[str, bytes]) -> None:
        """`max_ratio` applies after 1 MiB of output."""
        name = coding_name(encoder)
        with pytest.raises(ResponseTooLarge, match=r"exceeds 50\.0 times"):
            decode_body(bombs[encoder], name, max_ratio=50.0)
        assert len(decode_body(ENCODERS[encoder](bytes(1 << 20)), name, max_ratio=50.0)) == 1 << 20

    def test_stacked_bomb(self) -> None:
        """A nested bomb stops at the limit, also if its last layer has no output."""
        inner = gzip.compress(bytes(BOMB_SIZE))
        with pytest.raises(ResponseTooLarge):
            decode_body(gzip.compress(inner), "gzip, gzip", max_size=1 << 20)
        nothing = gzip.compress(b"") * 100_000
        with pytest.raises(ResponseTooLarge):
            decode_body(gzip.compress(nothing), "gzip, gzip", max_size=1 << 20)

    def test_zstd_bomb_in_each_library(self, zstd_library: str, bombs: dict[str, bytes]) -> None:
        """The library without an output limit is fed small slices."""
        import tracemalloc

        decoder = ContentDecoder("zstd")
        tracemalloc.start()
        try:
            assert decoder.decode(bombs["zstd"], 10) == bytes(10)
            most = 12 << 20 if zstd_library == "zstandard" else 2 << 20
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()

    def test_linear(self) -> None:
        """Small steps through a large chunk take linear time."""
        body = os.urandom(4 << 20)
        whole = gzip.compress(body, 1)

        def in_steps() -> None:
            decoder = ContentDecoder("gzip")
            total = len(decoder.decode(whole, 4096))
            while not decoder.needs_input:
                total += len(decoder.decode(b"", 4096))
            assert total == len(body)

        assert thread_seconds(in_steps) < 2
