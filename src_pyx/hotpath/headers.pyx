# The header fields of a response, found regardless of the case of their names.
#
# A program reads one or two of ten fields, or none. So the head is stored as received and parsed at
# the first access. Scanning ten fields is faster than building a dictionary.
#
# Invariants: only heads that the parser accepted are parsed here, with the same result (a test
# compares the two). Values are decoded at access: UTF-8, else Latin-1. `set-cookie` is a list,
# because its values cannot be joined (RFC 9110 §5.3); every other value is a str.

cdef inline unsigned char lower(unsigned char c) noexcept nogil:
    return c + 32 if 65 <= c <= 90 else c


cdef bint name_equals_lower(bytes field, const char *name, Py_ssize_t length) noexcept:
    """ASCII case-insensitive equality; `name` is in lower case."""
    cdef const unsigned char *own = <const unsigned char *>PyBytes_AS_STRING(field)
    cdef Py_ssize_t i
    if PyBytes_GET_SIZE(field) != length:
        return False
    for i in range(length):
        if lower(own[i]) != <unsigned char>name[i]:
            return False
    return True


cdef str text_of(bytes value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


cdef list parse_fields(bytes head):
    """Parse the fields of a head that the parser accepted: name, value, name, value …

    Lines may end in a bare LF. A line that starts with white space continues the previous value, joined
    by a space (RFC 9112 §5.2). White space around a value is removed.
    """
    cdef list fields = []
    cdef bytes value
    cdef const char *end = PyBytes_AS_STRING(head) + PyBytes_GET_SIZE(head)
    cdef const char *line = next_line(PyBytes_AS_STRING(head), end)
    cdef const char *after
    cdef const char *stop
    cdef const char *colon
    while line < end:
        after = next_line(line, end)
        stop = after
        if (stop - 1)[0] == b"\n":
            stop -= 1
        while stop > line and (stop - 1)[0] == b"\r":
            stop -= 1
        if line[0] == b" " or line[0] == b"\t":
            if fields:
                value = strip_ows_bytes(line, stop)
                fields.append((<bytes>fields.pop() + b" " + value).strip(b" "))
        elif stop == line:
            break
        else:
            colon = <const char *>memchr(line, b":", <size_t>(stop - line))
            if colon == NULL:
                colon = stop
            fields.append(PyBytes_FromStringAndSize(line, colon - line))
            fields.append(strip_ows_bytes(colon + 1, stop) if colon < stop else b"")
        line = after
    return fields


cdef inline const char *next_line(const char *text, const char *end) noexcept:
    """Return the start of the next line; `end` if there is none."""
    cdef const char *found = <const char *>memchr(text, b"\n", <size_t>(end - text))
    return end if found == NULL else found + 1


cdef bytes strip_ows_bytes(const char *text, const char *end):
    """Return the bytes between two positions without surrounding white space."""
    while text < end and (text[0] == b" " or text[0] == b"\t"):
        text += 1
    while text < end and ((end - 1)[0] == b" " or (end - 1)[0] == b"\t"):
        end -= 1
    return PyBytes_FromStringAndSize(text, end - text)


cdef bint may_contain(bytes head, bytes name) noexcept:
    """Whether a line of the head begins with the name (in lower case). If not, the field is absent."""
    cdef const char *wanted = PyBytes_AS_STRING(name)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(name), i
    cdef const char *end = PyBytes_AS_STRING(head) + PyBytes_GET_SIZE(head)
    cdef const char *line = next_line(PyBytes_AS_STRING(head), end)
    while line + length < end:
        i = 0
        while i < length and lower(<unsigned char>line[i]) == <unsigned char>wanted[i]:
            i += 1
        if i == length:
            return True
        line = next_line(line, end)
    return False


cdef list find_in_head(bytes head, bytes name, bint *is_folded):
    """Find the values of a field in an unparsed head, as `parse_fields` would; None without one.

    `is_folded` is set if a line continues the one before it: then the head must be parsed.
    """
    cdef const char *wanted = PyBytes_AS_STRING(name)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(name), i
    cdef const char *end = PyBytes_AS_STRING(head) + PyBytes_GET_SIZE(head)
    cdef const char *line = next_line(PyBytes_AS_STRING(head), end)
    cdef const char *after
    cdef const char *stop
    cdef list values = None
    while line < end:
        if line[0] == b" " or line[0] == b"\t":
            is_folded[0] = True
            return None
        after = next_line(line, end)
        i = 0
        while (i < length and line + i < after
                and lower(<unsigned char>line[i]) == <unsigned char>wanted[i]):
            i += 1
        if i == length and line + i < after and line[i] == b":":
            stop = after
            while stop > line + i and ((stop - 1)[0] == b"\n" or (stop - 1)[0] == b"\r"):
                stop -= 1
            values = appended(values, strip_ows_bytes(line + i + 1, stop))
        line = after
    if values is not None and memchr(wanted, b":", <size_t>length) != NULL:
        return None         # the name of a field ends at its first colon
    return values


cdef inline list appended(list values, value):
    if values is None:
        return [value]
    values.append(value)
    return values


@cython.final
cdef class Headers:
    """The header fields of one message: a read-only mapping with case-insensitive names.

    `headers["set-cookie"]` is a list of all values (KeyError without any). Any other name gives one
    str, with repeated fields joined by `", "` (RFC 9110 §5.2). Iteration gives each name once, in its
    first spelling. `raw` is the list of `(name, value)` pairs of bytes, in the order received.
    """

    def __cinit__(self, list fields=None):
        self.fields = fields

    cdef list get_fields(self):
        if self.fields is None:
            self.fields = [] if self.head is None else parse_fields(self.head)
            self.head = None
        return self.fields

    @staticmethod
    def from_pairs(pairs):
        """Create headers from pairs of str or bytes (for tests and recorded responses)."""
        cdef list fields = []
        for name, value in pairs:
            fields.append(name.encode("ascii") if isinstance(name, str) else bytes(name))
            fields.append(value.encode("utf-8") if isinstance(value, str) else bytes(value))
        return Headers(fields)

    @property
    def raw(self):
        """The fields as received: a list of `(name, value)` pairs of bytes."""
        return list(zip(self.get_fields()[::2], self.get_fields()[1::2]))

    cdef bint is_absent(self, bytes name) noexcept:
        """Whether the unparsed head certainly lacks the field."""
        return self.fields is None and self.head is not None and not may_contain(self.head, name)

    cdef list find_raw(self, bytes name):
        """The values of a field by its name in lower case, as bytes; None without one."""
        cdef list found = None
        cdef list fields
        cdef Py_ssize_t i
        cdef bint is_folded = False
        if self.fields is None and self.head is not None:
            found = find_in_head(self.head, name, &is_folded)
            if not is_folded:
                return found
            found = None
        fields = self.get_fields()
        for i in range(0, len(fields), 2):
            if name_equals_lower(<bytes>fields[i], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)):
                found = appended(found, fields[i + 1])
        return found

    cdef list find(self, bytes name):
        """The values of a field by its name in lower case, as text."""
        cdef list found = self.find_raw(name)
        return [] if found is None else [text_of(<bytes>value) for value in found]

    cdef object value_of(self, bytes name):
        """The value of a field as the mapping gives it; None without one."""
        cdef list found = self.find_raw(name)
        if found is None:
            return None
        if name == b"set-cookie":
            return [text_of(<bytes>value) for value in found]
        if len(found) == 1:
            return text_of(<bytes>found[0])
        return ", ".join([text_of(<bytes>value) for value in found])

    def getlist(self, str name not None):
        """Return all values of a field, in order, as a list of str; empty without one."""
        return self.find(name.lower().encode("utf-8"))

    get_list = getlist

    def _raw_values(self, str name not None):
        """Return all values of a field, by its name in lower case, as bytes."""
        cdef list found = self.find_raw(name.encode("ascii"))
        return [] if found is None else found

    def __getitem__(self, name):
        if not isinstance(name, str):
            raise KeyError(name)
        found = self.value_of((<str>name).lower().encode("utf-8"))
        if found is None:
            raise KeyError(name)
        return found

    def get(self, name, default=None):
        if not isinstance(name, str):
            return default
        found = self.value_of((<str>name).lower().encode("utf-8"))
        return default if found is None else found

    def __contains__(self, name):
        return isinstance(name, str) and self.find_raw((<str>name).lower().encode("utf-8")) is not None

    cdef list names(self):
        cdef dict seen = {}
        cdef list fields = self.get_fields()
        cdef Py_ssize_t i
        for i in range(0, len(fields), 2):
            name = text_of(<bytes>fields[i])
            seen.setdefault(name.lower(), name)
        return list(seen.values())

    def __iter__(self):
        return iter(self.names())

    def __len__(self):
        return len(self.names())

    def __bool__(self):
        return len(self.get_fields()) > 0

    def keys(self):
        return self.names()

    def items(self):
        return [(name, self[name]) for name in self.names()]

    def values(self):
        return [self[name] for name in self.names()]

    def copy(self):
        return Headers(list(self.get_fields()))

    def __eq__(self, other):
        if isinstance(other, Headers):
            return [
                (name.lower(), value) for name, value in self.raw
            ] == [(name.lower(), value) for name, value in other.raw]
        if isinstance(other, Mapping):
            return {name.lower(): value for name, value in self.items()} == {
                str(name).lower(): value for name, value in other.items()
            }
        return NotImplemented

    __hash__ = None

    def __reduce__(self):
        return (Headers, (self.get_fields(),))

    def __repr__(self):
        return f"<HeaderTable {dict(self.items())!r}>"


Mapping.register(Headers)
