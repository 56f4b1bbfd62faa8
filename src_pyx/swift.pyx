# The swift way: a request that a session has made before, with another path, query or small body.
#
# Facts:  most requests of a program differ in their path alone; the rest of the head is the same bytes.
#         A timer of curio's for `timeout=` would cost more than the whole request (12 of 22 us, on a
#         session with `timeout=30`): a limit that the keeper cannot miss is left to the keeper.
# Rules:  a plan never guesses: whatever would need quoting, cookies, auth or more than a query, a few
#         fields and a body in memory goes the long way through Python, with the same result.
# Not here: which options a plan can take, and what they are on the wire (asks_fast/session_plans.py).

from curio.meta import _locals as here      # its `kernel` is the one that runs in this thread


def extend_target(str front not None, str path not None):
    """`front/path` with exactly one slash between; None when that needs more thought than that."""
    if not extends_plainly(path) or "?" in front or path[:1] == "?":
        return None
    return f"{front.rstrip('/')}/{path.lstrip('/')}"


@cython.final
cdef class Plan:
    """The head of a session's request, cut open where the path goes."""

    cdef readonly OriginPool origin
    cdef bytes before               # b"GET /base"
    cdef bytes fields               # b" HTTP/1.1\r\nHost: …\r\n", to which more may be added
    cdef bytes after                # the same, closed, for a request without a body
    cdef readonly object names      # of the fields in it, lower case
    cdef readonly bint takes_body   # a request of this method has one, if empty
    cdef bint idempotent
    cdef bint resends               # once more where a kept connection was stale
    cdef bint persistent            # the session's `retries` are to see what fails
    cdef object stops_at            # the statuses of answers that may lead on: for the long way
    cdef bint headless
    cdef bint bare                  # nothing but "/" stands in front of the path
    cdef double limit               # the session's `timeout` in seconds; 0.0 for none
    cdef object response_class
    cdef object dress               # what options add: (query, rest of head, body; limit), or None
    cdef object opener              # as `Pool.furnish` takes it
    cdef object watch               # async: sees to it that the pool has a keeper

    def __cinit__(self, OriginPool origin not None, bytes method not None, bytes target not None,
                  bytes fields not None, names, response_class, dress, opener, watch, *,
                  bint takes_body, bint idempotent, stops_at, bint resends=True,
                  bint persistent=False, double limit=0.0):
        self.origin = origin
        self.names = names
        self.takes_body = takes_body
        self.idempotent = idempotent
        self.resends = resends
        self.persistent = persistent
        self.stops_at = stops_at
        self.dress = dress
        self.bare = target == b"/"
        self.before = method + b" " + (b"" if self.bare else target)
        self.fields = b" HTTP/1.1\r\n" + fields
        self.after = self.fields + (b"Content-Length: 0\r\n\r\n" if takes_body else b"\r\n")
        self.headless = method == b"HEAD"
        self.limit = limit
        self.response_class = response_class
        self.opener = opener
        self.watch = watch

    cdef bytes render(self, str path, bytes query, bytes rest):
        """The head for a path behind the plan's target; None when it isn't that simple.

        `query` goes behind the path, `rest` (more fields, the empty line, a body) behind the plan's
        own fields; None for neither.
        """
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(path), first, last, position
        cdef const char *c
        cdef bytes head
        cdef char *out
        rest = self.after if rest is None else self.fields + rest
        if query is not None:
            if length == 0 or "?" in path or length + len(query) > LONGEST_PLAIN:
                return None
            rest = query + rest
        if length == 0:
            return self.before + (b"/" if self.bare else b"") + rest
        if not extends_plainly(path):
            return None
        c = <const char *>PyUnicode_DATA(path)
        first = PyBytes_GET_SIZE(self.before)
        if c[0] == 63 or first > 0 and PyBytes_AS_STRING(self.before)[first - 1] == 47:
            return None
        if c[0] == 47 and length > 1 and c[1] == 47:
            return None         # one slash joins base and path, however many there are
        last = PyBytes_GET_SIZE(rest)
        position = first if c[0] == 47 else first + 1
        head = <bytes>PyBytes_FromStringAndSize(NULL, position + length + last)
        out = PyBytes_AS_STRING(head)
        memcpy(out, PyBytes_AS_STRING(self.before), <size_t>first)
        out[position - 1] = 47 if position > first else out[position - 1]
        memcpy(out + position, c, <size_t>length)
        memcpy(out + position + length, PyBytes_AS_STRING(rest), <size_t>last)
        return head

    def what(self, str path not None, bytes query=None):
        """`GET http://host/path`, for errors."""
        cdef bytes head = self.render(path, query, None)
        if head is None:
            return f"{self.before.decode('ascii').partition(' ')[0]} {self.origin.name}"
        method, target, _ = head.split(b" ", 2)
        return f"{method.decode('ascii')} {self.origin.name}{target.decode('ascii')}"


cdef class Planner:
    """The compiled base of sessions: makes by plan what requests it can, and keeps the plans."""

    cdef readonly dict _plans       # (method, origin, or "" for the session's base) -> Plan
    cdef public object _headers     # the fields of every request: a multidict
    cdef long long plans_of         # the version of `_headers` that the plans were made of

    def __cinit__(self, *args, **kwargs):
        self._plans = {}
        self.plans_of = -1

    cdef Plan plan_for(self, method, str origin):
        cdef long long version = getversion(self._headers)
        if version != self.plans_of:
            self._plans.clear()
            self.plans_of = version
        return self._plans.get((method, origin))

    def _ask(self, method, url, dict options):
        """The coroutine of a request, to be awaited in curio, asyncio or trio."""
        if getattr(here, "running", False):
            return self._make(method, url, options)
        return _guest.call(self._make, (method, url, options), None)

    async def _make(self, method, url, dict options):
        """Make a request, by a plan if there is one for it, else by `_request`, the long way.

        Cancellation at any point closes the connection in use and frees its place.
        """
        cdef Plan plan = None
        cdef Pool pool
        cdef Waiter waiter
        cdef Connection connection = None
        cdef Connection stopped = None      # at the head of an answer that may lead on
        cdef ResponseCore response = None
        cdef Py_ssize_t end
        cdef bytes head = None
        cdef bytes query = None
        cdef bint fresh = False, dressed = False, claimed = False
        cdef Turn turn = None
        cdef double limit = 0.0, spent = 0.0, began = 0.0
        path = failed = None
        if interception.current is not None:
            pass        # it is to see the request whole
        elif url is None:
            path = options.get("path", "")
            plan = self.plan_for(method, "")
            dressed = len(options) > ("path" in options)
        elif type(url) is str and "path" not in options:
            end = (<str>url).find("/", 8)
            if end > 0:
                path = (<str>url)[end:]
                plan = self.plan_for(method, (<str>url)[:end])
                dressed = len(options) > 0
        if plan is not None and type(path) is str:
            if not dressed:
                head = plan.render(path, None, None)
            else:
                more = plan.dress(plan, options)
                if more is not None:
                    query = more[0]
                    limit = more[2]
                    head = plan.render(path, query, more[1])
            limit = plan.limit if limit == 0.0 else limit
        if head is not None:
            try:
                pool = plan.origin.pool
                if pool.kick is None or pool.kernel is not here.kernel:
                    await plan.watch()
                if pool.owing:
                    await pool.settle()
                response = plan.response_class()    # before the loan: this may run Python, and Ctrl-C
                connection = pool.take(plan.origin)
                if connection is None:
                    waiter = pool.line_up(plan.origin)
                    if waiter is not None:
                        await waiter
                        connection = pool.turn_of(waiter, False)
                        waiter = None
                    claimed = connection is None
                    if claimed and limit <= 0.0:
                        furnishing = pool.furnish(plan.origin, plan.opener)
                        claimed = False
                        connection = await furnishing
                if connection is not None:
                    connection.begin(head, response, plan.headless, -1, False, plan.stops_at)
                if limit <= 0.0:
                    await connection.carry_out(None, False, 0.0)
                elif limit >= LONGEST_SLEEP and connection is not None and pool.kernel is here.kernel:
                    began = response.began
                    connection.end_within(limit)
                    await connection.carry_out(None, False, 0.0)
                else:
                    began = now()
                    turn = Turn()
                    turn.unused = claimed
                    claimed = False
                    await timeout_after(limit, serve(plan, connection, head, response, turn))
                if response.status_code not in plan.stops_at:
                    return response
                if response.ended == 0.0:
                    stopped = connection if connection is not None else turn.connection
                    stopped.until = 0.0     # what is left of it the long way sees to
                    connection = turn = None
            except errors.ServerClosedConnectionError as error:
                if error.stale and plan.resends and (plan.idempotent or error.unsent):
                    fresh = True    # once more, and not over another one that may be stale
                elif plan.persistent:
                    failed = error
                else:
                    raise
                response = None
            except errors.AsksException as error:
                errors.name_request(error, plan.what(path, query))
                if not plan.persistent or not isinstance(error, errors.ConnectivityError):
                    raise
                failed = error
                response = None
            except TaskTimeout:
                if turn is None:
                    raise       # the limit of somebody outside
                raise errors.TotalTimeout(
                    f"{plan.what(path, query)}: not done within timeout={limit:g} s", limit
                ) from None
            finally:
                # Ctrl-C, or no memory, before the exchange: between two lines of curio.
                if connection is not None and response is not None and connection.response is response:
                    pool.abandon(connection)
                elif claimed or turn is not None and turn.unused:
                    pool.disclaim(plan.origin)
                elif turn is not None and turn.connection is not None and response is not None:
                    turn.connection.abandon(response)
            spent = now() - began if began else 0.0
        if stopped is None:
            tried = response if failed is None else failed
            return await self._request(method, url, options, tried, fresh, spent)
        try:
            return await self._request(method, url, options, response, fresh, spent, stopped)
        finally:
            stopped.abandon(response)


async def serve(Plan plan, Connection connection, bytes head, ResponseCore response, Turn turn):
    """One exchange; `connection` was begun, or is None where a place was claimed for it."""
    if connection is None:
        connection = await plan.origin.pool.furnish(plan.origin, plan.opener, turn)
        turn.connection = connection
        connection.begin(head, response, plan.headless, -1, False, plan.stops_at)
    await connection.carry_out(None, False, 0.0)
