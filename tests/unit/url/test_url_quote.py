"""Percent-encoding of params, forms and targets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from asks_fast.errors import InvalidRequest, InvalidURL
from asks_fast.urls import add_params, encode_params, form_encode, parse_url, quote_target

text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("params", "query"),
    [
        (None, ""),
        ({}, ""),
        ([], ""),
        ("", ""),
        ({"a": "1"}, "a=1"),
        ({"a": 1, "b": 2.5, "c": Decimal("0.1")}, "a=1&b=2.5&c=0.1"),
        ({"a": True, "b": False}, "a=True&b=False"),
        ({"a": 0, "b": "", "c": None}, "a=0&b="),
        ({"a": [1, "x", None, 2]}, "a=1&a=x&a=2"),
        ({"a": (n for n in (1, 2))}, "a=1&a=2"),
        ({"a": []}, ""),
        ({"a": {"k": 1, "l": 2}}, "a=k&a=l"),
        ({"a": b"\xff x"}, "a=%FF+x"),
        ({1: 2}, "1=2"),
        ([("a", 1), ("b", 2), ("a", 3)], "a=1&b=2&a=3"),
        ([["a", 1]], "a=1"),
        (MultiDict([("a", "1"), ("a", "2")]), "a=1&a=2"),
        ({"&=+%#": "& = + % #"}, "%26%3D%2B%25%23=%26+%3D+%2B+%25+%23"),
        ({"a": "é/?"}, "a=%C3%A9%2F%3F"),
        ({"a": "%41"}, "a=%2541"),
        ({"a": "-._~*"}, "a=-._~%2A"),
        ("a=b+c&d=%41 é#", "a=b+c&d=%41%20%C3%A9%23"),
        (b"a=\xc3\xa9", "a=%C3%A9"),
    ],
)
def test_encode_params(params: Any, query: str) -> None:
    """Each kind of `params` gives a query that a server decodes to the same values."""
    assert encode_params(params) == query


@pytest.mark.parametrize(
    ("target", "params", "joined"),
    [
        ("/", {"a": 1}, "/?a=1"),
        ("/?x=y", {"a": 1}, "/?x=y&a=1"),
        ("/?", {"a": 1}, "/?a=1"),
        ("/?x&", "a", "/?x&a"),
        ("/p;q", None, "/p;q"),
        ("/?x", {"a": None}, "/?x"),
    ],
)
def test_add_params(target: str, params: Any, joined: str) -> None:
    """`params` are appended to an existing query with `&`."""
    assert add_params(target, params) == joined


@pytest.mark.parametrize("params", [5, 0, False, ["ab"], [("a",)], [1], [("a", "b", "c")], {"ab"}])
def test_bad_params(params: Any) -> None:
    """Anything that is neither pairs nor text raises at the call."""
    with pytest.raises((TypeError, InvalidRequest)):
        encode_params(params)


def test_control_characters() -> None:
    """Control characters raise in a query text; in a value they are encoded."""
    with pytest.raises(InvalidURL):
        encode_params("a=\r\nX: y")
    assert encode_params({"a": "\r\n"}) == "a=%0D%0A"


def test_too_long() -> None:
    """Params that make the URL longer than the limit raise InvalidURL."""
    with pytest.raises(InvalidURL, match="data="):
        add_params("/", {"a": "x" * 65536})


def test_encoding() -> None:
    """`encoding` is that of the escapes; text that it cannot encode raises InvalidURL."""
    assert encode_params({"a": "é"}, "latin-1") == "a=%E9"
    assert form_encode({"a": "é"}, "latin-1") == b"a=%E9"
    with pytest.raises(InvalidRequest):
        form_encode({"a": "€"}, "latin-1")
    with pytest.raises(InvalidRequest):
        form_encode({"a": "é"}, "no-such-codec")


def test_form_encode() -> None:
    """A form keeps 0, False and the empty string, omits None, and repeats keys."""
    data = [("a", 0), ("b", ""), ("c", None), ("d", False), ("e", ["x y", "&=+%#"])]
    assert form_encode(data) == b"a=0&b=&d=False&e=x+y&e=%26%3D%2B%25%23"
    for bad in ("a=1", b"a", 5):
        with pytest.raises(TypeError):
            form_encode(bad)  # type: ignore[arg-type]


@given(st.lists(st.tuples(text, text)))
def test_pairs_come_back(pairs: list[tuple[str, str]]) -> None:
    """Encoded values decode to the same values, in a query and in a form."""
    assert parse_qsl(encode_params(pairs), keep_blank_values=True) == pairs
    assert parse_qsl(form_encode(pairs).decode(), keep_blank_values=True) == pairs


@given(text)
def test_quote_target_once(target: str) -> None:
    """Encoding twice changes nothing, and the result can be sent."""
    try:
        quoted = quote_target(target)
    except InvalidURL:
        return
    assert all("!" <= c <= "~" for c in quoted)
    assert quote_target(quoted) == quoted
    url = parse_url("http://h/?" + quoted)
    assert url.query == quoted
