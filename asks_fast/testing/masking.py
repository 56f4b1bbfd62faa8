"""What must not be written into a recording, and how it is masked.

Rules:  names decide, by `sensitive.is_sensitive`: of fields, query and form pairs, parts of a
        multipart body, members of JSON. What is below a secret name is masked whole. Literal
        strings are masked wherever they stand, percent-encoded too. A cookie keeps its name and
        attributes, for a replayed session needs them. When in doubt, more is masked.
Not here: how names and values are found in running text (`masking_text`); files, requests.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from .._sensitive import MASK, is_sensitive
from . import masking_text

__all__ = ["MASK", "Mask"]

MAX_DEPTH = 5  # multipart bodies within each other that are taken apart

# Their values are challenges, not credentials.
_CHALLENGE_FIELDS = frozenset(
    ["www-authenticate", "proxy-authenticate", "authentication-info", "proxy-authentication-info"]
)


class Mask:
    """Masks what is secret. `secrets` are literal strings, `names` further secret names."""

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        if isinstance(secrets, str) or isinstance(names, str):
            raise TypeError("secrets and secret_names are lists of strings")
        self._names = {_squeezed(name) for name in names}
        literal = {
            form for one in secrets if one for form in (one, quote(one, ""), quote_plus(one))
        }
        self._literal = sorted(literal, key=len, reverse=True)  # the longest first

    def is_secret(self, name: str) -> bool:
        """Whether the value of that name is to be masked."""
        return is_sensitive(name) or _squeezed(name) in self._names

    def text(self, text: str) -> str:
        """The literal secrets taken out."""
        for secret in self._literal:
            text = text.replace(secret, MASK)
        return text

    def url(self, url: str) -> str:
        """A URL without userinfo, secret pairs of the query and the fragment masked."""
        return self.text(masking_text.mask_urls(url, self.is_secret))

    def fields(self, pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Header fields, their order kept."""
        return [[name, self._field(name, value)] for name, value in pairs]

    def body(self, data: bytes, content_type: str | None, depth: int = 0) -> bytes:
        """A body: parts, pairs, members and URLs by their names, literal secrets of any text."""
        kind = (content_type or "").partition(";")[0].strip().lower()
        if kind.startswith("multipart/") and depth < MAX_DEPTH:
            return self._multipart(data, content_type or "", depth + 1)
        encoding = _text_encoding(data, kind)
        if encoding is None:
            for secret in self._literal:
                data = data.replace(secret.encode(), MASK.encode())
            return data
        text = data.decode(encoding)
        return self._text_of(text, kind).encode(encoding, "backslashreplace")

    # -- inside

    def _text_of(self, text: str, kind: str) -> str:
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


def _squeezed(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
