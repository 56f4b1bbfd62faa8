"""Which encoding a text is in: names from strangers, marks, declarations, guesses.

Facts:  `codecs` imports a module per name it is asked for and remembers each unknown name for
        ever; among Python's text encodings are some that take quadratic time (idna, punycode)
        and some that are no charset (unicode_escape).
Rules:  a name is checked against the encodings that Python has before `codecs` sees it. Where
        browsers read a label as a superset (gb2312 as gb18030), so do we.
Not here: what a Content-Type says, and the order of precedence (http_utils.py).
"""

from __future__ import annotations

from functools import lru_cache


def charset_of_mark(data: bytes) -> str | None:
    """The Unicode encoding whose byte order mark the data begins with."""
    if data.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return None


_DETECT_BYTES = 1 << 18  # a guess does not get better with more of the text


def detect_text(data: bytes, fallback: str) -> str:
    """The text of a body that nobody named a charset for: looked into, then guessed.

    UTF-8 if it is valid, else what the text declares, else the guess of charset-normalizer, else
    `fallback`.

    Raises:
        ModuleNotFoundError: the `charset` extra is not installed.
    """
    from_bytes = detector()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    charset = _declared(data[:1024])
    if charset is None:
        sample = data
        if len(data) > _DETECT_BYTES:  # cut at a line, not within a character
            sample = data[: data.rfind(b"\n", 0, _DETECT_BYTES) + 1] or data[:_DETECT_BYTES]
        best = from_bytes(sample).best()  # type: ignore[operator]
        charset = best.encoding if best is not None else fallback
    return data.decode(charset, "replace")


def detector() -> object:
    """`charset_normalizer.from_bytes`, or an error that says how to get it."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        raise ModuleNotFoundError(
            "detecting the charset of a text needs charset-normalizer:"
            ' pip install "asks-fast[charset]"'
        ) from None
    return from_bytes


def _declared(start: bytes) -> str | None:
    """The charset that the text names itself, in `<meta charset=…>` or `<?xml encoding=…?>`."""
    import re

    text = start.decode("latin-1").lower()
    for tag, name in (("<?xml", "encoding"), ("<meta", "charset")):
        at = text.find(tag)
        while at >= 0:
            end = text.find(">", at)
            element = text[at : end if end >= 0 else len(text)]
            _, is_there, value = element.partition(name)
            value = value.lstrip()
            if is_there and value.startswith("="):
                value = value[1:].lstrip(" \t\r\n\"'")
                return codec_for(re.split(r"[\s\"';/?>]", value, maxsplit=1)[0])
            at = text.find(tag, at + 1)
    return None


# Labels of the WHATWG encoding standard that Python lacks, or for which browsers take a superset.
_WEB_LABELS = {
    "windows-874": "cp874",
    "dos-874": "cp874",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "x-euc-jp": "euc_jp",
    "x-x-big5": "big5hkscs",
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-8-e": "iso8859_8",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "unicode-1-1-utf-8": "utf_8",
}

# Python calls these encodings of text; some take quadratic time, none is a charset of the web.
_NO_CHARSETS = frozenset(
    ["idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"]
)


@lru_cache(maxsize=256)
def codec_for(label: str) -> str | None:
    """The Python encoding that a server means by this label, None if there is no such thing.

    Names are checked before `codecs` sees them: it remembers each unknown one for ever.
    """
    label = label.strip().lower()
    if not label or len(label) > 40 or not label.isascii():
        return None
    if label in _WEB_LABELS:
        return _WEB_LABELS[label]
    import codecs
    from encodings import normalize_encoding

    name = normalize_encoding(label)
    if name not in _python_encodings():
        return None
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    is_text = getattr(codec, "_is_text_encoding", True)
    return codec.name if is_text and codec.name.replace("-", "_") not in _NO_CHARSETS else None


@lru_cache(maxsize=1)
def _python_encodings() -> frozenset[str]:
    import encodings
    from encodings.aliases import aliases
    from pkgutil import iter_modules

    modules = (module.name for module in iter_modules(encodings.__path__))
    return frozenset([*aliases, *aliases.values(), *modules]) - {"aliases"}
