# Answers that only lead to another one: redirects, challenges, what is to be tried again.
#
# Facts:  nearly all of them come whole with their head, and are read like any other. The rest stops at
#         its head (`Connection.begin`), because it takes a look at the fields to know where it leads.
# Rules:  until one of these two is done with it, the connection is lent, and nobody reads from it.
# Not here: what leads where, and how much of it is worth reading (asks_fast/_client/drain.py).


async def read_on(Connection connection not None, ResponseCore response not None, long long most=-1):
    """Read the body of an answer at whose head the exchange stopped, to its end.

    With `most`, only if it ends within so many bytes, and within `max_body`: else the connection is closed, the response has
    what came of its body, and never is complete. Raises as `exchange` does; then, and when it is
    cancelled at any point, the connection is closed and its place given to the next in line.
    """
    cdef Reader reader = connection.reader
    cdef int found = HEAD
    cdef Waiter heir
    try:
        if connection.place != LENT or connection.response is not response:
            raise connection.broken(None)
        connection.inside = True
        connection.seen_at = now()
        if most < 0:
            reader.apply_limit()
        while found == HEAD and not reader.is_too_large and (most < 0 or (reader.got <= most and reader.length <= most)):
            if most < 0 and reader.length - reader.got >= DIRECT_FROM:
                response.body = await _read_directly(connection)
                found = END
                break
            if connection.layer is None or not connection.layer.pending():
                connection.waiting_since = connection.seen_at
                await connection.readable
            found = connection.receive()
        if response.body is None:
            response.body = reader.take_body()
        heir = connection.finish() if found == END else connection.pool.give_back(connection, False)
        if heir is not None:
            await heir.wake
    except GeneratorExit:
        connection.pool.abandon(connection)
        raise
    except BaseException as error:
        connection.explain(error, response)
        if response.body is None:
            response.body = reader.take_body()
        heir = connection.pool.give_back(connection, False)
        if heir is not None:
            await heir.wake
        raise
