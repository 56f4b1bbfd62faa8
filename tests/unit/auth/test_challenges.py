"""Parsing of WWW-Authenticate: valid, sloppy and hostile values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.costs import thread_seconds

from asks_fast._auth.challenges import Challenge, parse_challenges, parse_parameter_list
from asks_fast._header_syntax import quote_string


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        ("basic REALM=x", [Challenge("basic", {"realm": "x"})]),
        ("Negotiate", [Challenge("negotiate")]),
        ("Negotiate YII=", [Challenge("negotiate", {}, "YII=")]),
        ("Negotiate a.b~c+d/e==, Basic", [Challenge("negotiate", {}, "a.b~c+d/e=="), *("b",)]),
        ("Digest, Basic realm=a", [Challenge("digest"), Challenge("basic", {"realm": "a"})]),
        (
            'Digest realm="a, Basic realm=b", nonce=c, Basic realm="d"',
            [
                Challenge("digest", {"realm": "a, Basic realm=b", "nonce": "c"}),
                Challenge("basic", {"realm": "d"}),
            ],
        ),
        ('Digest realm = "a" ,\tnonce\t=\tb', [Challenge("digest", {"realm": "a", "nonce": "b"})]),
        (r'Basic realm="a\"b\\c\d"', [Challenge("basic", {"realm": 'a"b\\cd'})]),
        (", ,, Basic realm=x,,, a=b,", [Challenge("basic", {"realm": "x", "a": "b"})]),
        ('Basic realm="x', [Challenge("basic", {"realm": "x"})]),
        ('Basic realm="x\\', [Challenge("basic", {"realm": "x\\"})]),
        ('Digest realm="a" nonce="b"', [Challenge("digest", {"realm": "a", "nonce": "b"})]),
        ("Basic realm=a, realm=b", [Challenge("basic", {"realm": "a"})]),
        ('Basic realm=""', [Challenge("basic", {"realm": ""})]),
        ("realm=x", []),
        ("", []),
        ('"', []),
        ("=,=;:/", []),
    ],
)
def test_one_field(field, expected):
    """Commas separate challenges and parameters; quotes, spaces and case make no difference."""
    expected = [Challenge("basic") if e == "b" else e for e in expected]
    assert parse_challenges(field) == expected


def test_many_fields():
    """Several fields are read like one with commas, but a parameter belongs to its own field."""
    assert parse_challenges(["Basic realm=a", b"Digest realm=\xe9", "nonce=b"]) == [
        Challenge("basic", {"realm": "a"}),
        Challenge("digest", {"realm": "\xe9"}),
    ]


def test_parameters_without_scheme():
    """Authentication-Info contains only parameters."""
    assert parse_parameter_list('nextnonce="a", qop=auth') == {"nextnonce": "a", "qop": "auth"}
    assert parse_parameter_list(b"") == {}


@given(st.text())
def test_any_text(text):
    """No text raises."""
    parse_challenges(text)
    parse_parameter_list(text)


@given(st.text(alphabet='Basic ="\\,\t=~/', max_size=40))
def test_any_text_of_delimiters(text):
    """Each scheme and token found is part of the text."""
    for challenge in parse_challenges(text):
        assert challenge.scheme
        assert challenge.scheme in text.lower()
        assert challenge.token68 is None or challenge.token68 in text


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Basic", "Digest", "X-y"]),
            st.dictionaries(
                st.text("abcdefghij-", min_size=1), st.text(st.characters(codec="latin-1"))
            ),
        )
    )
)
def test_round_trip(challenges):
    """Values written with `quote_string` are read back unchanged."""
    field = ", ".join(
        scheme + " " + ", ".join(f"{name}={quote_string(value)}" for name, value in params.items())
        for scheme, params in challenges
    )
    assert parse_challenges(field) == [Challenge(s.lower(), params) for s, params in challenges]


@pytest.mark.parametrize(
    "piece", ["a ", "a=", "a,", '"', "=", "a =", "a= ", '\\"', "Basic a=b,", "a" * 50, ",", " "]
)
def test_linear(piece):
    """Parsing time is linear in the length of the text."""

    def seconds(size):
        return thread_seconds(parse_challenges, "Digest " + piece * (size // len(piece)))

    assert seconds(40_000) < 100 * seconds(2_000) + 0.5
