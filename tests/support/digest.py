"""The inputs and outputs of an auth class, without a server."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import curio

from asks_fast.auth import parse_challenges


def request(path="/", method="GET", body=None, url="http://h", **headers):
    return SimpleNamespace(
        path=path, method=method, body=body, body_source=None, url=url + path, headers=dict(headers)
    )


def unauthorized(*challenges):
    return SimpleNamespace(headers={"WWW-Authenticate": list(challenges)})


def params(header):
    value = header["Authorization"]
    (challenge,) = parse_challenges(value.encode() if isinstance(value, str) else value)
    assert challenge.scheme == "digest"
    return challenge.params


def answer(auth, challenge, req=None):
    return curio.run(auth, unauthorized(challenge), req or request())


def accepted_answer(auth, challenge, req=None):
    """Return the credentials for a challenge, after the server accepted them."""
    req = req or request()
    req.headers = answer(auth, challenge, req)
    auth.on_response(SimpleNamespace(headers={}), req)
    return req.headers


def hasher(name):
    return lambda text: hashlib.new(name, text.encode()).hexdigest()
