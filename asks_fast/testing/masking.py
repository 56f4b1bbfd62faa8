"""Mask secrets in a recording.

Names decide, by `is_sensitive`: names of header fields, of query and form parameters, of multipart
parts and of JSON members. Everything below a sensitive name is masked. Literal strings are masked
wherever they appear, percent-encoded too. A cookie keeps its name and attributes, because a
replayed session needs them. In case of doubt a value is masked.

Names and values in running text are found by `masking_text`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from .._sensitive import MASK, is_sensitive
from . import masking_text

__all__ = ["MASK", "Mask"]

MAX_DEPTH = 5  # nested multipart bodies that are parsed

# Their values are challenges, not credentials.
_CHALLENGE_FIELDS = frozenset(
    ["www-authenticate", "proxy-authenticate", "authentication-info", "proxy-authentication-info"]
)


class Mask:
    """Masks secrets. `secrets` are literal strings, `names` further sensitive names."""

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        if isinstance(secrets, str) or isinstance(names, str):
            raise TypeError("secrets and secret_names are lists of strings")
        self._names = {_normalized(name) for name in names}
        literal = {
            form for one in secrets if one for form in (one, quote(one, ""), quote_plus(one))
        }
        self._literal = sorted(literal, key=len, reverse=True)  # the longest first

    def is_secret(self, name: str) -> bool:
        """Return whether the value of that name must be masked."""
        return is_sensitive(name) or _normalized(name) in self._names

    def text(self, text: str) -> str:
        """Mask the literal secrets in a text."""
        for secret in self._literal:
            text = text.replace(secret, MASK)
        return text

    def url(self, url: str) -> str:
        """Remove userinfo from a URL and mask sensitive parameters of query and fragment."""
        return self.text(masking_text.mask_urls(url, self.is_secret))

    def fields(self, pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Mask header fields; their order is kept."""
        return [[name, self._field(name, value)] for name, value in pairs]

    def body(self, data: bytes, content_type: str | None, depth: int = 0) -> bytes:
        """Mask a body: parts, parameters, members and URLs by their names, and literal secrets."""
        kind = (content_type or "").partition(";")[0].strip().lower()
        if kind.startswith("multipart/") and depth < MAX_DEPTH:
            return self._multipart(data, content_type or "", depth + 1)
        encoding = _text_encoding(data, kind)
        if encoding is None:
            for secret in self._literal:
                data = data.replace(secret.encode(), MASK.encode())
            return data
        text = data.decode(encoding)
        return self._mask_text(text, kind).encode(encoding, "backslashreplace")

    # -- internals

    def _mask_text(self, text: str, kind: str) -> str:
        if kind == "application/x-www-form-urlencoded":
            text = masking_text.mask_pairs(text, self.is_secret)
        else:
            text = masking_text.mask_json(text, self.is_secret)
            text = masking_text.mask_members(text, self.is_secret)
            text = masking_text.mask_tags(text, self.is_secret, is_xml=kind.endswith("xml"))
            text = masking_text.mask_urls(text, self.is_secret)
        return self.text(text)

    def _multipart(self, data: bytes, content_type: str, depth: int) -> bytes:
        """Mask parts by their names, and each other part as a body of its own type."""
        found = re.search(r'boundary=(?:"([^"]+)"|([^\s;]+))', content_type, re.IGNORECASE)
        if found:
            boundary = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
        else:
            boundary = data.lstrip().partition(b"\n")[0].rstrip()
        if not boundary.startswith(b"--"):
            return self.body(data, "text/plain")
        return boundary.join(self._part(part, depth) for part in data.split(boundary))

    def _part(self, part: bytes, depth: int) -> bytes:
        found = re.search(rb"\r?\n\r?\n", part)
        if found is None:
            return part
        head, content = part[: found.end()], part[found.end() :]
        end = re.search(rb"\r?\n?\Z", content)
        assert end is not None
        content, rest = content[: end.start()], content[end.start() :]
        names = re.findall(rb'\bname\*?=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', head, re.IGNORECASE)
        if any(self.is_secret((one or other).decode("latin-1")) for one, other in names):
            content = MASK.encode()
        else:
            kind = re.search(rb"content-type:[ \t]*([^\r\n]+)", head, re.IGNORECASE)
            content = self.body(content, kind[1].decode("latin-1") if kind else None, depth)
        return head + content + rest

    def _field(self, name: str, value: str) -> str:
        lower = name.lower()
        if lower in ("set-cookie", "set-cookie2"):
            pair, semicolon, attributes = value.partition(";")
            cookie, equals, _ = pair.partition("=")
            value = f"{cookie}{equals}{MASK if equals else ''}{semicolon}{attributes}"
        elif lower in _CHALLENGE_FIELDS:
            pass
        elif self.is_secret(name):
            value = MASK
        else:
            value = masking_text.mask_json(value, self.is_secret)
            value = masking_text.mask_urls(value, self.is_secret)
        return self.text(value)


def _text_encoding(data: bytes, kind: str) -> str | None:
    """Return the encoding of a text that gives the same bytes again, None for other data."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"]
    else:
        encodings = ["utf-8"]
    if kind.startswith("text/") or kind.endswith(("json", "xml", "urlencoded", "javascript")):
        encodings.append("latin-1")
    for encoding in encodings:
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return None


def _normalized(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
