"""The list of sensitive names: header fields, query and form pairs, and JSON members.

The values of these names are credentials. A redirect to another origin drops them; logs and
recordings mask them.

Facts:  APIs spell one name in many ways: `X-Api-Key`, `api_key`, `apiKey`, `APIKEY`. A name is
        therefore split into lower-case words at punctuation and at capitals of camelCase.
Invariants:
        When in doubt, a name is sensitive. A word that is common in other names (`key`, `code`)
        counts only as the whole name, or together with the word before it (`api key`).
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["MASK", "drop_sensitive_pairs", "is_sensitive", "mask_pairs", "mask_urls"]

MASK = "***"
"""Replaces a sensitive value."""

# As the whole name only.
_NAMES = frozenset(["code", "fastlykey", "key", "xhoneycombteam"])

# As one word of the name.
_WORDS = frozenset(
    ["auth", "bearer", "csrf", "jwt", "otp", "pass", "pwd", "session", "sid", "sig", "totp", "xsrf"]
)

# At the end of a word: `X-TrackerToken`, `csrfmiddlewaretoken`; but not `max_tokens`.
_ENDINGS = ("token",)

# Anywhere in the name without its punctuation. 'credential' matches 'credentials' as well.
_PARTS = (
    "accesskey", "accountkey", "apikey", "authkey", "authorization", "clientassertion", "cookie",
    "credential", "encryptionkey", "functionskey", "masterkey", "passcode", "passphrase", "passwd",
    "password", "privatekey", "secret", "sessid", "sessionid", "sessionkey", "sharedkey",
    "signature", "signingkey", "subscriptionkey",
)  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def is_sensitive(name: str) -> bool:
    """Tell whether the value of this name is a credential.

    Args:
        name: name of a header field, a query or form pair, or a JSON member, in any spelling.
    """
    return _is_sensitive_cached(name) if len(name) <= _MAX_CACHED else _decide(name)


_MAX_CACHED = 64  # characters; a peer could fill the cache with longer names


def _decide(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    joined = "".join(words)
    return (
        joined in _NAMES
        or any(word in _WORDS or word.endswith(_ENDINGS) for word in words)
        or any(part in joined for part in _PARTS)
    )


_is_sensitive_cached = lru_cache(maxsize=1024)(_decide)


def drop_sensitive_pairs(query: str) -> str:
    """Remove the sensitive pairs from a query: `a=1&token=x` becomes `a=1`."""
    return "&".join(pair for pair in query.split("&") if not _is_sensitive_pair(pair))


def mask_pairs(query: str, mask: str = MASK) -> str:
    """Mask the sensitive values of a query: `a=1&token=x` becomes `a=1&token=***`."""
    return "&".join(
        f"{pair.partition('=')[0]}={mask}" if _is_sensitive_pair(pair) else pair
        for pair in query.split("&")
    )


def mask_urls(text: str, mask: str = MASK) -> str:
    """Mask the sensitive values in the queries and fragments of all URLs in a text."""
    return _QUERY.sub(lambda found: found[1] + mask_pairs(found[2], mask), text)


# A query or a fragment within a text: up to the end of the URL, without punctuation after it.
_QUERY = re.compile(r"""([?#])([^\s?#"<>]*=(?:[^\s?#"<>]*[^\s?#"<>:,;.)'])?)""")


def _is_sensitive_pair(pair: str) -> bool:
    from urllib.parse import unquote_plus  # most programs never need it

    name, equals, _ = pair.partition("=")
    return bool(equals) and is_sensitive(unquote_plus(name))
