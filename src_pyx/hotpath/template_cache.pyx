# The templates of a session, found by method, origin and options; and its calls.
#
# Rules:  a template is kept for each kind of request until a default of the session changes. Which
#         options are the same objects as in the last call is found without hashing them.
# Implemented elsewhere: what a template does (request_template.pyx), when it is made
#         (asks_fast/_client/template_builder.py), sending (run_exchange.pyx).

cdef enum:
    MAX_TEMPLATES = 4096            # of a session

cdef dict interceptor_data = interceptor.__dict__     # a look-up there costs less than an attribute
cdef object hosted_call = None      # of the kernel, which is loaded on first use

# Options that differ from call to call. Every other one is part of the key of a template.
cdef str PATH = "path"
cdef frozenset VARIABLE_OPTIONS = frozenset(
    ["path", "params", "headers", "cookies", "data", "json", "timeout"])


cdef class TemplateCache:
    """The compiled base of sessions: sends requests, and keeps a template for each kind of them."""

    def __cinit__(self, *args, **kwargs):
        self._templates = {}
        self.templates_version = -1

    cdef RequestTemplate get_template(self, method, str origin, list constants):
        """The template for a kind of request, or None. `constants`: what `key_of_options` returned."""
        cdef long long version = getversion(self._headers)
        if version != self.templates_version:
            self._clear_templates()
            self.templates_version = version
        if (self.last_template is not None and constants is self.last_constants
                and method is self.last_method
                and (origin is self.last_origin or origin == self.last_origin)):
            return self.last_template
        key = (method, origin) if constants is None else (method, origin, *constants)
        try:
            self.last_template = self._templates.get(key)
        except TypeError:       # an option that cannot be hashed
            return None
        self.last_method, self.last_origin, self.last_constants = method, origin, constants
        return self.last_template

    cdef list read_options(self, dict options, CallOptions *call):
        """Find what a call adds to its template; returns the options that the template depends on.

        They are the list of the last call if they are the same objects as there.
        """
        cdef list constants = self.last_constants
        cdef Py_ssize_t size = 0 if constants is None else len(constants)
        cdef Py_ssize_t i = 0
        cdef bint is_same = True
        for name, value in options.items():
            if name is PATH:        # nearly always the interned name
                call.path = <PyObject *>value
            elif i < size and name is constants[i]:
                is_same = is_same and value is constants[i + 2]
                i += 3
            elif name not in VARIABLE_OPTIONS:
                is_same = False
            elif <str>name == PATH:
                call.path = <PyObject *>value
            elif <str>name == "timeout":
                call.timeout = <PyObject *>value
            else:
                call.changes_request = True
        return constants if is_same and i == size else key_of_options(options)

    cdef Exchange make_exchange(self, method, url, dict options):
        """An exchange made from a template; None if there is none for this request."""
        cdef RequestTemplate template
        cdef CallOptions call = CallOptions(NULL, NULL, False)
        cdef list constants
        cdef str path = ""
        cdef Py_ssize_t end
        if interceptor_data["current"] is not None:
            return None         # it gets the whole request
        constants = self.read_options(options, &call)
        if url is None:
            if call.path is not NULL:
                if type(<object>call.path) is not str:
                    return None
                path = <str>call.path
            template = self.get_template(method, "", constants)
        elif type(url) is not str or call.path is not NULL or not url:
            return None
        elif (<str>url)[0] == u"/":     # relative to the base
            path = url
            template = self.get_template(method, "", constants)
        else:
            end = (<str>url).find("/", 8)
            if end < 0:
                return None
            path = (<str>url)[end:]
            template = self.get_template(method, (<str>url)[:end], constants)
        return None if template is None else template.make_exchange(path, options, &call)

    def _clear_templates(self):
        """Discard all templates, because a default of the session has changed."""
        self._templates.clear()
        self.last_template = None

    def _set_template(self, tuple key not None, RequestTemplate template not None):
        """Keep a template under a key that `template_key` returned."""
        if len(self._templates) >= MAX_TEMPLATES:
            self._templates.clear()
        self._templates[key] = template
        self.last_template = None

    cdef BaseHttpResponse finish(self, Exchange exchange):
        """The final response of a request: store its cookies, give a stream its connection."""
        cdef ExchangeOptions options = exchange.options
        cdef BaseHttpResponse response = exchange._response
        try:
            if options.stores_cookies and not response.get_headers().is_absent(b"set-cookie"):
                self._store_cookies(response)
            if options.observe_response is not None:
                options.observe_response(response)
            if options.stream:
                if exchange.connection is not None:
                    exchange.connection.apply_body_limit()
                exchange.attach_stream()
            return response
        except errors.AsksException as error:
            raise shorten(with_history(error, exchange))
        finally:
            exchange.abort()

    def _send(self, method, url, dict options):
        """Return the coroutine of a request, to be awaited in curio, asyncio or trio."""
        return in_current_library(start_request(None, self, method, url, options))

    def _make(self, method, url, dict options):
        """Return the coroutine of a request, to be awaited in a kernel; see `run_exchange`."""
        return start_request(None, self, method, url, options)


cdef inline object in_current_library(coroutine):
    """Return a coroutine of a kernel as one that can be awaited in curio, asyncio and trio."""
    global hosted_call
    if thread_data().get("running") is True:
        return coroutine
    if hosted_call is None:
        hosted_call = _guest.compiled_call()
    return hosted_call(coroutine)


cdef list key_of_options(dict options):
    """Name, type and value of each option that a template depends on; None if there is none."""
    cdef list key = None
    for name, value in options.items():
        if name not in VARIABLE_OPTIONS:
            if key is None:
                key = []
            key.append(name)
            key.append(type(value))
            key.append(value)
    return key


def split_options(dict options):
    """The options that a template depends on, without the variable ones."""
    return {name: value for name, value in options.items() if name not in VARIABLE_OPTIONS}


def template_key(method, str origin, dict options):
    """The key of the template for requests with these options; None if an option cannot be hashed."""
    key = (method, origin, *(key_of_options(options) or ()))
    try:
        hash(key)
    except TypeError:
        return None
    return key
