"""Tokens, quoted strings and parameters of header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast._auth.challenges import parse_challenges
from asks_fast._header_syntax import parse_parameters, quote_string, read_quoted_string
from asks_fast._request.body import make_body
from asks_fast._response.header_values import filename_from


@given(st.text())
def test_quoted_string_round_trip(value: str) -> None:
    """A quoted string is read back unchanged, and the index after it is that of what follows."""
    quoted = quote_string(value)
    assert read_quoted_string(f"{quoted}, x", 0) == (value, len(quoted))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('"a', "a", id="no_end_quote"),
        pytest.param('"', "", id="quote_alone"),
        pytest.param('"a\\', "a\\", id="backslash_at_end"),
        pytest.param('"a\\"', 'a"', id="escaped_end_quote"),
    ],
)
def test_unterminated_quoted_string(text: str, value: str) -> None:
    """A missing end quote ends the string at the end of the text."""
    assert read_quoted_string(text, 0) == (value, len(text))


PARAMETER = 'x="; boundary=evil; filename=evil; realm=evil"; {name}="a\\"b"'


def test_all_fields_read_parameters_alike() -> None:
    """A parameter inside a quoted string is not found in Content-Disposition or a challenge."""
    assert parse_parameters("; " + PARAMETER.format(name="filename"))["filename"] == 'a"b'
    assert filename_from("attachment; " + PARAMETER.format(name="filename")) == "a_b"
    (challenge,) = parse_challenges("Basic " + PARAMETER.format(name="realm").replace(";", ","))
    assert challenge.params["realm"] == 'a"b'


def test_boundary_in_a_quoted_parameter_is_not_used() -> None:
    """The boundary of a multipart body is the parameter of that name, not text in another one."""
    body = make_body(
        multipart={"a": "1"}, mimetype='multipart/mixed; x="; boundary=evil"; boundary=B'
    )
    assert body is not None
    assert body.buffered is not None
    assert body.buffered.startswith(b"--B\r\n")
