"""Decode the text of a body: one decoder for whole and streamed text.

Facts:  Python's codec registry also contains codecs that take quadratic time (punycode, idna,
        utf-7) or do not decode text (rot13). It imports a module for each name that it looks up.
        The incremental decoders of the ISO 2022 family fail if a piece ends with an unfinished
        escape sequence of more than 8 bytes.
Invariants:
        A name that a server sent is looked up in `SERVER_CODECS` and reaches the registry only if
        it is there. A name that the caller gave may be any text codec. A byte order mark is never
        part of the text. Streamed text equals whole text, however the bytes are split.

Implemented elsewhere: parsing of Content-Type (`header_values`).
"""

from __future__ import annotations

import codecs
from functools import lru_cache

from .._extras import missing_extra
from ..errors import DecodingError, UnknownEncoding, truncated_repr

__all__ = ["SERVER_CODECS", "TextDecoder", "codec_for", "decode", "detector", "text_codec"]


def decode(
    data: bytes,
    charset: str | None = None,
    fallback: str = "utf-8",
    *,
    detect: bool = False,
    errors: str = "replace",
) -> str:
    """Decode the whole text of a body.

    Args:
        data: the body, decompressed.
        charset: the codec of the text: what `codec_for` returns for a name that a server sent, or
            any text codec that the caller chose. If it is None, a byte order mark decides.
        fallback: codec for a body without charset and byte order mark.
        detect: inspect such a body before `fallback` is used: UTF-8 if it is valid, else what its
            `<meta charset>` or XML declaration says, else a guess. Needs the `charset` extra.
        errors: "replace" turns undecodable bytes into U+FFFD, "strict" raises for them.

    Raises:
        UnknownEncoding: `charset` or `fallback` is not a text codec.
        UnicodeDecodeError: the bytes do not fit and `errors` is "strict".
        ModuleNotFoundError: `detect` without the extra.
    """
    if charset == "utf-8" and data[:1] not in _FIRST_OF_MARKS:
        return data.decode("utf-8", errors)
    codec, mark = _codec_and_mark(data, charset)
    if codec is None:
        codec = (detect and _detect(data)) or _without_mark(text_codec(fallback))
    body = data[mark:] if mark else data
    try:
        return body.decode(codec, errors)
    except UnicodeError as error:
        if errors == "strict":
            raise
        raise _undecodable(error, codec) from error


class TextDecoder:
    """Decode the text of a body that is given in pieces of any size.

    Arguments and errors are those of `decode`; the text of a stream is not inspected (`detect`).
    """

    __slots__ = ("_charset", "_codec", "_decoder", "_errors", "_fallback", "_held")

    def __init__(
        self, charset: str | None = None, fallback: str = "utf-8", *, errors: str = "replace"
    ) -> None:
        self._charset = None if charset is None else text_codec(charset)
        self._fallback = text_codec(fallback)
        self._errors = errors
        self._held = b""  # may be the start of a byte order mark or of an escape sequence
        self._codec = ""
        self._decoder: codecs.IncrementalDecoder | None = None

    def decode(self, data: bytes, final: bool = False) -> str:
        """Return the text that became complete with `data`; `final` says that no more follows."""
        data = self._held + data
        self._held = b""
        if self._decoder is None:
            if not final and any(mark != data and mark.startswith(data) for _, mark in _MARKS):
                self._held = data
                return ""
            codec, length = _codec_and_mark(data, self._charset)
            self._codec = codec or _without_mark(self._fallback)
            self._decoder = codecs.getincrementaldecoder(self._codec)(self._errors)
            data = data[length:]
        if not final and self._codec.startswith("iso2022"):
            end = _end_of_escapes(data)
            final = len(data) - end > _MAX_HELD  # not text: the unfinished part becomes U+FFFD
            if not final:
                data, self._held = data[:end], data[end:]
        try:
            return self._decoder.decode(data, final)
        except UnicodeError as error:
            if self._errors == "strict":
                raise
            raise _undecodable(error, self._codec) from error


_MAX_ESCAPE = 16  # bytes in which Python looks for the end of an escape sequence
_MAX_HELD = 1024  # bytes of nested escape sequences that are held back


def _end_of_escapes(data: bytes) -> int:
    """Return where to split ISO 2022 text so that no escape sequence is divided."""
    end = len(data)
    while (escape := data.find(b"\x1b", max(0, end - _MAX_ESCAPE + 1), end)) >= 0:
        end = escape
    return end


def _undecodable(error: UnicodeError, codec: str) -> DecodingError:
    """Return the error for a codec, such as idna, that does not replace undecodable bytes."""
    return DecodingError(f"the text cannot be decoded as {codec}: {truncated_repr(str(error))}")


# -- byte order marks

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    ("utf-32-le", codecs.BOM_UTF32_LE),
    ("utf-32-be", codecs.BOM_UTF32_BE),
    ("utf-8", codecs.BOM_UTF8),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
)
_FIRST_OF_MARKS = (b"\xef", b"\xff", b"\xfe", b"\0")


def _codec_and_mark(data: bytes, charset: str | None) -> tuple[str | None, int]:
    """Return the codec of a text that begins with `data`, and the length of its byte order mark.

    The codec is None without a charset and a mark. A mark of another family than `charset` is data.
    """
    if charset is not None:
        charset = text_codec(charset)
        if not charset.startswith("utf-"):
            return charset, 0
    for codec, mark in _MARKS if data[:1] in _FIRST_OF_MARKS else ():
        if data.startswith(mark) and (charset is None or codec.startswith(charset)):
            return codec, len(mark)
    return None if charset is None else _without_mark(charset), 0


def _without_mark(codec: str) -> str:
    """Return the codec for a text without byte order mark: little-endian, as in browsers."""
    return f"{codec}-le" if codec in ("utf-16", "utf-32") else codec


# -- names of codecs

SERVER_CODECS = frozenset(
    """
    utf_8 utf_8_sig utf_16 utf_16_le utf_16_be utf_32 utf_32_le utf_32_be ascii latin_1
    iso8859_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9
    iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16
    cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
    cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp864
    cp865 cp866 cp869 cp874 cp1006 cp1125 tis_620 hp_roman8 koi8_r koi8_t koi8_u kz1048 ptcp154
    mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2 mac_roman
    mac_romanian mac_turkish
    gb2312 gbk gb18030 hz big5 big5hkscs cp950
    cp932 shift_jis shift_jis_2004 shift_jisx0213 euc_jp euc_jis_2004 euc_jisx0213
    iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3 iso2022_jp_2004 iso2022_jp_ext iso2022_kr
    cp949 euc_kr johab
    """.split()  # noqa: SIM905
)
"""The modules of Python's `encodings` that a server may name. Each decodes in linear time, replaces
undecodable bytes, and returns the same text however the bytes are split."""

# Labels of the WHATWG Encoding Standard that Python lacks, or for which browsers use a superset.
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


@lru_cache(maxsize=256)
def codec_for(label: str) -> str | None:
    """Return the codec for a label that a server sent, None unless it is in `SERVER_CODECS`."""
    from encodings import aliases, normalize_encoding

    label = label.strip().lower()
    if not label or len(label) > 40 or not label.isascii():
        return None
    name = normalize_encoding(_WEB_LABELS.get(label, label))
    name = aliases.aliases.get(name) or aliases.aliases.get(name.replace(".", "_")) or name
    return text_codec(name) if name in SERVER_CODECS else None


@lru_cache(maxsize=256)
def text_codec(name: str) -> str:
    """Return the canonical name of a text codec that the caller chose.

    Raises:
        UnknownEncoding: Python has no such codec, or it does not decode bytes to text.
    """
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise UnknownEncoding(f"unknown text encoding: {truncated_repr(name)}")
    return "utf-8" if found.name == "utf-8-sig" else found.name


# -- text without charset and byte order mark

_DETECT_BYTES = 1 << 18  # more text does not improve the guess


def _detect(data: bytes) -> str | None:
    """Return the codec found by inspection: UTF-8, the declared one, or a guess; None if none."""
    from_bytes = detector()
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    declared = _find_declared_charset(data[:1024])
    if declared is not None:
        return _without_mark(declared)
    sample = data
    if len(data) > _DETECT_BYTES:  # split at a line, not within a character
        sample = data[: data.rfind(b"\n", 0, _DETECT_BYTES) + 1] or data[:_DETECT_BYTES]
    best = from_bytes(sample, cp_exclusion=["utf_7"]).best()  # type: ignore[operator]
    guess = None if best is None else codec_for(best.encoding)
    return None if guess is None else _without_mark(guess)


def detector() -> object:
    """Return `charset_normalizer.from_bytes`.

    Raises:
        ModuleNotFoundError: the `charset` extra is not installed.
    """
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        raise ModuleNotFoundError(
            missing_extra("detecting the charset of a text", "charset-normalizer", "charset")
        ) from None
    return from_bytes


def _find_declared_charset(start: bytes) -> str | None:
    """Return the charset that the text declares: `<meta charset=…>` or `<?xml encoding=…?>`."""
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
