"""multipart/form-data: the exact bytes, accepted arguments, and injection."""

from __future__ import annotations

import email.parser
import email.policy
import io
import os
from pathlib import Path

import curio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast._request.body import make_body
from asks_fast._request.body_source import CHUNK_SIZE
from asks_fast.errors import BodyLengthMismatch, InvalidHeader, InvalidRequest, UnreplayableBody
from asks_fast.multipart import MultipartData, MultipartSource, build_multipart_body


def read(body):
    async def main():
        return b"".join([bytes(piece) async for piece in body.chunks()])

    return curio.run(main)


def wire(values, encoding="utf-8"):
    """The body with the boundary `B`; its length must match the announced one."""
    length = MultipartSource(values, encoding, media_type="multipart/form-data; boundary=B").length
    body = curio.run(build_multipart_body, values, encoding, "B")
    assert length in (None, len(body))
    return body


def parsed(body):
    """The parts as an independent parser sees them: [(name, filename, type, content)]."""
    head = b"Content-Type: " + body.content_type.encode() + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + read(body))
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type() if "content-type" in part else None,
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


# -- the bytes


def test_field():
    """A value that is not a file is a field with its text."""
    assert wire({"a": "ü", "n": 3}) == (
        b"--B\r\n"
        b'Content-Disposition: form-data; name="a"\r\n'
        b"\r\n"
        b"\xc3\xbc\r\n"
        b"--B\r\n"
        b'Content-Disposition: form-data; name="n"\r\n'
        b"\r\n"
        b"3\r\n"
        b"--B--\r\n"
    )


def test_path(tmp_path):
    """A Path is a file part with its base name and the type of its ending."""
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello\n")
    assert wire({"file": path}) == (
        b"--B\r\n"
        b'Content-Disposition: form-data; name="file"; filename="hello.txt"\r\n'
        b"Content-Type: text/plain\r\n"
        b"\r\n"
        b"hello\n\r\n"
        b"--B--\r\n"
    )


def test_bytes():
    """Bytes are sent as application/octet-stream; a file name has to be given, as in asks."""
    assert wire({"b": b"\x00"}) == (
        b"--B\r\n"
        b'Content-Disposition: form-data; name="b"\r\n'
        b"Content-Type: application/octet-stream\r\n"
        b"\r\n"
        b"\x00\r\n"
        b"--B--\r\n"
    )


def test_data_by_hand():
    """MultipartData sets type, file name and part headers."""
    part = MultipartData(b"{}", mime_type="application/json", basename="x", headers={"X-Y": "z"})
    assert wire({"a": part}) == (
        b"--B\r\n"
        b'Content-Disposition: form-data; name="a"; filename="x"\r\n'
        b"Content-Type: application/json\r\n"
        b"X-Y: z\r\n"
        b"\r\n"
        b"{}\r\n"
        b"--B--\r\n"
    )


def test_open_file_with_a_name():
    """An open file is sent with its name, if it has one."""
    file = io.BytesIO(b"x")
    file.name = "/some/where/photo.jpg"
    head = b'Content-Disposition: form-data; name="a"; filename="photo.jpg"\r\nContent-Type: image/'
    assert head in wire({"a": file})
    assert b"filename" not in wire({"a": io.BytesIO(b"x")})


def test_repeated_name():
    """A list of pairs may repeat a name, and keeps its order."""
    body = make_body(multipart=[("a", "1"), ("b", "2"), ("a", "3")])
    assert [(part[0], part[3]) for part in parsed(body)] == [
        ("a", b"1"),
        ("b", b"2"),
        ("a", b"3"),
    ]


def test_no_parts():
    """A form without parts is its last boundary."""
    assert wire({}) == b"--B--\r\n"


def test_other_encoding():
    """Names and values are encoded in `encoding`; other characters of names as in browsers."""
    body = wire({"ä€": "ö"}, "latin-1")
    assert b'name="\xe4&#8364;"' in body
    assert b"\xf6\r\n" in body
    with pytest.raises(InvalidRequest, match="'€'"):
        wire({"a": "€"}, "latin-1")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "cp037"])
def test_encoding_without_ascii(encoding):
    """An encoding in which the delimiters are not ASCII cannot be used."""
    with pytest.raises(InvalidRequest, match=encoding):
        wire({"a": "b"}, encoding)


# -- files=


def test_files_argument(tmp_path):
    """`files=` accepts paths as text; text that is not a path of a file is a field."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    body = make_body(files={"f": str(path), "d": "no such file", "nul": "a\x00", "p": path})
    assert parsed(body) == [
        ("f", "a.txt", "text/plain", b"content"),
        ("d", None, None, b"no such file"),
        ("nul", None, None, b"a\x00"),
        ("p", "a.txt", "text/plain", b"content"),
    ]


def test_text_is_never_opened(tmp_path):
    """In `multipart=` a text that is the path of a file stays a text."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"secret")
    assert b"secret" not in wire({"f": str(path)})


def test_missing_file(tmp_path):
    """A Path that does not exist raises at the call."""
    for argument in ("files", "multipart"):
        with pytest.raises(FileNotFoundError):
            make_body(**{argument: {"f": tmp_path / "none"}})


# -- streaming


def test_length_known_ahead(tmp_path):
    """With files, bytes and fields the length is known before anything is read."""
    path = tmp_path / "big"
    content = os.urandom(2 * CHUNK_SIZE + 1)
    path.write_bytes(content)
    body = make_body(multipart={"f": path, "b": b"x", "t": "t"})
    assert body.buffered is None
    assert body.length == len(read(body))
    assert parsed(body)[0][3] == content


def test_small_form_is_buffered():
    """Fields and bytes alone are one buffer."""
    body = make_body(multipart={"a": "1", "b": b"2"})
    assert body.buffered == read(body)
    assert body.is_replayable


def test_part_of_unknown_length():
    """A generator as a part makes the length unknown, and the body one-shot."""

    async def later():
        yield b"ab"
        yield b"cd"

    body = make_body(multipart={"f": MultipartData(later(), basename="x")})
    assert (body.length, body.is_replayable) == (None, True)
    assert b"\r\n\r\nabcd\r\n--" in read(body)
    with pytest.raises(UnreplayableBody):
        body.chunks()


def test_file_twice(tmp_path):
    """One open file can be two parts, and be sent twice."""
    path = tmp_path / "x"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        body = make_body(multipart={"a": file, "b": file})
        for _ in range(2):
            assert [part[3] for part in parsed(body)] == [b"content", b"content"]


async def _curio_file(path):
    async with curio.aopen(path, "rb") as file:
        return await build_multipart_body({"f": file}, "utf-8", "B")


def test_curio_file(tmp_path):
    """curio's asynchronous files are file parts with their name."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    assert curio.run(_curio_file(path)) == wire({"f": path})


def test_parts_that_change_size_together(tmp_path):
    """Two files that change raise, even if their total length stays the same."""
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"1234")
    two.write_bytes(b"12")
    body = make_body(multipart={"a": one, "b": two})
    one.write_bytes(b"123")
    two.write_bytes(b"123")
    with pytest.raises(BodyLengthMismatch, match=r"had 4 bytes .* and 3"):
        read(body)


def test_to_bytes(tmp_path):
    """`MultipartData.to_bytes` reads the whole part, as in asks."""
    path = tmp_path / "x"
    path.write_bytes(b"content")
    for source in (path, b"content", io.BytesIO(b"content")):
        assert curio.run(MultipartData(source).to_bytes) == b"content"
    assert MultipartData(b"") == (b"", "application/octet-stream", None, None)


@pytest.mark.parametrize("source", ["text", 7, None, {"a": b"b"}])
def test_wrong_source(source):
    """A source that does not provide bytes raises at the call."""
    with pytest.raises(TypeError, match="source of a part"):
        make_body(multipart={"a": MultipartData(source)})


@pytest.mark.parametrize("values", [["a"], [("a",)], "ab", [("a", "b", "c")], {b"a": "b"}])
def test_wrong_values(values):
    """Anything but a dict or a list of pairs raises at the call."""
    with pytest.raises(TypeError, match="pairs"):
        make_body(multipart=values)


# -- what must not get through


def test_boundary():
    """Each body has its own boundary of 128 random bits."""
    boundaries = {MultipartSource({}).content_type.partition("=")[2] for _ in range(100)}
    assert len(boundaries) == 100
    assert all(len(bytes.fromhex(boundary)) == 16 for boundary in boundaries)


def test_names_are_escaped():
    """Quotes, line ends and control bytes in names and file names cannot leave their quotes."""
    evil = 'a"; filename="x\r\nX: y\x00\\'
    assert wire({evil: MultipartData(b"", basename=evil)}).startswith(
        b'--B\r\nContent-Disposition: form-data; name="a%22; filename=%22x%0D%0AX: y%00\\"; '
        b'filename="a%22; filename=%22x%0D%0AX: y%00\\"\r\nContent-Type'
    )


@given(name=st.text(), encoding=st.sampled_from(["utf-8", "latin-1", "shift_jis", "iso2022_jp"]))
def test_any_name(name, encoding):
    """Any name gives one header line with correct quotes."""
    body = MultipartSource(
        {name: "v"}, encoding, media_type="multipart/form-data; boundary=B"
    ).whole()
    head, _, _ = body.partition(b"\r\n\r\n")
    dashes, line = head.split(b"\r\n")
    assert dashes == b"--B"
    assert line.startswith(b'Content-Disposition: form-data; name="')
    assert line.endswith(b'"')
    assert line.count(b'"') == 2
    assert min(line) >= 0x20


def test_utf8_name():
    """Names are sent as plain UTF-8, as in browsers."""
    part = wire({"ключ": MultipartData(b"", basename="résumé 100%.txt")})
    assert 'name="ключ"; filename="résumé 100%.txt"'.encode() in part


def test_undecodable_file_name(tmp_path):
    """A file name that is not UTF-8 can be sent."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    path.write_bytes(b"x")
    assert b'filename="&#56575;.txt"' in wire({"f": path})


@pytest.mark.parametrize("value", ["text/plain\r\nX: y", "a\nb", "a\x00"])
def test_part_headers_cannot_be_forged(value):
    """Control characters in a media type or part header raise InvalidHeader."""
    with pytest.raises(InvalidHeader):
        make_body(multipart={"a": MultipartData(b"", mime_type=value)})
    with pytest.raises(InvalidHeader):
        make_body(multipart={"a": MultipartData(b"", headers={"X": value})})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "Content-Disposition", "ä"])
def test_part_header_names(name):
    """A part header must be a token other than Content-Disposition."""
    with pytest.raises(InvalidHeader):
        make_body(multipart={"a": MultipartData(b"", headers={name: "x"})})


def test_type_of_the_whole():
    """`mimetype` must be a multipart type."""
    body = make_body(multipart={"a": "b"}, mimetype="multipart/related")
    assert body.content_type.startswith("multipart/related; boundary=")
    with pytest.raises(InvalidRequest, match="image/png"):
        make_body(multipart={"a": "b"}, mimetype="image/png")


# -- parts as in other libraries, and what is no part


@pytest.mark.parametrize("argument", ["files", "multipart"])
def test_tuples(argument, tmp_path):
    """A part may be `(name, content[, type[, headers]])`, as in requests and httpx."""
    path = tmp_path / "on-disk.bin"
    path.write_bytes(b"disk")

    def form():
        return {
            "pair": ("a.txt", b"hello"),
            "typed": ("a.txt", "hellö", "text/x-own"),
            "plain": ("b", io.BytesIO(b"file"), None),
            "path": ("c.json", path),
            "text": ("d.txt", str(path)),
            "pieces": ("e", iter([b"some ", b"pieces"]), "x/y"),
            "field": (None, "value"),
            "headed": ("f", b"{}", "application/json", {"X-Part": "1"}),
            "named": (None, b"{}", "application/json"),
            "left out": None,
        }

    for given_form in (form(), list(form().items())):
        body = make_body(**{argument: given_form})
        assert parsed(body) == [
            ("pair", "a.txt", "text/plain", b"hello"),
            ("typed", "a.txt", "text/x-own", "hellö".encode()),
            ("plain", "b", None, b"file"),
            ("path", "c.json", "application/json", b"disk"),
            ("text", "d.txt", "text/plain", str(path).encode()),
            ("pieces", "e", "x/y", b"some pieces"),
            ("field", None, None, b"value"),
            ("headed", "f", "application/json", b"{}"),
            ("named", None, "application/json", b"{}"),
        ]
    assert b"X-Part: 1\r\n" in read(make_body(**{argument: {"h": form()["headed"]}}))


def test_bytes_as_a_file():
    """`files=` names bytes and nameless files after their field."""
    form = {"raw": b"\x00", "buffer": io.BytesIO(b"b"), "text": "no such file"}
    assert parsed(make_body(files=form)) == [
        ("raw", "raw", "application/octet-stream", b"\x00"),
        ("buffer", "buffer", "application/octet-stream", b"b"),
        ("text", None, None, b"no such file"),
    ]


async def _coroutine():
    """An empty `files=` gives no body."""


@pytest.mark.parametrize("argument", ["files", "multipart"])
@pytest.mark.parametrize(
    "value",
    [
        ("a.txt",),
        (),
        ("a.txt", b"", "t/t", {}, 5),
        (b"a.txt", b""),
        ("a.txt", 7),
        ("a.txt", None),
        ["a", "b"],
        {"a": "b"},
        {"a"},
        iter([b"x"]),
        range(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_part(argument, value):
    """A value that cannot be a part raises; its `str()` is not sent."""
    with pytest.raises(TypeError, match=r"part"):
        make_body(**{argument: {"f": value}})


def test_a_coroutine_is_no_part():
    """A coroutine raises TypeError."""
    coroutine = _coroutine()
    with pytest.raises(TypeError, match="'f' cannot be made from coroutine"):
        make_body(multipart={"f": coroutine})
    coroutine.close()


def test_boundary_by_hand():
    """A boundary in `mimetype` is used; an illegal one raises InvalidRequest."""
    for given_type in ('multipart/mixed; boundary="B b"; x=y', "multipart/form-data;Boundary=B"):
        body = make_body(multipart={"a": "1"}, mimetype=given_type)
        assert body.content_type == given_type
        assert [part[3] for part in parsed(body)] == [b"1"]
    for bad in ('"ends with blank "', "", "x" * 71, '"a\tb"', "a\\b"):
        with pytest.raises((InvalidRequest, InvalidHeader)):
            make_body(multipart={"a": "1"}, mimetype=f"multipart/form-data; boundary={bad}")
