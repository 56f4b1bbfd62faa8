"""Which host may stand in a URL, and what it is called on the wire.

One question: the text between `//` and the port, what host is that, or is it none?
Rules:  the answer is lower-case ASCII, an IPv6 literal without its brackets.
        An address is accepted in its one canonical spelling, so that no filter of the user
        and no resolver can read it in two ways (`127.1`, `0x7f.0.0.1`, `2130706433` are refused).
        International names are mapped by UTS 46, non-transitional (`faß.de` is not `fass.de`);
        an `xn--` label must survive the way there and back, and not decode to plain ASCII.
        Escapes are decoded once, and what comes out must be a host: `%2F` is refused so.
        Lengths are checked before any table or codec is asked.
Not here: names to addresses, which hosts are allowed (policy).
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
    """Whether a host out of `canonical_host` is an address and not a name."""
    return ":" in host or _ends_in_number(host)


def _ends_in_number(host: str) -> bool:
    """Whether a resolver may take the host for an IPv4 address (WHATWG URL §3.6)."""
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
    """The host for the wire: a name in lower-case A-labels, or an IPv4 address.

    `text` is a registered name or an IPv4 address as it stands in a URL (escapes allowed);
    for what stands in brackets see `canonical_ipv6`. Raises `InvalidURL`, saying why, without
    naming the URL.
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
        labels.pop()  # the dot of the root: legal, and part of the name as the user spelt it
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
        raise InvalidURL(f"the host may not hold {bad[:1].decode()!r}")
    dotted = host.endswith(".")
    if _ends_in_number(name) and (dotted or not _is_canonical_ipv4(name)):
        raise InvalidURL("the host looks like an IPv4 address but is not four decimal numbers")
    return name + "." if dotted else name


def canonical_ipv6(text: str) -> str:
    """What stands between brackets, in canonical form: an IPv6 address, zone kept.

    A zone (`%25eth0`, RFC 6874, or `%eth0`) is accepted on link-local addresses only, the ones
    that need it.
    """
    address, percent, zone = text.partition("%")
    try:
        packed = socket.inet_pton(socket.AF_INET6, address)
    except (OSError, UnicodeError) as err:
        raise InvalidURL("only an IPv6 address may stand in brackets") from err
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
    """The host with its `%XX` decoded, once, as UTF-8."""
    if len(text) > 3 * (MAX_HOST + 1):
        raise InvalidURL(f"the host is longer than {MAX_HOST} characters")
    head, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    out = bytearray(head)
    for part in rest:
        digits = part[:2].lower().decode("latin-1")
        if len(digits) != 2 or not _is_hex(digits):
            raise InvalidURL("the host holds a stray '%'")
        out.append(int(digits, 16))
        out += part[2:]
    try:
        return out.decode()
    except UnicodeDecodeError as err:
        raise InvalidURL("the host holds escapes that are not UTF-8") from err


def _map_uts46(text: str) -> str:
    """The name with case, width and dots mapped by UTS 46, non-transitional."""
    import idna

    try:
        return idna.uts46_remap(text, std3_rules=False)
    except (idna.IDNAError, UnicodeError) as err:
        raise InvalidURL(f"the host is no international name: {printable(str(err), 80)}") from err


def _to_a_label(label: str) -> str:
    """The ASCII form of one mapped label; one that is in it already is checked both ways."""
    if len(label) > MAX_LABEL:
        raise InvalidURL(f"a label of the host is longer than {MAX_LABEL} characters")
    import idna

    try:
        if not label.isascii():
            return idna.alabel(label).decode("ascii")
        # Not `idna.ulabel`: it knows IDNA 2008 only, and names with symbols are in use.
        decoded = label[4:].encode("ascii").decode("punycode")
        if (
            decoded.isascii()
            or idna.uts46_remap(decoded, std3_rules=False) != decoded
            or "xn--" + decoded.encode("punycode").decode("ascii") != label
            or "." in decoded
        ):
            raise InvalidURL("an xn-- label of the host does not stand for what it decodes to")
        idna.check_initial_combiner(decoded)
        idna.check_bidi(decoded)
        for i, char in enumerate(decoded):
            if char in _JOINERS and not idna.valid_contextj(decoded, i):
                raise InvalidURL("an xn-- label of the host holds a joiner that joins nothing")
    except (idna.IDNAError, UnicodeError, OverflowError) as err:
        raise InvalidURL(f"the host is no international name: {printable(str(err), 80)}") from err
    return label
