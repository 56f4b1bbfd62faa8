# The cookies for one host, in the order of sending, and the Cookie field made of them.
#
# Facts:  most requests to a host send the same cookies. Finding and joining them costs several times
#         what comparing them does.
# Invariants:
#         The result is that of finding them anew. A program may change cookies, lists of cookies and
#         the dict of lists at any time, so everything that was read is compared before it is reused.
# Implemented elsewhere: which cookies are stored (asks_fast/_cookies/jar.py), and parsing them
#         (asks_fast/_cookies/cookie.py).

cdef enum:
    MAX_COOKIE_FIELD = 8190     # bytes of the value of one Cookie field
    MAX_SENT_COOKIES = 150
    COOKIE_STATE = 7            # number of objects that `BaseCookie.state` gives


cdef extern from "Python.h":
    object PyObject_GenericGetDict(object item, void *context)
    int PyObject_GenericSetDict(object item, object value, void *context) except -1


cdef class BaseCookie:
    """The compiled base of `Cookie`: the attributes on which the Cookie field depends."""

    def _set(self, dict public not None, str scope_path not None, expires_at):
        """Set all attributes of a new cookie; `public` are those that a program sees."""
        domain = public["domain"]
        PyObject_GenericSetDict(self, public, NULL)
        self.effective_domain = domain or public["host"]
        self.scope_path = scope_path
        self.host_only = not domain
        self.expires_at = expires_at

    def __getstate__(self):
        return (attributes_of(self).copy(), self.effective_domain, self.scope_path, self.host_only,
                self.expires_at, self.creation_index, self.last_used)

    def __setstate__(self, state):
        public, self.effective_domain, self.scope_path, self.host_only, self.expires_at = state[:5]
        self.creation_index, self.last_used = state[5:]
        PyObject_GenericSetDict(self, public, NULL)

    cdef list state(self):
        """This cookie, and all on which its part in a Cookie field depends."""
        cdef dict public = attributes_of(self)
        return [self, public["name"], public["value"], public["secure"], self.scope_path,
                self.host_only, self.expires_at]


cdef inline dict attributes_of(BaseCookie cookie):
    """The public attributes: the `__dict__` that `Cookie` adds."""
    return <dict>PyObject_GenericGetDict(cookie, NULL)


@cython.final
cdef class Candidates:
    """The cookies that requests to one host send, depending on the path."""

    def __init__(self, cookies not None, tuple domains not None, bint secure):
        """Find them in `cookies`, lists by domain. `secure`: whether the requests use https."""
        cdef BaseCookie cookie
        cdef dict public
        self.domains = domains
        self.seen = []
        self.cookies = []
        self.first_expiry = INFINITY
        for domain in domains:
            for item in cookies.get(domain, ()):
                cookie = to_cookie(item)
                public = attributes_of(cookie)
                self.seen += cookie.state()
                if (domain is domains[0] or not cookie.host_only) and (
                        secure or not public["secure"]):
                    self.cookies.append(cookie)
                    if cookie.expires_at is not None and cookie.expires_at < self.first_expiry:
                        self.first_expiry = cookie.expires_at
            self.seen.append(domain)
        if len(self.cookies) > 1:
            self.cookies.sort(key=sending_order)

    def is_current(self, cookies not None):
        """Whether the cookies are as they were when this object was made."""
        cdef list seen = self.seen
        cdef Py_ssize_t i = 0
        cdef BaseCookie cookie
        cdef dict public
        for domain in self.domains:
            for item in cookies.get(domain, ()):
                cookie = to_cookie(item)
                public = attributes_of(cookie)
                if (cookie is not seen[i]
                        or public["name"] is not seen[i + 1]
                        or public["value"] is not seen[i + 2]
                        or public["secure"] is not seen[i + 3]
                        or cookie.scope_path is not seen[i + 4]
                        or cookie.host_only is not seen[i + 5]
                        or cookie.expires_at is not seen[i + 6]):
                    return False
                i += COOKIE_STATE
            if domain is not seen[i]:
                return False
            i += 1
        return True

    def matching(self, str path not None):
        """The cookies for a path."""
        cdef BaseCookie cookie
        return [cookie for cookie in self.cookies if path_matches(path, cookie.scope_path)]

    def value_for(self, str path not None, long long use):
        """The value of the Cookie field for a path, or None. Notes the use of its cookies."""
        cdef BaseCookie cookie
        if path != self.path:
            self.join(path)
        for cookie in self.sent:
            cookie.last_used = use
        return self.value

    cdef int join(self, str path) except -1:
        """Make the Cookie field for a path."""
        cdef BaseCookie cookie
        cdef dict public
        cdef list parts = []
        cdef Py_ssize_t remaining = MAX_COOKIE_FIELD
        self.sent = []
        for cookie in self.cookies:
            if not path_matches(path, cookie.scope_path):
                continue
            public = attributes_of(cookie)
            name, value = public["name"], public["value"]
            part = f"{name}={value}" if name else value
            remaining -= octets(part) + 2
            if remaining < -2 or len(parts) >= MAX_SENT_COOKIES:    # no "; " follows the last one
                break
            parts.append(part)
            self.sent.append(cookie)
        self.value = field_value("; ".join(parts)) if parts else None
        self.path = path
        return 0


cdef inline BaseCookie to_cookie(item):
    """An object of a program's list as a cookie; an error for any other."""
    if not isinstance(item, BaseCookie):
        raise TypeError(f"{item!r} in a cookie jar is not a Cookie")
    return <BaseCookie>item


def find_replaced(list cookies not None, BaseCookie cookie not None):
    """The index of the cookie of the same domain that this one replaces (RFC 6265 §5.3); -1 for none."""
    cdef BaseCookie other
    cdef Py_ssize_t i
    cdef str name = attributes_of(cookie)["name"]
    for i in range(len(cookies)):
        other = to_cookie(cookies[i])
        if (other.scope_path == cookie.scope_path and other.host_only == cookie.host_only
                and attributes_of(other)["name"] == name):
            return i
    return -1


def sending_order(BaseCookie cookie not None):
    """The key by which the cookies of a request are sorted (RFC 6265 §5.4)."""
    return -len(cookie.scope_path), cookie.creation_index


cpdef bint path_matches(str request_path, str cookie_path) except -1:
    """Whether a cookie of this path is sent to the request path (RFC 6265 §5.1.4)."""
    cdef Py_ssize_t length = len(cookie_path)
    if not request_path.startswith(cookie_path):
        return False
    return (len(request_path) == length or cookie_path.endswith("/")
            or request_path[length] == u"/")


cpdef Py_ssize_t octets(str text) except -1:
    """The length of a text in bytes, as it is sent."""
    if PyUnicode_IS_COMPACT_ASCII(text):
        return PyUnicode_GET_LENGTH(text)
    return len(text.encode("utf-8", "surrogateescape"))


cpdef field_value(str text):
    """The text as a field value: as bytes if it contains surrogate escapes."""
    if not PyUnicode_IS_COMPACT_ASCII(text):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogateescape")
    return text
