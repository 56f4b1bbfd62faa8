# Responses that may lead to another request: redirects, challenges, statuses to be retried.
#
# Facts:  nearly all of them arrive whole with their head, and are read like any other. `Pool.run` stops
#         at the head of the others, because only the header fields tell where they lead.
# Rules:  until one of the two functions is done with it, the connection is in use and is not read from.
# Implemented elsewhere: what follows, and how much of a body is worth reading
#         (asks_fast/_client/drain.py).


async def read_remaining(Exchange exchange not None, long long max_bytes=-1):
    """Read the body of a response at whose head the exchange stopped, to its end.

    With `max_bytes`, only if it ends within so many bytes, and within `max_body`: else the connection
    is closed, the response has what came of its body, and never is complete. Raises as `Pool.run`
    does; then, and when it is cancelled at any point, the connection is closed and the next waiter
    gets its slot.
    """
    cdef Connection connection = exchange.connection
    cdef BaseHttpResponse response = exchange._response
    cdef ResponseParser parser
    cdef int found = HEAD_COMPLETE
    cdef Waiter next_waiter
    if connection is None:
        raise errors.SessionClosed("the response was closed before its body was read")
    parser = connection.parser
    try:
        if connection.state != IN_USE or connection.response is not response:
            raise connection_error(connection, None)
        connection.is_active = True
        connection.last_activity = now()
        if max_bytes < 0:
            parser.apply_limit()
        while (found == HEAD_COMPLETE and not parser.is_too_large
               and (max_bytes < 0 or (parser.body_bytes <= max_bytes and parser.length <= max_bytes))):
            if max_bytes < 0 and parser.length - parser.body_bytes >= DIRECT_FROM:
                response.body = await _read_body_into_buffer(connection)
                found = MESSAGE_COMPLETE
                break
            if not connection.has_buffered_data():
                connection.blocked_since = connection.last_activity
                await connection.readable
            found = connection.receive()
        if response.body is None:
            response.body = parser.take_body()
        exchange.connection = None
        if found == MESSAGE_COMPLETE:
            next_waiter = connection.finish()
        else:
            next_waiter = connection.pool.release(connection, False)
        if next_waiter is not None:
            await next_waiter.wake
    except GeneratorExit:
        exchange.abort()
        raise
    except BaseException as error:
        add_request_context(connection, error, response)
        if response.body is None:
            response.body = parser.take_body()
        next_waiter = exchange.release()
        if next_waiter is not None:
            await next_waiter.wake
        raise
