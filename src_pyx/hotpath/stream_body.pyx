# The compiled base of `StreamBody`: reading a body as received, piece by piece.
#
# Facts:  most streams have no content coding, and a small body comes with its head. Reading a chunk of
#         such a body needs no wait, no header field and no code in Python.
# Rules:  one task reads at a time. An error or a cancellation of a read closes the body. When all was
#         received, the connection may already serve another request, so the body forgets it.
# Implemented elsewhere: decompression, time limits, closing (asks_fast/_response/stream.py), receiving
#         (connection.pyx).


cdef class BaseStreamBody:
    """The compiled base of `StreamBody`: reads the body as received."""

    def __init__(self, BaseHttpResponse response not None, Connection connection=None, received=b""):
        """Initialize from the bytes of a whole body, or a connection that gives the rest of it."""
        self.attach(response, connection, received)

    cdef int attach(self, BaseHttpResponse response, Connection connection, received) except -1:
        """Become the body of a response. See `__init__`."""
        self._response_ref = PyWeakref_NewRef(response, None)
        self._response = response.copy_head()
        self._received = received
        if connection is not None:
            # Through its connections the pool must not keep alive a response that was dropped.
            connection.response = self._response
            self._connection = connection
        return 0

    def __aiter__(self):
        return self

    def __anext__(self):
        if self._connection is None and self.timeout is None and self._recorder is None:
            return _read_chunk(self)        # it does not wait, so it runs in any library
        return in_current_library(_read_chunk(self))

    cdef object take_received(self):
        """Return what came with the head, once; then `b""`."""
        received = self._received
        self._received = None
        if not received:
            return b""
        self._raw_bytes += len(received)
        if self._response._options is not None:
            self._check_size()
        return received

    async def _receive(self):
        """Return the next bytes of the body as received, `b""` at its end."""
        if self._connection is None:
            piece = self.take_received()
        else:
            try:
                piece = await self._connection.read_piece()
            except (errors.ServerClosedConnectionError, errors.ReadTimeout):
                if not self._accept_truncation():
                    raise
                piece = b""
            if self._response.completed != 0.0:
                self._connection = None
                response = self._response_ref()
                if response is not None:
                    (<BaseHttpResponse>response).take_end(self._response)
            self._raw_bytes += len(piece)
            if self._response._options is not None:
                self._check_size()
        if self._recorder is not None:
            await self._recorder.add(piece, self)
        return piece

    def __del__(self):
        if self._connection is not None and self._response.completed == 0.0:
            self._abandon()


async def _read_chunk(BaseStreamBody body):
    """Return the next chunk of a body, which is never empty: the coroutine of `__anext__`."""
    if body._ended:
        raise StopAsyncIteration
    if body.is_reading:
        raise errors.StreamConsumed("another task is reading this body")
    body.is_reading = True
    try:
        if body.timeout is not None or not body._response.is_unencoded:
            chunk = await body._next_chunk()
        elif body._connection is None and body._recorder is None:
            chunk = body.take_received()
        else:
            chunk = await body._receive()
    except BaseException as error:
        await body._close_after(error)
        if isinstance(error, errors.AsksException):
            raise shorten(error)
        raise
    finally:
        body.is_reading = False
    if not chunk:
        if body._connection is not None or body._on_close is not None or body._lease is not None:
            await body.close()
        body._ended = True
        raise StopAsyncIteration
    return chunk
