# Request templates: requests of one kind differ in path, query, a few fields and a small body.
#
# Facts:  most requests of a program differ in their path alone; the rest of the head is the same bytes.
# Rules:  a template gives the same bytes as preparing the request in full. What would need quoting or a
#         second look is left to the general path, which also finds what is wrong with it.
# Implemented elsewhere: which requests have a template (asks_fast/_client/template_builder.py), sending
#         (Pool.run), redirects, challenges and retries (asks_fast/_client/request_flow.py).


cdef object log = getLogger("asks_fast")
cdef object DEBUG_LEVEL = DEBUG
cdef dict log_levels = getattr(log, "_cache", {})   # level -> is it enabled; cleared on change

cdef extern from *:
    """
    static PyObject *new_instance(PyTypeObject *type, PyObject *args) {
        return type->tp_new(type, args, NULL);
    }
    """
    object new_instance(type kind, tuple args)

cdef tuple NO_ARGUMENTS = ()


def append_path(str base not None, str path not None):
    """Join base and path with exactly one slash; None if the path is not plain."""
    if (base == "/" and PyUnicode_GET_LENGTH(path) > 1 and path[0] == u"/" and path[1] != u"/"
            and is_plain_path(path)):
        return path
    if not is_plain_path(path) or "?" in base or path[:1] == "?" or "://" in path:
        return None
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


# Header fields that affect the exchange itself.
cdef frozenset SPECIAL_HEADERS = frozenset([
    "connection", "content-length", "expect", "host", "proxy-authorization", "transfer-encoding"])


cdef double timeout_of(value) except? -2.0:
    """A time limit in seconds; -1.0 for none, 0.0 for one that needs a check."""
    if value is None:
        return -1.0
    if (type(value) is int or type(value) is float) and value > 0:
        return value
    return 0.0


def encode_plain_pairs(dict pairs not None):
    """`name=value&…` for texts and integers without a character to quote; None if there is one."""
    cdef list parts = []
    for name, value in pairs.items():
        if value is None:
            continue
        if type(value) is int:
            value = str(value)
        if (type(name) is not str or type(value) is not str
                or not is_unreserved(name) or not is_unreserved(value)):
            return None
        parts.append(f"{name}={value}")
    return "&".join(parts).encode("ascii")


cdef bint is_unreserved(str text) noexcept:
    """Whether a text has only the unreserved characters of RFC 3986 §2.3."""
    cdef const unsigned char *c
    cdef Py_ssize_t i
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    c = <const unsigned char *>PyUnicode_DATA(text)
    for i in range(PyUnicode_GET_LENGTH(text)):
        if not (48 <= c[i] <= 57 or 65 <= c[i] <= 90 or 97 <= c[i] <= 122
                or c[i] == 45 or c[i] == 46 or c[i] == 95 or c[i] == 126):
            return False
    return True

cdef frozenset SHOWN_OPTIONS = frozenset(["headers", "cookies", "data", "json"])    # in `Event.request`


@cython.final
cdef class RequestTemplate:
    """The rendered head of one kind of request, open at the place of the path."""

    def __cinit__(self, ExchangeOptions options not None, bytes method not None, bytes target not None,
                  bytes header_lines not None, header_names, encoder, *,
                  bint allows_body, bytes final_lines=b"", bytes authority=b"", double timeout=0.0,
                  BaseEventEmitter emitter not None, params=None, cookies=None, cookie_jar=None,
                  auth_state=None, sign_request=None):
        if options.response_class is None:
            raise TypeError("the options of a template need a response_class")
        self.options = options
        self.header_names = header_names
        self.allows_body = allows_body
        self.encoder = encoder
        self.has_root_target = target == b"/"
        self.prefix = method + b" " + authority + (b"" if self.has_root_target else target)
        self.header_lines = b" HTTP/1.1\r\n" + header_lines
        self.final_lines = final_lines
        self.ending = final_lines + (b"Content-Length: 0\r\n\r\n" if allows_body else b"\r\n")
        self.suffix = self.header_lines + self.ending
        self.last_params = EncodedPairs()
        self.last_headers = EncodedPairs()
        self.timeout = timeout
        self.emitter = emitter
        self.emits_events = emitter.has_listener()
        self.params = params
        self.cookies = cookies
        self.has_own_cookie = "cookie" in header_names
        self.cookie_jar = None if self.has_own_cookie else cookie_jar
        self.auth_state = auth_state
        self.sign_request = sign_request
        self.target_start = len(method) + 1 + len(authority)

    cdef Exchange make_exchange(self, str path, dict options, CallOptions *call):
        """An exchange for a request of this kind; None if it needs more than a template can do."""
        cdef bytes head
        cdef double timeout = self.timeout
        cdef bint is_listened_to = self.emits_events or is_debug_logged()
        cdef Py_ssize_t after_lines = len(self.ending)
        cdef Exchange exchange
        if self.auth_state is not None and self.auth_state[0] != self.auth_state[1]:
            return None
        if call.timeout is not NULL:
            timeout = timeout_of(<object>call.timeout)
            if timeout == 0.0:
                return None
        cookie_jar = self.cookie_jar if self.cookie_jar is not None and self.cookie_jar else None
        if (call.changes_request or self.params is not None or self.cookies is not None
                or cookie_jar is not None):
            if is_listened_to and (self.cookies is not None or (
                    call.changes_request and not options.keys().isdisjoint(SHOWN_OPTIONS))):
                return None     # events have the whole request
            head = self.render_options(path, options, cookie_jar, &after_lines)
        else:
            head = self.render(path, None, None, None)
        if head is None:
            return None
        if self.sign_request is not None:
            head = self.sign(head, after_lines)
            if head is None:
                return None
        exchange = Exchange.__new__(Exchange)
        exchange.options = self.options
        exchange.head = head
        if timeout > 0.0:
            exchange.timeout = exchange.time_remaining = timeout
        if is_listened_to:
            exchange.emitter = self.emitter.for_exchange()
        return exchange

    cdef bytes sign(self, bytes head, Py_ssize_t after_lines):
        """Add the header lines that are valid for one request; None if there are none now.

        They are inserted before the last `after_lines` bytes.
        """
        cdef Py_ssize_t position = PyBytes_GET_SIZE(head) - after_lines
        target = head[self.target_start:head.index(b" ", self.target_start)]
        lines = self.sign_request(target.decode("ascii"))
        return None if lines is None else head[:position] + <bytes>lines + head[position:]

    cdef bytes render_options(self, str path, dict options, cookie_jar, Py_ssize_t *after_lines):
        """The head, and the body, with what the options of a call add; None as `render`.

        `cookie_jar` is None if there are no cookies in it.
        `after_lines` is set to the number of bytes after the header lines that a call can add.
        """
        cdef bytes query = None, lines = None, cookie_line = None, ending
        params = options.get("params", self.params)
        if params is not None:
            if type(params) is not dict:
                return None
            query = self.encode_query(<dict>params)
        headers = options.get("headers")
        if headers is not None:
            if type(headers) is not dict:
                return None
            lines = self.encode_lines(<dict>headers)
            if lines is None:
                return None
        cookies = options.get("cookies", self.cookies)
        if cookies or (cookies is not None and type(cookies) is not dict) or cookie_jar is not None:
            if self.has_own_cookie or (headers is not None and self.last_headers_have_cookie):
                return None
            cookie_line = self.encoder.cookie_line(cookies, path, cookie_jar)
            if cookie_line is None:
                return None
            lines = cookie_line if lines is None else lines + cookie_line
        data, json = options.get("data"), options.get("json")
        if data is None and json is None:
            ending = self.ending
        else:
            ending = self.encode_ending(
                data, json, headers is not None and self.last_headers_have_content_type)
            if ending is None:
                return None
        after_lines[0] = len(ending)
        return self.render(path, query, lines, ending)

    cdef bytes encode_query(self, dict params):
        """The query, with its question mark; None for an empty one."""
        cdef bytes query
        if self.last_params.are_same(params):
            return self.last_params.encoded
        query = encode_plain_pairs(params)
        if query is None:
            query = self.encoder.encode_params(params)
        query = b"?" + query if query else None
        self.last_params.keep(params, query)
        return query

    cdef bytes encode_lines(self, dict headers):
        """The lines of these header fields; None if they cannot follow those of the template."""
        cdef bytes encoded
        cdef bint has_content_type = False, has_cookie = False
        cdef set names = set()
        cdef list lines = []
        if self.last_headers.are_same(headers):
            return self.last_headers.encoded
        for given_name, value in headers.items():
            if type(given_name) is not str or type(value) is not str:
                return None
            name = (<str>given_name).lower()
            if name in self.header_names or name in SPECIAL_HEADERS or name in names:
                return None
            if name == "content-type":
                has_content_type = True
            elif name == "cookie":
                has_cookie = True
            names.add(name)
            append_field(lines, given_name, value)
        encoded = b"".join(lines)
        self.last_headers.keep(headers, encoded)
        self.last_headers_have_content_type = has_content_type
        self.last_headers_have_cookie = has_cookie
        return encoded

    cdef bytes encode_ending(self, data, json, bint has_content_type):
        """What follows the lines that a call adds, with a body; None as `render`."""
        cdef bytes body, content_type
        if not self.allows_body:
            return None
        encoded = self.encoder.encode_body(data, json)
        if encoded is None:
            return None
        body, content_type = encoded
        if content_type is None or has_content_type or "content-type" in self.header_names:
            return b"%bContent-Length: %d\r\n\r\n%b" % (self.final_lines, len(body), body)
        return b"%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            self.final_lines, content_type, len(body), body)

    cdef bytes render(self, str path, bytes query, bytes lines, bytes ending):
        """The head for a path that follows the template's target; None unless it is plain.

        `query` follows the path, `lines` the header lines of the template; None for nothing. `ending` is
        what follows them: more header lines, the empty line, a body. None if nothing is added at all.
        """
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(path), size = PyBytes_GET_SIZE(self.prefix)
        cdef const char *c = <const char *>PyUnicode_DATA(path)
        cdef bint adds_slash = self.has_root_target     # without a path
        cdef bytes head, middle = self.suffix if ending is None else self.header_lines
        cdef char *out
        if query is not None and (length == 0 or "?" in path or length + len(query) > MAX_PLAIN_PATH):
            return None
        if length > 0:
            if not is_plain_path(path):
                return None
            if c[0] != 47 and "://" in path:
                return None         # perhaps an absolute URL, which is not a path
            if c[0] == 63 or size > 0 and PyBytes_AS_STRING(self.prefix)[size - 1] == 47:
                return None
            if c[0] == 47 and length > 1 and c[1] == 47:
                return None         # one slash joins base and path, however many there are
            adds_slash = c[0] != 47
        size += adds_slash + length + PyBytes_GET_SIZE(middle)
        if ending is not None:
            size += size_of(query) + size_of(lines) + PyBytes_GET_SIZE(ending)
        head = <bytes>PyBytes_FromStringAndSize(NULL, size)
        out = append_bytes(PyBytes_AS_STRING(head), self.prefix)
        if adds_slash:
            out[0] = 47
            out += 1
        memcpy(out, c, <size_t>length)
        out += length
        if ending is None:
            append_bytes(out, middle)
            return head
        out = append_bytes(append_bytes(out, query), middle)
        append_bytes(append_bytes(out, lines), ending)
        return head


cdef bint is_debug_logged() except -1:
    """Whether the log takes the events of requests."""
    enabled = log_levels.get(DEBUG_LEVEL)
    return log.isEnabledFor(DEBUG_LEVEL) if enabled is None else enabled


cdef inline Py_ssize_t size_of(bytes piece) noexcept:
    return 0 if piece is None else PyBytes_GET_SIZE(piece)


cdef inline char *append_bytes(char *out, bytes piece) noexcept:
    """Copy these bytes, if any, and return the place after them."""
    if piece is None:
        return out
    memcpy(out, PyBytes_AS_STRING(piece), <size_t>PyBytes_GET_SIZE(piece))
    return out + PyBytes_GET_SIZE(piece)
