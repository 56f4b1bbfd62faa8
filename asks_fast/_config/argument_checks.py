"""Checks of single arguments: which values each one takes.

A value of a wrong type is an `InvalidRequest` at the call, also if it is empty or 0: `cache=""`
does not mean "no cache", and `fingerprint=[]` must not turn off the check of a fingerprint.

Values are shown in errors only if they cannot hold a secret.

Implemented elsewhere: rules for numbers of seconds, and for arguments that exclude each other
(`options`); what is inside a mapping or a list, where it is used.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import InvalidRequest, UnknownEncoding, printable, truncated_repr

__all__ = ["check_arguments", "describe", "is_number"]

Check = Callable[[Any], bool]


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check each argument that has an entry in the table.

    Raises:
        InvalidRequest: a value is invalid. `UnknownEncoding` for the name of an encoding.
    """
    for name, value in given.items():
        if type(value) in _VALID_TYPES.get(name, ()):
            continue
        known = _CHECKS.get(name)
        if known is not None and not known[0](value):
            hint = ""
            if name == "cache" and isinstance(value, (str, os.PathLike)) and value:
                hint = f"; a file is given by Cache({printable(repr(value), 80)})"
            raise InvalidRequest(f"{name} must be {known[1]}, not {describe(value)}{hint}")


def describe(value: object) -> str:
    """Return a value as errors show it: numbers and empty values as they are, else the type."""
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    if type(value) in (str, bytes, tuple, list, dict, set) and not value:
        return repr(value)
    return f"a {type(value).__name__}"


def is_number(value: Any) -> bool:
    """Return whether a value is an int or a float; True and False are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)


def _is_flag_or_none(value: Any) -> bool:
    return value is None or _is_flag(value)


def _is_function(value: Any) -> bool:
    return value is None or callable(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_positive_count(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_limit(value: Any) -> bool:
    return value is None or _is_count(value)


def _is_duration(value: Any) -> bool:
    return is_number(value) and value >= 0  # False for NaN


def _is_duration_or_none(value: Any) -> bool:
    return value is None or _is_duration(value)


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


def _is_str_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_name(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(value))


def _is_encoding(value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        is_known = codecs.lookup(value)._is_text_encoding
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        is_known = False
    if not is_known:
        raise UnknownEncoding(f"unknown text encoding: {truncated_repr(value)}")
    return True


def _is_encoding_or_none(value: Any) -> bool:
    return value is None or _is_encoding(value)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and bool(os.fspath(value))


def _is_mapping(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _is_form(value: Any) -> bool:
    return value is None or (isinstance(value, Iterable) and not isinstance(value, (str, bytes)))


def _is_params(value: Any) -> bool:
    return value is None or (
        isinstance(value, Iterable) and not isinstance(value, (set, frozenset))
    )


def _is_list_of_names(value: Any) -> bool:
    return (
        isinstance(value, Iterable)
        and not isinstance(value, (str, bytes))
        and all(isinstance(name, str) for name in value)
    )


def _is_expectation(value: Any) -> bool:
    return value is None or isinstance(value, bool) or _is_duration(value)


def _is_rate(value: Any) -> bool:
    return value is None or (value > 0 if is_number(value) else hasattr(value, "delay_after"))


def _is_ratio(value: Any) -> bool:
    return value is None or (is_number(value) and value > 0)


def _is_retries(value: Any) -> bool:
    return _is_count(value) or hasattr(value, "delay_before_next")


def _is_auth(value: Any) -> bool:
    return value is None or (isinstance(value, tuple) and len(value) == 2) or callable(value)


def _is_jar(value: Any) -> bool:
    return value is None or isinstance(value, bool) or hasattr(value, "header_for")


def _is_cache(value: Any) -> bool:
    return value is None or isinstance(value, bool) or hasattr(value, "attach")


def _is_fingerprint(value: Any) -> bool:
    return value is None or isinstance(value, Iterable)


def _is_resolver(value: Any) -> bool:
    return value is None or callable(value) or callable(getattr(value, "resolve", None))


def _is_cert(value: Any) -> bool:
    return value is None or isinstance(value, (tuple, list)) or _is_path(value)


def _is_tls_context(value: Any) -> bool:
    return value is None or hasattr(value, "wrap_bio")


def _is_address(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return len(value) == 2 and isinstance(value[0], str) and _is_count(value[1])
    return _is_name(value)


def _are_socket_options(value: Any) -> bool:
    return isinstance(value, (tuple, list, set, frozenset)) and all(
        isinstance(option, (tuple, list)) and len(option) in (3, 4) for option in value
    )


_FLAG = (_is_flag, "True or False")
_OPTIONAL_FLAG = (_is_flag_or_none, "True or False")
_FUNCTION = (_is_function, "a function or None")
_LIMIT = (_is_limit, "a whole number, 0 or more, or None for no limit")
_SECONDS = (_is_duration, "a number of seconds, 0 or more")
_FORM = (_is_form, "a mapping, a list of (name, value) pairs or None")

_CHECKS: dict[str, tuple[Check, str]] = {
    # of a request, or of a session
    "allow_truncated": _OPTIONAL_FLAG,
    "auth": (_is_auth, "an auth object, a pair (user, password) or None"),
    "auth_off_domain": _OPTIONAL_FLAG,
    "callback": _FUNCTION,
    "cookies": (_is_mapping, "a mapping or None"),
    "decompress": _FLAG,
    "detect_encoding": _OPTIONAL_FLAG,
    "encoding": (_is_encoding_or_none, "the name of a text encoding"),
    "expect_continue": (_is_expectation, "True, False or a number of seconds"),
    "files": _FORM,
    "follow_redirects": _OPTIONAL_FLAG,
    "json_dumps": _FUNCTION,
    "json_loads": _FUNCTION,
    "keep_framing": _OPTIONAL_FLAG,
    "max_body": _LIMIT,
    "max_decompressed": _LIMIT,
    "max_ratio": (_is_ratio, "a number above 0 or None"),
    "max_redirects": (_is_count, "a whole number, 0 or more"),
    "mimetype": (_is_str_or_none, "a str or None"),
    "multipart": _FORM,
    "normalize_url": _FLAG,
    "params": (_is_params, "a mapping, a list of pairs, a str, bytes or None"),
    "path": (_is_str, "a str"),
    "persist_cookies": (_is_jar, "True, False, a CookieTracker or None"),
    "retries": (_is_retries, "a whole number, 0 or more, or a Retry"),
    "sensitive_headers": (_is_list_of_names, "a list of field names"),
    "stream": _OPTIONAL_FLAG,
    "strict": _OPTIONAL_FLAG,
    "timings": _OPTIONAL_FLAG,
    "upload_max_rate": (_is_rate, "bytes per second above 0, a BandwidthLimit or None"),
    "upload_progress": _FUNCTION,
    # of connections
    "cert": (_is_cert, "a path, a tuple of certificate, key and password, or None"),
    "dns_negative_ttl": _SECONDS,
    "dns_ttl": _SECONDS,
    "fingerprint": (_is_fingerprint, "a SHA-256 digest, a list of them or None"),
    "happy_eyeballs_delay": _SECONDS,
    "hosts": (_is_mapping, "a mapping of names to addresses or None"),
    "keepalive": (_is_duration_or_none, "a number of seconds or None"),
    "resolver": (_is_resolver, "an async function, an object with such a method resolve, or None"),
    "server_hostname": (_is_name, "a host name or None"),
    "socket_options": (_are_socket_options, "a list of (level, option, value) tuples"),
    "source_address": (_is_address, "an IP address, a pair (IP address, port) or None"),
    "ssl_context": (_is_tls_context, "an ssl.SSLContext or None"),
    "trust_env": _OPTIONAL_FLAG,
    # of the pool and the parser
    "buffer_size": (_is_positive_count, "a number of bytes, 1 or more"),
    "connections_per_host": (_is_count, "a whole number, 0 or more"),
    "idle_timeout": (_is_duration_or_none, "a number of seconds, 0 or more, or None"),
    "max_connection_age": _SECONDS,
    "max_header_size": (_is_positive_count, "a number of bytes, 1 or more"),
    "max_headers": (_is_count, "a whole number, 0 or more"),
    "max_informational": (_is_count, "a whole number, 0 or more"),
    "max_requests_per_connection": (_is_count, "a whole number, 0 or more"),
    # of a session only
    "cache": (_is_cache, "True, False, a Cache or None"),
    "endpoint": (_is_str_or_none, "a path or None"),
}

_NONE = type(None)
# Types whose values are all valid: most arguments need no call of their check.
_VALID_TYPES: dict[str, tuple[type, ...]] = {
    **{name: (bool, _NONE) for name, check in _CHECKS.items() if check is _OPTIONAL_FLAG},
    **{name: (bool,) for name, check in _CHECKS.items() if check is _FLAG},
    **{name: (dict, list, _NONE) for name, check in _CHECKS.items() if check is _FORM},
    "cookies": (dict, _NONE),
    "mimetype": (str, _NONE),
    "params": (dict, list, tuple, str, bytes, _NONE),
    "path": (str,),
    "persist_cookies": (bool, _NONE),
}
