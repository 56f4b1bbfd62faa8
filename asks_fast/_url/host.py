"""Validate the host of a URL and convert it to its canonical form.

Invariants:
        The result is lower-case ASCII; an IPv6 address has no brackets.
        An IP address is accepted only in its canonical form, so that filters and resolvers cannot
        read it in two ways: `127.1`, `0x7f.0.0.1` and `2130706433` are rejected.
        International names are mapped by UTS 46, non-transitional (`faß.de` is not `fass.de`). An
        `xn--` label must decode and encode to itself, and must not decode to ASCII.
        Escapes are decoded once, and the result must be a host; so `%2F` is rejected.
        Lengths are checked before a table or codec is used.

Implemented elsewhere: name resolution (`_transport/dns_cache`).
"""

from __future__ import annotations

import socket

from ..errors import InvalidURL, printable

__all__ = ["canonical_host", "canonical_ipv6", "is_ip"]

MAX_HOST = 253  # RFC 1035 §2.3.4, less the root's empty label
MAX_LABEL = 63

_HOST_SAFE = b"abcdefghijklmnopqrstuvwxyz0123456789-._"
_ZONE_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" + _HOST_SAFE + b"~"
_MAX_ZONE = 32
_JOINERS = frozenset("\u200c\u200d")
_DIGITS = frozenset("0123456789")


def is_ip(host: str) -> bool:
    """Tell whether a host in canonical form is an IP address."""
    return ":" in host or _ends_in_number(host)


def _ends_in_number(host: str) -> bool:
    """Tell whether a resolver may treat the host as an IPv4 address (WHATWG URL §3.6)."""
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdigit() or (last.startswith("0x") and _is_hex(last[2:]))


def _is_hex(text: str) -> bool:
    return not text.strip("0123456789abcdef")


def _is_canonical_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(
        0 < len(part) <= 3
        and _DIGITS.issuperset(part)
        and int(part) <= 255
        and (part == "0" or part[0] != "0")
        for part in parts
    )


def canonical_host(text: str) -> str:
    """Return a host in canonical form: a name in lower-case A-labels, or an IPv4 address.

    Args:
        text: a name or an IPv4 address as written in a URL, escapes allowed. For an address in
            brackets see `canonical_ipv6`.

    Raises:
        InvalidURL: the host is invalid. The text says why, without the URL.
    """
    if not text:
        raise InvalidURL("the host is missing")
    if "%" in text:
        text = _decode_escapes(text)
    if len(text) > MAX_HOST + 1:
        raise InvalidURL(f"the host is {len(text)} characters long, more than {MAX_HOST}")
    host = text.lower() if text.isascii() else _map_uts46(text)
    labels = host.split(".")
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()  # the dot of the DNS root is legal and is kept
    for i, label in enumerate(labels):
        if not label.isascii() or label.startswith("xn--"):
            labels[i] = label = _to_a_label(label)
        if not label:
            raise InvalidURL("the host has an empty label (two dots, or a leading one)")
        if len(label) > MAX_LABEL:
            raise InvalidURL(f"a label of the host is longer than {MAX_LABEL} characters")
    name = ".".join(labels)
    if len(name) > MAX_HOST:
        raise InvalidURL(f"the host is longer than {MAX_HOST} characters")
    if bad := name.encode().translate(None, _HOST_SAFE):
        raise InvalidURL(f"the host must not contain {bad[:1].decode()!r}")
    has_root_dot = host.endswith(".")
    if _ends_in_number(name) and (has_root_dot or not _is_canonical_ipv4(name)):
        raise InvalidURL("the host looks like an IPv4 address but is not four decimal numbers")
    return name + "." if has_root_dot else name


def canonical_ipv6(text: str) -> str:
    """Return an IPv6 address in canonical form, with its zone.

    Args:
        text: the text between the brackets. A zone (`%25eth0`, RFC 6874, or `%eth0`) is accepted
            on link-local addresses only.

    Raises:
        InvalidURL: the text is not such an address.
    """
    address, percent, zone = text.partition("%")
    try:
        packed = socket.inet_pton(socket.AF_INET6, address)
    except (OSError, UnicodeError) as err:
        raise InvalidURL("only an IPv6 address may be in brackets") from err
    host = socket.inet_ntop(socket.AF_INET6, packed)
    if not percent:
        return host
    if zone.startswith("25"):
        zone = zone[2:]
    legal = not zone.encode("utf-8", "replace").translate(None, _ZONE_SAFE)
    if not legal or not 0 < len(zone) <= _MAX_ZONE:
        raise InvalidURL("the zone of the IPv6 address is empty, too long or not a name")
    if packed[0] != 0xFE or packed[1] & 0xC0 != 0x80:
        raise InvalidURL("only a link-local IPv6 address (fe80::/10) may have a zone")
    return f"{host}%{zone}"


def _decode_escapes(text: str) -> str:
    """Decode the `%XX` escapes of a host once, as UTF-8."""
    if len(text) > 3 * (MAX_HOST + 1):
        raise InvalidURL(f"the host is longer than {MAX_HOST} characters")
    head, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    decoded = bytearray(head)
    for part in rest:
        digits = part[:2].lower().decode("latin-1")
        if len(digits) != 2 or not _is_hex(digits):
            raise InvalidURL("the host contains a '%' without two hexadecimal digits")
        decoded.append(int(digits, 16))
        decoded += part[2:]
    try:
        return decoded.decode()
    except UnicodeDecodeError as err:
        raise InvalidURL("the host contains escapes that are not UTF-8") from err


def _map_uts46(text: str) -> str:
    """Map case, width and dots of a name by UTS 46, non-transitional."""
    import idna

    try:
        return idna.uts46_remap(text, std3_rules=False)
    except (idna.IDNAError, UnicodeError) as err:
        raise InvalidURL(
            f"the host is not an international name: {printable(str(err), 80)}"
        ) from err


def _to_a_label(label: str) -> str:
    """Return the ASCII form of a mapped label; an `xn--` label is checked both ways."""
    if len(label) > MAX_LABEL:
        raise InvalidURL(f"a label of the host is longer than {MAX_LABEL} characters")
    import idna

    try:
        if not label.isascii():
            return idna.alabel(label).decode("ascii")
        # Not `idna.ulabel`: it accepts IDNA 2008 only, and names with symbols are in use.
        decoded = label[4:].encode("ascii").decode("punycode")
        if (
            decoded.isascii()
            or idna.uts46_remap(decoded, std3_rules=False) != decoded
            or "xn--" + decoded.encode("punycode").decode("ascii") != label
            or "." in decoded
        ):
            raise InvalidURL("an xn-- label of the host is not the encoding of its decoded form")
        idna.check_initial_combiner(decoded)
        idna.check_bidi(decoded)
        for i, char in enumerate(decoded):
            if char in _JOINERS and not idna.valid_contextj(decoded, i):
                raise InvalidURL(
                    "an xn-- label of the host contains a joiner in an invalid position"
                )
    except (idna.IDNAError, UnicodeError, OverflowError) as err:
        raise InvalidURL(
            f"the host is not an international name: {printable(str(err), 80)}"
        ) from err
    return label
