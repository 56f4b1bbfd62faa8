# The compiled base of response objects, filled by the exchange.
#
# Rules:  nothing is decoded before it is asked for; the request head that was sent stands for the
#         request until its parts are asked for.
# Implemented elsewhere: text, JSON, cookies, decompression (asks_fast/response_objects.py).

# A content type without a charset, or with that of UTF-8.
cdef object UTF8_TYPE = re.compile(
    rb"(?:(?!charset).)*(?:;[ \t]*charset=(?:utf-8|\"utf-8\")[ \t]*)?", re.IGNORECASE).fullmatch
cdef bytes last_utf8_head = None    # the response head that had such a type last


cdef class BaseHttpResponse:
    """The compiled base of `Response`: status, fields, body and what was asked."""

    def __cinit__(self):
        self.body = b""
        self.http_minor = 1
        self.attempts = 1

    def __init__(self, encoding=None, http_version=None, status_code=None, reason_phrase=None,
                 headers=None, body=None, method=None, url=None):
        """Make a response by hand. An exchange makes one without arguments and fills it."""
        if (encoding is None and http_version is None and status_code is None
                and reason_phrase is None and headers is None and body is None
                and method is None and url is None):
            return
        self._set_from_parts(200 if status_code is None else status_code, fields_of(headers),
                             b"" if body is None else body)
        self.http_version = "1.1" if http_version is None else http_version
        self.reason_phrase = reason_phrase
        self.method = "GET" if method is None else method
        self.url = "" if url is None else url
        if encoding is not None:
            (<object>self)._encoding = encoding

    @property
    def headers(self):
        """The fields of the response. Assign a mapping, or pairs, to replace them."""
        return self.get_headers()

    @headers.setter
    def headers(self, headers):
        self.header_fields = fields_of(headers)
        self.is_unencoded = False
        self._content = None       # its codings may be others

    cdef Headers get_headers(self):
        """The fields, made of the head when a program first looks."""
        if self.header_fields is None:
            if self.response_head is None:
                return NO_HEADERS
            self.header_fields = headers_of(self.response_head)
        return self.header_fields

    def _is_identity_encoded(self):
        """Whether the body is complete and has no content coding."""
        return self.completed != 0.0 and (
            self.is_unencoded or self.get_headers().is_absent(b"content-encoding"))

    def _plain_json(self):
        """The body as text if it is, as received, a JSON object or array in UTF-8; else None."""
        cdef bytes body
        cdef const char *start
        if (type(self.body) is not bytes or self._content is not None or self._chosen is not None
                or not self._is_identity_encoded()):
            return None
        body = self.body
        start = PyBytes_AS_STRING(body)
        if (PyBytes_GET_SIZE(body) < 2 or start[1] == 0
                or (start[0] != b"{" and start[0] != b"[") or not self.is_utf8_type()):
            return None
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            return None

    cdef bint is_utf8_type(self) except -1:
        """Whether the content type names no charset, or UTF-8."""
        global last_utf8_head
        cdef Headers fields
        cdef list types
        if self.header_fields is None and self.response_head is last_utf8_head is not None:
            return True
        fields = self.get_headers()
        types = fields.find_raw(b"content-type")
        if types is not None:
            for value in types:
                if (memchr(PyBytes_AS_STRING(value), b";", <size_t>PyBytes_GET_SIZE(value)) != NULL
                        and UTF8_TYPE(value) is None):
                    return False
        if fields.head is self.response_head:       # else a program has assigned the fields
            last_utf8_head = self.response_head
        return True

    @property
    def reason_phrase(self):
        """The reason phrase after the status code, as received; empty if there was none."""
        if self.response_head is not None and self.reason is None:
            self.reason = self.response_head.partition(b"\n")[0][13:].strip(b" \t\r")
        return "" if self.reason is None else text_of(self.reason)

    @reason_phrase.setter
    def reason_phrase(self, reason):
        self.reason = b"" if reason is None else encode_value(reason)

    @property
    def http_version(self):
        """`"1.1"` or `"1.0"`."""
        return "1.1" if self.http_minor else "1.0"

    @http_version.setter
    def http_version(self, version):
        text = version.decode("latin-1") if isinstance(version, bytes) else version
        if text not in ("1.1", "1.0"):
            raise ValueError(f"http_version is '1.1' or '1.0', not {version!r}")
        self.http_minor = 1 if text == "1.1" else 0

    cdef str _request_line_part(self, int which):
        """Method (0) or target (1) of the request as sent."""
        cdef const char *start
        cdef const char *end
        cdef const char *space
        if self.sent_head is None:
            return ""
        start = PyBytes_AS_STRING(self.sent_head)
        end = start + PyBytes_GET_SIZE(self.sent_head)
        space = <const char *>memchr(start, b" ", <size_t>(end - start))
        if which == 1 and space != NULL:
            start = space + 1
            space = <const char *>memchr(start, b" ", <size_t>(end - start))
        return start[:(end if space == NULL else space) - start].decode("ascii")

    @property
    def method(self):
        """The method of the request that this answers, e.g. `"GET"`."""
        if self.fixed_method is not None:
            return self.fixed_method
        return self._request_line_part(0)

    @method.setter
    def method(self, str method not None):
        self.fixed_method = method

    @property
    def url(self):
        """The URL of the request that this answers: after redirects, the final one."""
        if self.fixed_url is not None:
            return self.fixed_url
        cdef str target = self._request_line_part(1)
        return (self.origin or "") + target if target[:1] == "/" else target

    @url.setter
    def url(self, str url not None):
        self.fixed_url = url

    @property
    def history(self):
        """The responses that led to this one: redirects followed, challenges answered. A list."""
        if self._history is None:
            self._history = []
        return self._history

    @history.setter
    def history(self, list history):
        self._history = history

    @property
    def request_head(self):
        """The head of the request as it went over the wire: bytes."""
        return self.sent_head

    @property
    def elapsed_seconds(self):
        """Seconds from before the first byte sent to the last byte read (so far: to the head)."""
        cdef double end = self.completed if self.completed else self.head_received
        return end - self.started if end else 0.0

    @property
    def time_to_head(self):
        """Seconds from before the first byte sent until the head was read."""
        return self.head_received - self.started if self.head_received else 0.0

    @property
    def head_received_at(self):
        """Monotonic seconds at which the head was there; 0.0 while it is not."""
        return self.head_received

    @property
    def completed_at(self):
        """Monotonic seconds at which all was read; 0.0 while it is not."""
        return self.completed

    @property
    def timed(self):
        """Whether to record `sent_at` and `first_byte_at`; setting it clears both."""
        return self.is_timed

    @timed.setter
    def timed(self, bint timed):
        self.is_timed = timed
        self.request_sent = self.first_byte = 0.0

    @property
    def sent_at(self):
        """Monotonic seconds at which the request was sent; 0.0 until then, or if not `timed`."""
        return self.request_sent

    @property
    def first_byte_at(self):
        """Monotonic seconds of the first byte of the response; 0.0 until then, or if not `timed`."""
        return self.first_byte

    @property
    def is_complete(self):
        """Whether all of the response was read."""
        return self.completed != 0.0

    def _set_from_parts(self, int status_code, Headers headers, body=b"", *, reason=None,
                        bytes sent_head=None, str origin=None, int minor=1, bint complete=True):
        """Fill in a response that came over no socket (recorded, pickled, or made by a test)."""
        self.started = self.head_received = now()
        self.completed = self.head_received if complete else 0.0
        self.status_code = status_code
        self.header_fields = headers
        self.is_unencoded = False
        self.body = body
        self.reason = reason
        self.sent_head = sent_head
        self.origin = origin
        self.http_minor = minor

    cdef void copy(self, BaseHttpResponse other):
        self.status_code = other.status_code
        self.header_fields = other.header_fields
        self.is_unencoded = other.is_unencoded
        self.interim = other.interim
        self.peer = other.peer
        self.reused = other.reused
        self.response_head = other.response_head
        self.keeps_framing = other.keeps_framing
        self.strict = other.strict
        self._options = other._options
        self._encoding = other._encoding
        self.framed_body = other.framed_body
        self.reason = other.reason
        self.http_minor = other.http_minor
        self.sent_head = other.sent_head
        self.origin = other.origin
        self.fixed_url = other.fixed_url
        self.fixed_method = other.fixed_method
        self.started = other.started
        self.head_received = other.head_received

    cdef BaseHttpResponse copy_head(self):
        """A copy without the body, to which the rest of a stream is reported."""
        cdef BaseHttpResponse other = <BaseHttpResponse>new_instance(type(self), NO_ARGUMENTS)
        other.copy(self)
        return other

    def _copy_head(self):
        """A copy without the body."""
        return self.copy_head()

    cdef void take_end(self, BaseHttpResponse other):
        """Take over what was reported to the copy: the end of the response, and its trailers."""
        self.completed = other.completed
        self.trailers = other.trailers

    cdef str describe_request(self):
        """`GET http://host/path`, for errors."""
        return f"{self.method} {self.url}"


cdef Headers NO_HEADERS = Headers([])


cdef bytes encode_value(value):
    """A part of a head that a program gives: bytes as they are, anything else as text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


cdef Headers fields_of(headers):
    """The fields that a program gives: a mapping or pairs; a list is a field for each item."""
    cdef list fields = []
    if headers is None:
        return NO_HEADERS
    if isinstance(headers, Headers):
        return headers
    for name, value in (headers.items() if hasattr(headers, "items") else headers):
        for one in (value if isinstance(value, (list, tuple)) else (value,)):
            fields.append(encode_value(name))
            fields.append(encode_value(one))
    return Headers(fields)
