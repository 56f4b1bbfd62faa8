"""Read and write cookie files: Netscape's `cookies.txt`, and JSON.

Facts:  curl, wget, yt-dlp and browser extensions read and write `cookies.txt`: seven fields
        separated by tabs, and `#HttpOnly_` in front of the domain. It has no SameSite. JSON keeps
        all attributes.
Invariants:
        A file is read completely or not at all: no cookie of a file with a malformed entry or an
        overlong line is used. Host-only and the absolute expiry time are preserved. A new file has
        mode 0600 and replaces the old one by a rename, so that no other program sees an incomplete
        file. Never pickle.

Implemented elsewhere: which cookies are stored and sent (`jar`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

from .._hotpath import octets
from .._url.host import is_ip
from ..errors import BadCookieFile, InvalidURL, truncated_repr
from .cookie import MAX_ATTRIBUTE, MAX_COOKIE, Cookie
from .matching import canonical_domain

__all__ = ["read_cookies", "write_cookies"]

MAX_FILE = 16 * 1024 * 1024  # bytes
MAX_LINE = 8192  # bytes

_HEADER = "# Netscape HTTP Cookie File\n# Written by asks_fast. These lines are passwords.\n\n"
_HTTPONLY = "#HttpOnly_"
_FLAGS = {"TRUE": True, "FALSE": False}
_FORMATS = ("netscape", "json")
_MAX_EXPIRY = 253402300800.0  # start of the year 10000


def _resolve_format(path: str | os.PathLike[str], format: str | None) -> str:
    if format is None:
        return "json" if os.fspath(path).endswith(".json") else "netscape"
    if format not in _FORMATS:
        raise ValueError(f"format must be 'netscape' or 'json', not {format!r}")
    return format


def write_cookies(
    path: str | os.PathLike[str], cookies: Iterable[Cookie], format: str | None = None
) -> None:
    """Write cookies to a file of mode 0600. The file is replaced when all is written.

    A Netscape file cannot contain a cookie with a tab in its name; such a cookie is omitted.
    """
    encode = _to_json if _resolve_format(path, format) == "json" else _to_netscape
    content = encode(cookies)
    target = os.fspath(path)
    temporary = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_cookies(path: str | os.PathLike[str], format: str | None = None) -> list[Cookie]:
    """Return the cookies of a file, in its order.

    Raises:
        BadCookieFile: the file is malformed or too long.
        OSError: the file cannot be read.
    """
    kind = _resolve_format(path, format)
    with open(path, "rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise BadCookieFile(f"{os.fspath(path)}: longer than {MAX_FILE} bytes")
    try:
        return _from_json(content) if kind == "json" else _from_netscape(content)
    except BadCookieFile as err:
        raise BadCookieFile(f"{os.fspath(path)}: {err}") from err


# -- Netscape


def _to_netscape(cookies: Iterable[Cookie]) -> bytes:
    lines = [_HEADER]
    for cookie in cookies:
        fields = (
            cookie.effective_domain if cookie.host_only else "." + cookie.effective_domain,
            "FALSE" if cookie.host_only else "TRUE",
            cookie.scope_path,
            "TRUE" if cookie.secure else "FALSE",
            str(int(cookie.expires_at or 0)),
            cookie.name,
        )
        if not any("\t" in field for field in fields):
            front = _HTTPONLY if cookie.httponly else ""
            lines.append(front + "\t".join((*fields, cookie.value)) + "\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _from_netscape(content: bytes) -> list[Cookie]:
    cookies = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        if len(raw) > MAX_LINE:
            raise BadCookieFile(f"line {number} is longer than {MAX_LINE} bytes")
        line = raw.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        httponly = line.startswith(_HTTPONLY)
        if httponly:
            line = line[len(_HTTPONLY) :]
        elif line.startswith("#") or not line.strip():
            continue
        try:
            cookies.append(_from_fields(line, httponly))
        except BadCookieFile as err:
            raise BadCookieFile(f"line {number}: {err}") from err
    return cookies


def _from_fields(line: str, httponly: bool) -> Cookie:
    fields = line.split("\t", 6)
    if len(fields) == 6:
        fields.append("")  # some writers omit the tab before an empty value
    if len(fields) != 7:
        raise BadCookieFile(f"{len(fields)} fields separated by tabs, not 7")
    domain, subdomains, path, secure, expires, name, value = fields
    if subdomains.upper() not in _FLAGS or secure.upper() not in _FLAGS:
        raise BadCookieFile("fields 2 and 4 must be TRUE or FALSE")
    try:
        seconds = float(expires or 0)
    except ValueError:
        seconds = _MAX_EXPIRY + 1
    if expires.strip("-.0123456789"):
        raise BadCookieFile(f"{truncated_repr(expires)} is not a time in seconds")
    return _make(
        name=name,
        value=value,
        domain=domain,
        host_only=not _FLAGS[subdomains.upper()],
        path=path,
        secure=_FLAGS[secure.upper()],
        expires_at=seconds if seconds > 0 else None,
        httponly=httponly,
    )


# -- JSON


def _to_json(cookies: Iterable[Cookie]) -> bytes:
    import json

    entries = [
        {
            "name": cookie.name,
            "value": cookie.value,
            "domain": cookie.effective_domain,
            "host_only": cookie.host_only,
            "path": cookie.scope_path,
            "secure": bool(cookie.secure),
            "httponly": cookie.httponly,
            "samesite": cookie.samesite,
            "expires_at": cookie.expires_at,
        }
        for cookie in cookies
    ]
    return (json.dumps({"version": 1, "cookies": entries}, indent=1) + "\n").encode()


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "value": (str,),
    "domain": (str,),
    "host_only": (bool,),
    "path": (str,),
    "secure": (bool,),
    "httponly": (bool,),
    "samesite": (str, type(None)),
    "expires_at": (int, float, type(None)),
}


def _from_json(content: bytes) -> list[Cookie]:
    import json

    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as err:
        raise BadCookieFile(f"not JSON: {err}") from err
    entries = found.get("cookies") if isinstance(found, dict) else None
    if not isinstance(entries, list) or found.get("version") != 1:
        raise BadCookieFile('must be {"version": 1, "cookies": [...]}')
    cookies = []
    for number, entry in enumerate(entries, 1):
        try:
            cookies.append(_from_entry(entry))
        except BadCookieFile as err:
            raise BadCookieFile(f"cookie {number}: {err}") from err
    return cookies


def _from_entry(entry: object) -> Cookie:
    if not isinstance(entry, dict) or set(entry) != set(_JSON_TYPES):
        raise BadCookieFile(f"must be an object with {', '.join(_JSON_TYPES)}")
    for key, types in _JSON_TYPES.items():
        value = entry[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise BadCookieFile(f"{key!r} has the wrong type: {truncated_repr(str(value))}")
    return _make(**entry)


# -- both formats


def _make(
    *,
    name: str,
    value: str,
    domain: str,
    host_only: bool,
    path: str,
    secure: bool,
    expires_at: float | None,
    httponly: bool,
    samesite: str | None = None,
) -> Cookie:
    """Check the values of a file and return the cookie."""
    for text in (name, value, path, samesite or ""):
        if any((c < " " and c != "\t") or c == "\x7f" for c in text):
            raise BadCookieFile("contains a control character")
    if not (name or value) or ";" in name + value or "=" in name:
        raise BadCookieFile(f"cookie {truncated_repr(name)} cannot be sent")
    try:
        length = octets(name) + octets(value)
        octets(path)
        host = canonical_domain(domain)
    except (UnicodeError, InvalidURL) as err:
        raise BadCookieFile(
            f"cookie {truncated_repr(name)} of {truncated_repr(domain)}: {err}"
        ) from err
    if length > MAX_COOKIE or len(path) > MAX_ATTRIBUTE or not path.startswith("/"):
        raise BadCookieFile(
            f"cookie {truncated_repr(name)} is too long, or its path does not start with '/'"
        )
    if expires_at is not None and not 0 <= expires_at <= _MAX_EXPIRY:
        raise BadCookieFile(f"cookie {truncated_repr(name)}: expiry {expires_at:g} is out of range")
    host_only = host_only or is_ip(host)
    data: dict[str, Any] = {"name": name, "value": value, "path": path, "secure": secure}
    if not host_only:
        data["domain"] = host
    if httponly:
        data["httponly"] = True
    if samesite is not None:
        data["samesite"] = samesite
    cookie = Cookie(host, data)
    cookie.expires_at = None if expires_at is None else float(expires_at)
    return cookie
