# Request templates; implemented in request_template.pyx.

# What a call adds to its template, besides the path of a URL.
cdef struct CallOptions:
    PyObject *path              # `path=` and `timeout=`, borrowed from the call; NULL if not given
    PyObject *timeout
    bint changes_request        # other header fields, another query, or a body


@cython.final
cdef class RequestTemplate:
    cdef readonly ExchangeOptions options
    cdef bytes prefix               # b"GET /base"
    cdef bytes header_lines         # b" HTTP/1.1\r\nHost: …\r\n", to which more may be added
    cdef readonly bytes final_lines  # those after the ones that a call adds: credentials
    cdef bytes ending               # final_lines and the end of a head without a body
    cdef bytes suffix               # header_lines and ending
    cdef readonly object header_names   # of all these lines, in lower case
    cdef readonly bint allows_body  # a request of this method has a body, if an empty one
    cdef bint has_root_target       # nothing but "/" precedes the path
    cdef readonly double timeout    # the default in seconds; 0.0 for none
    cdef object encoder             # OptionEncoder: renders what is not plain
    cdef BaseEventEmitter emitter   # what the emitter of each exchange is made of
    cdef bint emits_events          # it has a listener
    cdef bint has_own_cookie        # the session has a Cookie header field, or forbids one
    cdef object params              # defaults of the session that are added to each request
    cdef object cookies
    cdef readonly object cookie_jar  # CookieTracker or None
    cdef object auth_state          # (__dict__ of the auth object, what it was); or None
    cdef object sign_request        # (target) -> header lines of one request, or None; or None
    cdef Py_ssize_t target_start    # in a head, after method and authority
    # What the options of the last call were encoded to.
    cdef EncodedPairs last_params
    cdef EncodedPairs last_headers
    cdef bint last_headers_have_content_type
    cdef bint last_headers_have_cookie

    cdef Exchange make_exchange(self, str path, dict options, CallOptions *call)
    cdef bytes sign(self, bytes head, Py_ssize_t after_lines)
    cdef bytes render_options(self, str path, dict options, cookie_jar, Py_ssize_t *after_lines)
    cdef bytes encode_query(self, dict params)
    cdef bytes encode_lines(self, dict headers)
    cdef bytes encode_ending(self, data, json, bint has_content_type)
    cdef bytes render(self, str path, bytes query, bytes lines, bytes ending)
