"""Names whose values are credentials: of header fields, query and form pairs, JSON members.

One list decides what a redirect to another origin drops, and what logs and recordings mask.

Facts:  APIs spell one name in many ways: `X-Api-Key`, `api_key`, `apiKey`, `APIKEY`. A name is
        therefore split into lower-case words at punctuation and at capitals of camelCase.
Rules:  when in doubt, a name is sensitive. A word that is common in harmless names (`key`, `code`)
        counts only as the whole name, or together with the word before it (`api key`).
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["MASK", "drop_sensitive_pairs", "is_sensitive", "mask_pairs", "mask_urls"]

MASK = "***"
"""What stands in place of a sensitive value."""

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
        name: of a header field, a query or form pair, or a JSON member, in any spelling.
    """
    return _known(name) if len(name) <= _MAX_CACHED else _decide(name)


_MAX_CACHED = 64  # characters; a peer could fill the cache with longer names


def _decide(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    joined = "".join(words)
    return (
        joined in _NAMES
        or any(word in _WORDS or word.endswith(_ENDINGS) for word in words)
        or any(part in joined for part in _PARTS)
    )


_known = lru_cache(maxsize=1024)(_decide)


def drop_sensitive_pairs(query: str) -> str:
    """Leave the sensitive pairs out of a query: `a=1&token=x` becomes `a=1`."""
    return "&".join(pair for pair in query.split("&") if not _is_sensitive_pair(pair))


def mask_pairs(query: str) -> str:
    """Mask the sensitive values of a query: `a=1&token=x` becomes `a=1&token=***`."""
    return "&".join(
        f"{pair.partition('=')[0]}={MASK}" if _is_sensitive_pair(pair) else pair
        for pair in query.split("&")
    )


def mask_urls(text: str) -> str:
    """Mask the sensitive values in the queries and fragments of all URLs in a text."""
    return _QUERY.sub(lambda found: found[1] + mask_pairs(found[2]), text)


# A query or a fragment in running text: up to the end of the URL, without punctuation behind it.
_QUERY = re.compile(r"""([?#])([^\s?#"<>]*=(?:[^\s?#"<>]*[^\s?#"<>:,;.)'])?)""")


def _is_sensitive_pair(pair: str) -> bool:
    from urllib.parse import unquote_plus  # not loaded by every program

    name, equals, _ = pair.partition("=")
    return bool(equals) and is_sensitive(unquote_plus(name))
