"""The body made from the arguments of a request: bytes, media type and length."""

from __future__ import annotations

import array
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bodies import at_once, made, read

from asks_fast._request.body import make_body
from asks_fast._request.json_body import encode_json
from asks_fast.errors import InvalidHeader, InvalidRequest

# -- which argument


def test_nothing():
    """Without arguments, or with empty ones as in asks, there is no body."""
    assert make_body() is None
    assert make_body(files={}) is None
    for empty in ("", b"", {}, []):
        assert make_body(data=empty) is None


@pytest.mark.parametrize(
    "pair", [("data", "json"), ("data", "files"), ("json", "multipart"), ("files", "multipart")]
)
def test_exclusive(pair):
    """Two of the four are a TypeError that names both."""
    with pytest.raises(TypeError, match=f"{pair[0]} and {pair[1]} exclude"):
        make_body(**{pair[0]: {"a": "b"}, pair[1]: {"c": "d"}})


@pytest.mark.parametrize("wrong", [7, 2.5, object(), True])
def test_wrong_type(wrong):
    """Data of an unsupported type raises at the call."""
    with pytest.raises(TypeError, match=type(wrong).__name__):
        make_body(data=wrong)


# -- text, bytes


def test_text():
    """A str is sent in `encoding`, its length counted in bytes, as text/plain."""
    body = made(data="grüß")
    assert (body.buffered, body.length, body.content_type) == ("grüß".encode(), 6, "text/plain")
    assert made(data="ü", encoding="latin-1").buffered == b"\xfc"


def test_text_that_cannot_be_written():
    """Characters that the encoding lacks, and unknown encodings, fail before anything is sent."""
    with pytest.raises(InvalidRequest, match="'€'"):
        make_body(data="10 €", encoding="latin-1")
    with pytest.raises(InvalidRequest, match="klingon"):
        make_body(data="x", encoding="klingon")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(kind):
    """Bytes are sent unchanged, as text/plain as in asks unless `mimetype` is given."""
    body = made(data=kind(b"\x00\xff"), mimetype="image/png")
    assert (body.buffered, body.content_type, body.is_replayable) == (
        b"\x00\xff",
        "image/png",
        True,
    )
    assert made(data=kind(b"x")).content_type == "text/plain"


def test_later_change_of_a_bytearray():
    """A later change of the argument does not change the body."""
    data = bytearray(b"before")
    body = made(data=data)
    data[:] = b"after"
    assert read(body) == b"before"


def test_lent_memory():
    """An array is sent as its bytes, counted in bytes."""
    numbers = array.array("I", [1, 2])
    body = made(data=numbers)
    assert body.length == 2 * numbers.itemsize
    assert read(body) == numbers.tobytes()


@pytest.mark.parametrize("mimetype", ["text/plain\r\nX: y", "a\nb", "täxt/plain", "a\x00"])
def test_mimetype_cannot_forge_headers(mimetype):
    """Control and non-ASCII characters in `mimetype` raise InvalidHeader."""
    with pytest.raises(InvalidHeader):
        make_body(data="x", mimetype=mimetype)


# -- forms


@pytest.mark.parametrize(
    "data",
    [
        {"a": ["1", 2], "b": "& = + % #", "none": None, "zero": 0, "empty": ""},
        [("a", "1"), ("a", 2), ("b", "& = + % #"), ("zero", 0), ("empty", "")],
        {"a": ["1", 2], "b": "& = + % #", "zero": 0, "empty": ""}.items(),
    ],
    ids=["dict", "pairs", "items"],
)
def test_form(data):
    """Dicts and pairs are forms: names repeat, delimiters are encoded, None is omitted."""
    body = made(data=data)
    assert body.content_type == "application/x-www-form-urlencoded"
    assert body.buffered == b"a=1&a=2&b=%26+%3D+%2B+%25+%23&zero=0&empty="


def test_form_encoding():
    """Text of a form is quoted in `encoding`."""
    assert made(data={"ä": "ö"}, encoding="latin-1").buffered == b"%E4=%F6"


# -- json


@pytest.mark.parametrize("value", [{}, [], 0, False, "", {"a": [1, None, "ü"]}, 1.5])
def test_json(value):
    """Everything that `json.dumps` accepts is sent, falsy values included."""
    body = made(json=value)
    assert body.content_type == "application/json"
    assert json.loads(body.buffered) == value


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(JSON_VALUES)
def test_json_bytes(value):
    """The bytes are those of `json.dumps`."""
    assert encode_json(value) == json.dumps(value).encode()


def test_json_errors():
    """Errors are those of `json.dumps`, and do not affect the next document."""
    circle: list[object] = []
    circle.append({"a": circle})
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (circle, {"a": {1, 2}}, {("a",): 1}, deep):
        with pytest.raises((TypeError, ValueError, RecursionError)) as expected:
            json.dumps(value)
        for _ in range(2):
            with pytest.raises(expected.type) as found:
                encode_json(value)
            assert str(found.value) == str(expected.value)
    assert encode_json({"a": "ü"}) == b'{"a": "\\u00fc"}'


def test_json_encoder():
    """Another serializer, of str or bytes, replaces `json.dumps`."""
    assert made(json=1, json_dumps=lambda value: b"bytes").buffered == b"bytes"
    assert made(json=1, json_dumps=lambda value: "ü").buffered == "ü".encode()


def test_json_of_what_json_lacks():
    """The error of the serializer is raised at the call."""
    with pytest.raises(TypeError, match="set"):
        make_body(json={1, 2})


def test_json_type():
    """`mimetype` names a type derived from JSON."""
    assert made(json=1, mimetype="application/vnd.api+json").content_type.endswith("api+json")


def test_contradicting_announcement():
    """A Content-Length that is known to be wrong fails at the call."""
    with pytest.raises(InvalidRequest, match="7 was given for a body of 2"):
        made(data="ab").set_length(7)


def test_repr():
    """The repr contains type and length, not the content."""
    assert repr(made(data="secret")) == "<Body text/plain, 6 bytes>"
    assert repr(made(data=at_once())) == "<Body application/octet-stream, unknown length>"
