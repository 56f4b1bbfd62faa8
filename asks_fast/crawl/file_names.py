"""File names for URLs.

`file_name` gives each URL a name of its own: its host and path where no other URL can have the
same, else with a mark made of the URL.

Invariants: two URLs never share a name. A name is valid on every common file system and stays below
        the output directory.
"""

from __future__ import annotations

import re
import sys

from .checkpoint import key_of
from .job import host_of

__all__ = ["file_name"]


def file_name(url: str, content_type: str = "") -> str:
    """Return a relative file name for a URL: readable, valid, and unique to this URL.

    It is the URL's own path where no other URL can have the same one (`_plain_name`); else a mark
    made of the URL is added to it.
    """
    plain = _plain_name(url)
    if plain is not None:
        return plain
    path = url.partition("://")[2].partition("/")[2]
    for end in "?#":
        path = path.partition(end)[0]
    pieces = [_safe_name(p) for p in path.split("/") if p and p not in (".", "..")][:12]
    last = pieces.pop() if pieces and not path.endswith("/") else "index"
    pieces = [piece + "_" if "." in piece else piece for piece in pieces]
    stem, dot, ending = last.rpartition(".")
    if not dot or not stem or len(ending) > 8:
        stem, ending = last, _SUFFIXES.get(content_type, "")
    mark = f"{key_of(url):016x}"[:12]
    end = f"-{mark}" + (f".{ending}" if ending else "")
    name = _truncate(stem, MAX_NAME - len(end.encode())) + end
    directories = [_directory_of(url, host_of(url)), *pieces]
    while sum(len(piece.encode()) for piece in directories) > MAX_DIRECTORIES:
        directories.pop()
    return "/".join([*directories, name])


_PLAIN_NAME = re.compile(r"(?!.*-[0-9a-f]{12}\.)[^.].*\.[A-Za-z0-9]{1,8}")
_FOLDS_CASE = sys.platform in ("darwin", "win32")


def _plain_name(url: str) -> str | None:
    """Return the name made of host and path alone, or None if another URL could have the same.

    Facts: one port speaks one protocol. A directory never has the name of a file: files have a
    suffix of letters and digits, and `file_name` adds `_` to directories with a dot.
    """
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    *directories, last = path.split("/")
    host = authority.partition(":")[0]
    is_forgettable = (
        scheme in ("http", "https")
        and authority == host_of(url)
        and host == _safe_name(host)
        and "_" not in host
        and len(directories) < 12
        and all(piece == _safe_name(piece) and "." not in piece for piece in directories)
        and last == _safe_name(last)
        and _PLAIN_NAME.fullmatch(last) is not None
        and not (_FOLDS_CASE and path != path.lower())
    )
    return f"{_directory_of(url, authority)}/{path}" if is_forgettable else None


def _directory_of(url: str, host: str) -> str:
    """Return the directory of a host: with the port, unless it is the default one of https."""
    is_default = url.startswith("http://") and not re.search(r":\d+$", host)
    return _safe_name(host + "_80" if host and is_default else host) or "nowhere"


MAX_NAME = 255  # bytes of one name in a directory, on nearly every file system
MAX_DIRECTORIES = 2048  # bytes of all directories of one file; a whole path may have 4,096

_SUFFIXES = {
    "text/html": "html",
    "application/json": "json",
    "text/plain": "txt",
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
    "application/xml": "xml",
    "text/css": "css",
}


def _safe_name(piece: str) -> str:
    """Return a name without characters that a file system treats specially."""
    kept = "".join(c if c.isalnum() or c in "-_.~@+=," else "_" for c in piece)
    return _truncate(kept.lstrip("."), MAX_NAME) or "_"


def _truncate(text: str, size: int) -> str:
    """Return as many characters of the text as `size` bytes of UTF-8 hold."""
    return text.encode()[:size].decode("utf-8", "ignore")
