# Encode a request head, and check that it contains nothing illegal.
#
# Invariants: a method is a token, a field name is a token, a field value contains no control
# characters but HTAB (RFC 9110 §5.5), a target is visible ASCII. The check runs on the encoded
# bytes that will be sent, so that no encoding can hide CR, LF or NUL from it.

cdef enum:
    MAX_PLAIN_PATH = 8192   # characters; longer paths use the general path

cdef unsigned char[256] TOKEN       # RFC 9110 §5.6.2
cdef unsigned char[256] PLAIN_PATH  # bytes that a path or query may contain unquoted


cdef void make_tables() noexcept:
    cdef int i
    cdef const char *marks = b"!#$%&'*+-.^_`|~"
    cdef const char *path_marks = b"-_~/?&=:@!$'()*+,;"
    for i in range(256):
        TOKEN[i] = PLAIN_PATH[i] = 48 <= i <= 57 or 65 <= i <= 90 or 97 <= i <= 122
    for i in range(15):
        TOKEN[<unsigned char>marks[i]] = 1
    for i in range(18):
        PLAIN_PATH[<unsigned char>path_marks[i]] = 1


make_tables()


cdef bint is_token(bytes text) noexcept:
    cdef const unsigned char *c = <const unsigned char *>PyBytes_AS_STRING(text)
    cdef Py_ssize_t i
    for i in range(PyBytes_GET_SIZE(text)):
        if not TOKEN[c[i]]:
            return False
    return PyBytes_GET_SIZE(text) > 0


cdef bint is_field_value(bytes text) noexcept:
    cdef const unsigned char *c = <const unsigned char *>PyBytes_AS_STRING(text)
    cdef Py_ssize_t i
    for i in range(PyBytes_GET_SIZE(text)):
        if (c[i] < 32 and c[i] != 9) or c[i] == 127:
            return False
    return True


cdef bint is_target(bytes text) noexcept:
    cdef const unsigned char *c = <const unsigned char *>PyBytes_AS_STRING(text)
    cdef Py_ssize_t i
    for i in range(PyBytes_GET_SIZE(text)):
        if c[i] <= 32 or c[i] >= 127:
            return False
    return PyBytes_GET_SIZE(text) > 0


cdef bytes to_bytes(object text, str part, bytes field=None):
    """The bytes of a part of a head. `part` and the name of the `field` are for the error."""
    if isinstance(text, bytes):
        return <bytes>text
    if isinstance(text, str):
        try:
            return (<str>text).encode("utf-8")
        except UnicodeEncodeError as error:
            raise errors.InvalidHeader(
                f"{name_of_part(part, field)} can't be encoded: {error.reason}") from None
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return str(text).encode("ascii")
    # The type, not the value: it may be a secret.
    raise errors.InvalidHeader(
        f"{name_of_part(part, field)} must be str or bytes, not {type(text).__name__}")


cdef str name_of_part(str part, bytes field):
    return part if field is None else f"{part} {field.decode('ascii')!r}"


def check_method(method not None):
    """Return the method as bytes. Raises `InvalidHeader` unless it is a token (RFC 9110 §9.1)."""
    cdef bytes text = to_bytes(method, "method")
    if not is_token(text):
        raise errors.InvalidHeader(
            f"invalid HTTP method {method!r}: allowed characters are letters, digits and !#$%&'*+-.^_`|~"
        )
    return text


def encode_headers(pairs not None):
    """Encode field lines from pairs of names and values (str, bytes or numbers).

    Raises `InvalidHeader` with the field's name if a name is not a token or a value contains CR, LF, NUL
    or another control character. Values are not shown. White space around a value is removed.
    """
    cdef list lines = []
    for name, value in pairs:
        append_field(lines, name, value)
    return b"".join(lines)


cdef int append_field(list lines, given_name, given_value) except -1:
    """Add the parts of one field line, as `encode_headers` says."""
    cdef bytes name, value
    name = to_bytes(given_name, "field name")
    if not is_token(name):
        raise errors.InvalidHeader(
            f"{errors.truncated_repr(name)} is not a valid field name (RFC 9110 §5.1)")
    value = stripped(to_bytes(given_value, "value of field", name))
    if not is_field_value(value):
        raise errors.InvalidHeader(
            f"the value of field {name.decode('ascii')!r} holds CR, LF, NUL or another control "
            "character; nothing was sent"
        )
    lines.append(name)
    lines.append(b": ")
    lines.append(value)
    lines.append(b"\r\n")
    return 0


cdef bytes stripped(bytes value):
    """A field value without surrounding white space."""
    cdef const char *c = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    if size > 0 and (c[0] == 32 or c[0] == 9 or c[size - 1] == 32 or c[size - 1] == 9):
        return strip_ows_bytes(c, c + size)
    return value


def encode_head(bytes method not None, bytes target not None, bytes fields not None):
    """Encode a whole head: request line, field lines, empty line (RFC 9112 §3)."""
    if not is_target(target):
        raise errors.InvalidURL(f"{errors.truncated_repr(target)} is not allowed in a request line")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, fields)


cdef bint is_plain_path(str path) noexcept:
    """Whether a path can be appended byte for byte: nothing to quote, no dot segments.

    Longer paths use the general path, which enforces the limit of a target.
    """
    cdef Py_ssize_t i, n
    cdef const unsigned char *c
    cdef bint after_slash = True
    if not PyUnicode_IS_COMPACT_ASCII(path):
        return False
    c = <const unsigned char *>PyUnicode_DATA(path)
    n = PyUnicode_GET_LENGTH(path)
    if n > MAX_PLAIN_PATH:
        return False
    for i in range(n):
        if PLAIN_PATH[c[i]]:
            after_slash = c[i] == 47
        elif c[i] != 46 or after_slash:     # a dot inside a segment is an ordinary character
            return False
    return True


cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    void *PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
