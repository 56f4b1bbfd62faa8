# Run a request: the one path by which every request is sent.
#
# Facts:  nearly all requests are made from a template, wait once, and are done. So the whole path is one
#         coroutine: each further one costs 600 instructions per request.
# Rules:  acquire, connect, send, receive, release; once more over a new connection if a kept one was
#         stale and the request may be sent again. A failure or cancellation anywhere closes the
#         connection and passes its slot on.
# Implemented elsewhere: which connection (pool.pyx), what happens on it (connection.pyx), what a
#         response leads to (asks_fast/_client/request_flow.py).


async def run_exchange(Exchange exchange, TemplateCache session=None, method=None, url=None,
                       dict arguments=None):
    """Send a request, receive its response, give the connection back; returns the response.

    Without `session`, as `Pool.run` says. With it, the exchange is made from one of its templates, and
    the request includes what its response leads to. What a template cannot express is left to
    `BaseSession._send_general`. Errors are then raised without the frames of this library.

    Cancellation at any point closes the connection in use and frees its slot.
    """
    cdef ExchangeOptions options
    cdef Exchange made
    cdef BaseHttpResponse response
    cdef Connection connection
    cdef ResponseParser parser
    cdef Pool pool
    cdef Waiter waiter
    cdef Py_ssize_t sent_bytes
    cdef int found
    while True:
        try:
            if exchange is None:
                made = session.make_exchange(method, url, arguments)
                if made is not None:
                    pool = made.options.origin.pool
                    if ((pool.wake_monitor is None or pool.kernel is not thread_data().get("kernel"))
                            and not await session._transport.ensure_monitor()):
                        made = None         # the kernel is shutting down
                if made is None:
                    return await session._send_general(method, url, arguments)
                exchange = made     # only now: an error before this has no exchange to report to
            options = exchange.options
            pool = options.origin.pool
            found = NEED_DATA
            if exchange.emitter is not None:
                response = exchange.get_response()
                exchange.emitter.begin(response)
            connection = exchange.connection
            pool.acquired_at = 0.0
            if connection is None:
                if pool.has_pending_wakeups:
                    await pool.wake_pending()
                if not exchange.force_new_connection:
                    connection = pool.get_idle(options.origin)
                elif pool.closed:
                    raise errors.SessionClosed("the session is closed")
                if connection is None:
                    waiter = pool.enqueue(options.origin)
                    if waiter is not None:
                        if options.pool_timeout > 0.0:
                            await wait_within(waiter, options.pool_timeout)
                        else:
                            await waiter
                        connection = pool.granted_connection(waiter, exchange.force_new_connection)
                        waiter = None
                    exchange.owns_slot = connection is None
                exchange.connection = connection
                if exchange.emitter is not None:
                    exchange.emitter.emit("connection_acquired", 0.0, {
                        "connection": connection, "reused": connection is not None})
                if connection is None:
                    await connect_exchange(exchange)
                    connection = exchange.connection
            response = exchange.get_response()
            connection.begin(exchange, pool.acquired_at)
            if exchange.timeout > 0.0:
                if exchange.clock_started == 0.0:
                    exchange.clock_started = response.started
                connection.set_deadline(exchange)
            if pool.next_check and (exchange.timeout > 0.0 or options.read_timeout >= 0.0):
                wake_monitor_for(pool, connection)
            parser = connection.parser
            parser.reset()
            if connection.state != IN_USE:
                raise connection_error(connection, None)
            sent_bytes = connection.send_head(exchange.head)
            if sent_bytes != PyBytes_GET_SIZE(exchange.head):
                found = await send_all(exchange, exchange.head, max(sent_bytes, 0))
                connection.last_activity = now()
            if exchange.body is not None and found == NEED_DATA:
                found = await send_body(exchange)
                connection.last_activity = now()
            connection.is_sending = False
            if response.is_timed:
                response.request_sent = now() if found == NEED_DATA else connection.last_activity
                if found == NEED_DATA and parser.state == EXPECT_HEAD:
                    response.first_byte = 0.0    # of a 100 Continue until now
            if found == NEED_DATA and parser.state == IN_BODY:
                found = HEAD_COMPLETE       # it came while the request was sent
            while found == NEED_DATA or (found == HEAD_COMPLETE and not options.stream):
                if found == HEAD_COMPLETE:
                    if options.is_followup(parser.status):
                        break       # its head is needed before its body is read (followup.pyx)
                    if parser.length - parser.body_bytes >= DIRECT_FROM:
                        response.body = await _read_body_into_buffer(connection)
                        found = MESSAGE_COMPLETE
                        break
                    if parser.length == CHUNKED and parser.body_bytes >= DIRECT_CHUNKED_FROM:
                        response.body = await _read_chunked_into_buffer(connection)
                        found = MESSAGE_COMPLETE
                        break
                if not connection.has_buffered_data():
                    connection.blocked_since = connection.last_activity
                    await connection.readable
                found = connection.receive()
            response.peer = connection.peer
            if found == MESSAGE_COMPLETE:
                if response.body is None:
                    response.body = parser.take_body()
                exchange.connection = None
                exchange.is_begun = False
                waiter = connection.finish()
                if waiter is not None:
                    await waiter.wake
            else:
                connection.is_active = False
                connection.deadline = 0.0
            if exchange.emitter is not None:
                exchange.emitter.finish(response, options.stream)
        except GeneratorExit:
            if exchange is not None:
                exchange.abort()
            raise
        except BaseException as error:
            if exchange is None:
                if isinstance(error, errors.AsksException):
                    raise shorten(error)
                raise
            exchange.stop_clock()
            exchange.add_context(error)
            waiter = exchange.release()
            if waiter is not None:
                await waiter.wake
            if exchange.emitter is not None:
                if response.request_sent:
                    exchange.emitter.emit("sent", response.request_sent, {})
                exchange.emitter.emit("failed", 0.0, {"error": error})
            if exchange.may_resend(error):
                exchange.force_new_connection = True
                if exchange.emitter is not None:
                    exchange.emitter.emit("retry", 0.0, {"delay": 0.0})
                continue
            if session is None or not isinstance(error, errors.AsksException):
                raise
            if not options.has_retry_policy or not isinstance(error, errors.ConnectivityError):
                raise shorten(with_history(error, exchange))
            exchange.error = error
        if session is None:
            return response
        if exchange.error is None and not options.is_followup(response.status_code):
            return session.finish(exchange) if options.needs_finish else response
        following = None
        if exchange.error is None and options.max_redirects and exchange.emitter is None:
            following = session._next_exchange(exchange)
        if following is None:
            return await continue_in_flow(session, method, url, arguments, exchange)
        exchange = following


cdef object start_request = run_exchange    # a look-up in the module costs more


async def continue_in_flow(TemplateCache session, method, url, dict arguments, Exchange exchange):
    """Leave an exchange that failed, or leads to another request, to a `RequestFlow`."""
    try:
        return await session._send_general(method, url, arguments, exchange)
    except errors.AsksException as error:
        raise shorten(with_history(error, exchange))
    finally:
        exchange.abort()


cdef object with_history(error, Exchange exchange):
    """An error, and the responses that led to the exchange that failed."""
    if exchange.history is not None and not error.history:
        error.history = exchange.history
    return error
