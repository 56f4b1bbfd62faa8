"""Basic and Bearer: examples of the RFCs, invalid arguments, and secrets in reprs."""

from __future__ import annotations

import curio
import pytest
from support.digest import answer

from asks_fast.auth import (
    AuthBase,
    BasicAuth,
    BearerAuth,
    DigestAuth,
    PostResponseAuth,
    PreResponseAuth,
)
from asks_fast.errors import InvalidRequest


def test_basic_vectors():
    """The examples of RFC 7617 §2 and §2.1."""
    assert curio.run(BasicAuth(("Aladdin", "open sesame")), None) == {
        "Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    }
    assert BasicAuth(("test", "123£")).initial_headers() == {
        "Authorization": "Basic dGVzdDoxMjPCow=="
    }
    assert BasicAuth(("ü", ""), encoding="latin-1").initial_headers() == {
        "Authorization": "Basic /Do="
    }


def test_basic_for_a_proxy():
    """For a proxy the field name is Proxy-Authorization."""
    assert list(BasicAuth(("a", "b"), proxy=True).initial_headers()) == ["Proxy-Authorization"]


@pytest.mark.parametrize("pair", [("a\r\nb", "c"), ("a", "b\x00"), ("a", "\x7f"), ("a\t", "")])
@pytest.mark.parametrize("kind", [BasicAuth, DigestAuth])
def test_control_characters(kind, pair):
    """Control characters in user or password raise InvalidRequest (RFC 7617 §2)."""
    with pytest.raises(InvalidRequest, match="control characters"):
        kind(pair)


@pytest.mark.parametrize("pair", [None, "ab c", "ab", b"ab", ("a",), ("a", None), ("a", "b", "c")])
@pytest.mark.parametrize("kind", [BasicAuth, DigestAuth])
def test_no_pair(kind, pair):
    """Anything but a pair of texts raises InvalidRequest."""
    with pytest.raises(InvalidRequest):
        kind(pair)


def test_colon_in_basic_user():
    """A user name with a colon raises InvalidRequest: the rest of it would become the password."""
    with pytest.raises(InvalidRequest, match="colon"):
        BasicAuth(("a:b", "c"))


@pytest.mark.parametrize(
    ("kind", "pair"),
    [
        (BasicAuth, ("a:b", "c")),
        *((kind, pair) for kind in (BasicAuth, DigestAuth) for pair in ("ab", ("a", "b\r"))),
    ],
)
def test_assigned_credentials_are_checked(kind, pair):
    """What the constructor rejects is rejected at an assignment too; the old pair stays."""
    auth = kind(("user", "password"))
    with pytest.raises(InvalidRequest):
        auth.auth_info = pair
    assert auth.auth_info == ("user", "password")
    with pytest.raises(InvalidRequest, match="cannot be encoded"):
        auth.encoding = "no such encoding"
    assert auth.encoding == "utf-8"


def test_an_assigned_token():
    """A token that is assigned is sent from the next request on, and checked at once."""
    auth = BearerAuth("old")
    auth.token = "new"
    for invalid in ("", "a b", None, b"token"):
        with pytest.raises(InvalidRequest, match="bearer token"):
            auth.token = invalid
    assert auth.initial_headers() == {"Authorization": "Bearer new"}


def test_bearer():
    """A bearer token is sent unchanged; illegal characters raise InvalidRequest."""
    assert curio.run(BearerAuth("abc.def="), None) == {"Authorization": "Bearer abc.def="}
    for token in ("", "a b", "a\r\nX: y", "ä"):
        with pytest.raises(InvalidRequest):
            BearerAuth(token)


def test_no_secret_shows():
    """No repr and no error contains user, password or token."""
    auths = [BasicAuth(("root", "hunter2")), DigestAuth(("root", "hunter2")), BearerAuth("hunter2")]
    answer(auths[1], 'Digest realm="r", nonce="n"')
    for auth in auths:
        assert "hunter2" not in repr(auth)
        assert "root" not in repr(auth)
    with pytest.raises(InvalidRequest) as caught:
        BasicAuth(("root", "hunter€"), encoding="latin-1")
    assert "hunter" not in str(caught.value)
    assert "€" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_family():
    """The classes have the base classes of asks, and the abstract ones declare their hooks."""
    assert issubclass(BasicAuth, PreResponseAuth)
    assert issubclass(BearerAuth, PreResponseAuth)
    assert issubclass(DigestAuth, PostResponseAuth)
    assert issubclass(PreResponseAuth, AuthBase)
    assert PostResponseAuth.auth_attempted is False
    for abstract in (AuthBase, PreResponseAuth, PostResponseAuth):
        with pytest.raises(TypeError, match="abstract"):
            abstract()
    for hook in ("initial_headers", "on_response", "requires_body"):
        assert hook in vars(PostResponseAuth)
