"""Cookies: the import path of asks. The code is in the package `_cookies`."""

from __future__ import annotations

from ._cookies.cookie import Cookie, parse_cookies, parse_date, parse_set_cookie
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
