"""Authentication: the import path of asks. The code is in the package `_auth`."""

from __future__ import annotations

from ._auth.base import AuthBase, AuthRequest, AuthResponse, PostResponseAuth, PreResponseAuth
from ._auth.basic import BasicAuth, BearerAuth
from ._auth.challenges import Challenge, parse_challenges
from ._auth.digest_auth import DigestAuth

__all__ = [
    "AuthBase",
    "AuthRequest",
    "AuthResponse",
    "BasicAuth",
    "BearerAuth",
    "Challenge",
    "DigestAuth",
    "PostResponseAuth",
    "PreResponseAuth",
    "parse_challenges",
]
