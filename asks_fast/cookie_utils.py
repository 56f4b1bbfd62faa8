"""Cookies: the import path of asks, over the modules that do the work.

`Cookie` and the text of `Set-Cookie` are in `cookie_parse`, what is kept and sent in `cookie_jar`,
`cookies=` of a request in `cookie_given`, saved files in `cookie_files`.
"""

from __future__ import annotations

from typing import Any

from ._cookies.cookie import Cookie, parse_date, parse_set_cookie
from ._cookies.jar import CookieTracker
from ._cookies.request_cookies import cookie_header

__all__ = [
    "Cookie",
    "CookieTracker",
    "cookie_header",
    "parse_cookies",
    "parse_date",
    "parse_set_cookie",
]


def parse_cookies(response: Any, host: str) -> None:
    """Set `response.cookies` to what its `Set-Cookie` fields say, as asks did."""
    try:
        values = response.headers["set-cookie"]
    except KeyError:
        return
    if isinstance(values, (str, bytes)):
        values = [values]
    found = (parse_set_cookie(value, host) for value in values)
    response.cookies = [cookie for cookie in found if cookie is not None]
