# The swift way: a request that a session has made before, with another path, query or small body.
#
# Facts:  most requests of a program differ in their path alone; the rest of the head is the same bytes.
#         A timer of curio's for `timeout=` would cost more than the whole request (12 of 22 us, on a
#         session with `timeout=30`): a limit that the keeper cannot miss is left to the keeper.
# Rules:  a plan never guesses: whatever would need quoting, cookies, auth or more than a query, a few
#         fields and a body in memory goes the long way through Python, with the same result.
# Not here: which options a plan can take, and what they are on the wire (asks_fast/_client/template_builder.py).

from curio.meta import _locals as kernel_locals      # its `kernel` is the one that runs in this thread


cdef extern from *:
    """
    static PyObject *new_instance(PyTypeObject *type, PyObject *args) {
        return type->tp_new(type, args, NULL);
    }
    """
    object new_instance(type kind, tuple args)

cdef tuple NO_ARGUMENTS = ()


def append_path(str base not None, str path not None):
    """`base/path` with exactly one slash between; None when that needs more thought than that."""
    if not is_plain_path(path) or "?" in base or path[:1] == "?" or "://" in path:
        return None
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


@cython.final
cdef class RequestTemplate:
    """The head of a session's request, cut open where the path goes."""

    cdef readonly OriginPool origin
    cdef bytes prefix               # b"GET /base"
    cdef bytes header_lines               # b" HTTP/1.1\r\nHost: …\r\n", to which more may be added
    cdef bytes suffix                # the same, closed, for a request without a body
    cdef readonly object header_names      # of the fields in it, lower case
    cdef readonly bint allows_body   # a request of this method has one, if empty
    cdef bint is_idempotent
    cdef bint retry_stale               # once more where a kept connection was stale
    cdef bint has_retry_policy            # the session's `retries` are to see what fails
    cdef object followup_statuses            # the statuses of answers that may lead on: for the long way
    cdef bint is_head_request
    cdef bint strict                # the session's `strict`
    cdef bint has_root_target                  # nothing but "/" stands in front of the path
    cdef double timeout               # the session's `timeout` in seconds; 0.0 for none
    cdef type response_class        # a subclass of ResponseCore
    cdef object encode_options               # what options add: (query, rest of head, body; limit), or None
    cdef object connect_socket              # as `Pool.connect` takes it
    cdef object ensure_monitor               # async: whether the pool has a keeper; starts one if it can

    def __cinit__(self, OriginPool origin not None, bytes method not None, bytes target not None,
                  bytes fields not None, header_names, type response_class not None, encode_options, connect_socket, ensure_monitor, *,
                  bint allows_body, bint is_idempotent, followup_statuses, bint retry_stale=True,
                  bint has_retry_policy=False, double timeout=0.0, bint strict=False):
        if not issubclass(response_class, BaseHttpResponse):
            raise TypeError(f"{response_class!r} is not a subclass of ResponseCore")
        self.origin = origin
        self.header_names = header_names
        self.allows_body = allows_body
        self.is_idempotent = is_idempotent
        self.retry_stale = retry_stale
        self.has_retry_policy = has_retry_policy
        self.followup_statuses = followup_statuses
        self.encode_options = encode_options
        self.has_root_target = target == b"/"
        self.prefix = method + b" " + (b"" if self.has_root_target else target)
        self.header_lines = b" HTTP/1.1\r\n" + fields
        self.suffix = self.header_lines + (b"Content-Length: 0\r\n\r\n" if allows_body else b"\r\n")
        self.is_head_request = method == b"HEAD"
        self.timeout = timeout
        self.strict = strict
        self.response_class = response_class
        self.connect_socket = connect_socket
        self.ensure_monitor = ensure_monitor

    cdef bytes render(self, str path, bytes query, bytes rest):
        """The head for a path behind the plan's target; None when it isn't that simple.

        `query` goes behind the path, `rest` (more fields, the empty line, a body) behind the plan's
        own fields; None for neither.
        """
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(path), first, close_after, position
        cdef const char *c
        cdef bytes head
        cdef char *out
        rest = self.suffix if rest is None else self.header_lines + rest
        if query is not None:
            if length == 0 or "?" in path or length + len(query) > MAX_PLAIN_PATH:
                return None
            rest = query + rest
        if length == 0:
            return self.prefix + (b"/" if self.has_root_target else b"") + rest
        if not is_plain_path(path):
            return None
        c = <const char *>PyUnicode_DATA(path)
        if c[0] != 47 and "://" in path:
            return None         # perhaps an absolute URL, which is not a path
        first = PyBytes_GET_SIZE(self.prefix)
        if c[0] == 63 or first > 0 and PyBytes_AS_STRING(self.prefix)[first - 1] == 47:
            return None
        if c[0] == 47 and length > 1 and c[1] == 47:
            return None         # one slash joins base and path, however many there are
        last = PyBytes_GET_SIZE(rest)
        position = first if c[0] == 47 else first + 1
        head = <bytes>PyBytes_FromStringAndSize(NULL, position + length + last)
        out = PyBytes_AS_STRING(head)
        memcpy(out, PyBytes_AS_STRING(self.prefix), <size_t>first)
        out[position - 1] = 47 if position > first else out[position - 1]
        memcpy(out + position, c, <size_t>length)
        memcpy(out + position + length, PyBytes_AS_STRING(rest), <size_t>last)
        return head

    def describe_request(self, str path not None, bytes query=None):
        """`GET http://host/path`, for errors."""
        cdef bytes head = self.render(path, query, None)
        if head is None:
            return f"{self.prefix.decode('ascii').partition(' ')[0]} {self.origin.name}"
        method, target, _ = head.split(b" ", 2)
        return f"{method.decode('ascii')} {self.origin.name}{target.decode('ascii')}"


cdef class TemplateCache:
    """The compiled base of sessions: makes by plan what requests it can, and keeps the plans."""

    cdef readonly dict _templates       # (method, origin, or "" for the session's base) -> Plan
    cdef public object _headers     # the fields of every request: a multidict
    cdef long long templates_version         # the version of `_headers` that the plans were made of

    def __cinit__(self, *args, **kwargs):
        self._templates = {}
        self.templates_version = -1

    cdef RequestTemplate get_template(self, method, str origin):
        cdef long long version = getversion(self._headers)
        if version != self.templates_version:
            self._templates.clear()
            self.templates_version = version
        return self._templates.get((method, origin))

    async def _send(self, method, url, dict options):
        """Make a request, by a plan if there is one for it, else by `_request`, the long way.

        Cancellation at any point closes the connection in use and frees its place.
        """
        cdef RequestTemplate template = None
        cdef Pool pool
        cdef Waiter waiter
        cdef Connection connection = None
        cdef Connection pending_connection = None      # at the head of an answer that may lead on
        cdef BaseHttpResponse response = None
        cdef Py_ssize_t end
        cdef bytes head = None
        cdef bytes query = None
        cdef bint force_new_connection = False, has_options = False, has_slot = False
        cdef Exchange exchange = None
        cdef double limit = 0.0, elapsed = 0.0, started = 0.0
        path = error_to_retry = None
        if interceptor.current is not None:
            pass        # it is to see the request whole
        elif url is None:
            path = options.get("path", "")
            template = self.get_template(method, "")
            has_options = len(options) > ("path" in options)
        elif type(url) is str and "path" not in options:
            has_options = len(options) > 0
            if PyUnicode_GET_LENGTH(url) > 0 and (<str>url)[0] == u"/":   # relative to the base
                path = url
                template = self.get_template(method, "")
            else:
                end = (<str>url).find("/", 8)
                if end > 0:
                    path = (<str>url)[end:]
                    template = self.get_template(method, (<str>url)[:end])
        if template is not None and type(path) is str:
            if not has_options:
                head = template.render(path, None, None)
            else:
                extra = template.encode_options(template, options)
                if extra is not None:
                    query = extra[0]
                    limit = extra[2]
                    head = template.render(path, query, extra[1])
            limit = template.timeout if limit == 0.0 else limit
        if head is not None:
            pool = template.origin.pool
            if pool.wake_monitor is None or pool.kernel is not kernel_locals.kernel:
                if not await template.ensure_monitor():
                    head = None     # the kernel is shutting down
        if head is not None:
            try:
                if pool.has_pending_wakeups:
                    await pool.wake_pending()
                # Before the loan: this may run Python, and Ctrl-C. `__init__` has nothing to do.
                response = <BaseHttpResponse>new_instance(template.response_class, NO_ARGUMENTS)
                connection = pool.get_idle(template.origin)
                if connection is None:
                    waiter = pool.enqueue(template.origin)
                    if waiter is not None:
                        await waiter
                        connection = pool.granted_connection(waiter, False)
                        waiter = None
                    has_slot = connection is None
                    if has_slot and limit <= 0.0:
                        connecting = pool.connect(template.origin, template.connect_socket)
                        has_slot = False
                        connection = await connecting
                        pool.acquired_at = 0.0
                if connection is not None:
                    connection.begin(head, response, template.is_head_request, -1, False, template.followup_statuses,
                                     template.strict, pool.acquired_at)
                if limit <= 0.0:
                    await connection.run(None, False, 0.0)
                elif limit >= MONITOR_INTERVAL and connection is not None and pool.kernel is kernel_locals.kernel:
                    started = response.started
                    connection.set_deadline(limit)
                    await connection.run(None, False, 0.0)
                else:
                    started = now()
                    exchange = Exchange()
                    exchange.owns_slot = has_slot
                    has_slot = False
                    await timeout_after(limit, run_exchange(template, connection, head, response, exchange))
                if response.status_code not in template.followup_statuses:
                    return response
                if response.completed == 0.0:
                    pending_connection = connection if connection is not None else exchange.connection
                    pending_connection.deadline = 0.0     # what is left of it the long way sees to
                    connection = exchange = None
            except errors.ServerClosedConnectionError as error:
                if error.is_stale and template.retry_stale and (template.is_idempotent or error.is_unsent):
                    force_new_connection = True    # once more, and not over another one that may be stale
                elif template.has_retry_policy:
                    error_to_retry = error
                else:
                    raise shorten(error)
                response = None
            except errors.AsksException as error:
                errors.add_request_context(error, template.describe_request(path, query))
                if not template.has_retry_policy or not isinstance(error, errors.ConnectivityError):
                    raise shorten(error)
                error_to_retry = error
                response = None
            except TaskTimeout:
                if exchange is None:
                    raise       # the limit of somebody outside
                error = errors.TotalTimeout(
                    f"{template.describe_request(path, query)}: not done within timeout={limit:g} s", limit
                )
                if response is not None and response.is_truncated:
                    error.response = response
                raise error from None
            finally:
                # Ctrl-C, or no memory, before the exchange: between two lines of curio.
                if connection is not None and response is not None and connection.response is response:
                    pool.close_nowait(connection)
                elif has_slot or exchange is not None and exchange.owns_slot:
                    pool.cancel_reservation_nowait(template.origin)
                elif exchange is not None and exchange.connection is not None and response is not None:
                    exchange.connection.close_nowait(response)
            elapsed = now() - started if started else 0.0
        try:
            if pending_connection is None:
                previous_outcome = response if error_to_retry is None else error_to_retry
                return await self._send_general(method, url, options, previous_outcome, force_new_connection, elapsed)
            return await self._send_general(method, url, options, response, force_new_connection, elapsed, pending_connection)
        except errors.AsksException as error:
            raise shorten(error)
        finally:
            if pending_connection is not None:
                pending_connection.close_nowait(response)


async def run_exchange(RequestTemplate template, Connection connection, bytes head, BaseHttpResponse response, Exchange exchange):
    """One exchange; `connection` was begun, or is None where a place was claimed for it."""
    if connection is None:
        connection = await template.origin.pool.connect(template.origin, template.connect_socket, exchange)
        exchange.connection = connection
        connection.begin(
            head, response, template.is_head_request, -1, False, template.followup_statuses, template.strict, 0.0)
    await connection.run(None, False, 0.0)
