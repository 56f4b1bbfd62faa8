# Answers that only lead to another one: redirects, challenges, what is to be tried again.
#
# Facts:  nearly all of them come whole with their head, and are read like any other. The rest stops at
#         its head (`Connection.begin`), because it takes a look at the fields to know where it leads.
# Rules:  until one of these two is done with it, the connection is lent, and nobody reads from it.
# Not here: what leads where, and how much of it is worth reading (asks_fast/_client/drain.py).


async def read_remaining(Connection connection not None, BaseHttpResponse response not None, long long max_bytes=-1):
    """Read the body of an answer at whose head the exchange stopped, to its end.

    With `max_bytes`, only if it ends within so many bytes, and within `max_body`: else the connection is closed, the response has
    what came of its body, and never is complete. Raises as `exchange` does; then, and when it is
    cancelled at any point, the connection is closed and its place given to the next in line.
    """
    cdef ResponseParser parser = connection.parser
    cdef int found = HEAD_COMPLETE
    cdef Waiter next_waiter
    try:
        if connection.state != IN_USE or connection.response is not response:
            raise connection.make_error(None)
        connection.is_active = True
        connection.last_activity = now()
        if max_bytes < 0:
            parser.apply_limit()
        while found == HEAD_COMPLETE and not parser.is_too_large and (max_bytes < 0 or (parser.body_bytes <= max_bytes and parser.length <= max_bytes)):
            if max_bytes < 0 and parser.length - parser.body_bytes >= DIRECT_FROM:
                response.body = await _read_body_into_buffer(connection)
                found = MESSAGE_COMPLETE
                break
            if connection.tls is None or not connection.tls.pending():
                connection.blocked_since = connection.last_activity
                await connection.readable
            found = connection.receive()
        if response.body is None:
            response.body = parser.take_body()
        next_waiter = connection.finish() if found == MESSAGE_COMPLETE else connection.pool.release(connection, False)
        if next_waiter is not None:
            await next_waiter.wake
    except GeneratorExit:
        connection.pool.close_nowait(connection)
        raise
    except BaseException as error:
        connection.add_request_context(error, response)
        if response.body is None:
            response.body = parser.take_body()
        next_waiter = connection.pool.release(connection, False)
        if next_waiter is not None:
            await next_waiter.wake
        raise
