# Wait for a connection or slot, and open a connection for a slot, within the limits of the request.
#
# Rules:  a slot is used by a connection, or passed on: there is no moment in which neither holds it.
# Implemented elsewhere: names, addresses, proxies and TLS (asks_fast/_transport).


async def wait_within(Waiter waiter not None, double pool_timeout):
    """Wait for a connection or slot for at most so many seconds: `PoolTimeout`."""
    cdef OriginPool origin = waiter.origin
    try:
        await timeout_after(pool_timeout, wait_for(waiter))
    except TaskTimeout:
        raise errors.PoolTimeout(
            f"{origin.name}: waited {pool_timeout:g} s for one of {origin.pool.limit} "
            "connections; more connections=, or a longer pool_timeout=, would help",
            pool_timeout,
        ) from None


async def open_connection(OriginPool origin not None, connect_socket, Exchange exchange=None):
    """Open a connection for a reserved slot, over the socket that `connect_socket` returns.

    `connect_socket(origin)` is awaited for `(socket, peer)`. If that fails or is cancelled,
    the next waiter gets the slot. The connection is added to the pool before a signal can be
    handled, so Ctrl-C at any moment leaves no slot taken. The slot of `exchange` becomes its
    connection.
    """
    cdef Waiter next_waiter
    cdef Connection connection
    try:
        if exchange is not None:
            exchange.owns_slot = False
        sock, peer = await connect_socket(origin)
        connection = origin.pool.add_connection(origin, sock, peer)
        if exchange is not None:
            exchange.connection = connection
        return connection
    except GeneratorExit:
        origin.pool.cancel_reservation_nowait(origin)
        raise
    except BaseException:
        next_waiter = origin.pool.release_slot(origin)
        if next_waiter is not None:
            await next_waiter.wake
        raise


async def connect_exchange(Exchange exchange not None):
    """Open the connection of an exchange that owns a slot, within its time limit."""
    cdef ExchangeOptions options = exchange.options
    connect_socket = options.connect_socket
    if exchange.emitter is not None:
        connect_socket = partial(connect_socket, on_step=exchange.emitter.on_step)
    connecting = open_connection(options.origin, connect_socket, exchange)
    if exchange.timeout <= 0.0:
        await connecting
    else:
        exchange.start_clock(0.0)
        try:
            await timeout_after(exchange.time_remaining, connecting)
        except TaskTimeout:
            raise exchange.to_total_timeout() from None
    options.origin.pool.acquired_at = 0.0
