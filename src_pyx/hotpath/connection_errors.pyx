# The errors of a connection that ended too early, and what they say about the request.
#
# Rules:  an error says which request failed, how far it had come, and after how long.
# Implemented elsewhere: the exceptions (asks_fast/errors.py).


cdef object connection_error(Connection connection, error):
    """The exception for a connection that ended too early, or by an error of the system."""
    if (connection.abort_reason == SESSION_CLOSED
            or (connection.abort_reason == NOT_ABORTED and connection.state == CLOSED)):
        return errors.SessionClosed("the session was closed while the request was under way")
    if connection.abort_reason == STREAM_CLOSED:
        return errors.StreamConsumed("the body was closed while it was being read")
    if connection.abort_reason == TOTAL_TIMEOUT:
        return errors.TotalTimeout(
            f"not done within timeout={connection.timeout:g} s", connection.timeout)
    if connection.abort_reason == IDLE_TIMEOUT:
        if connection.is_sending:
            return errors.WriteTimeout(
                f"the server took no bytes for {connection.write_timeout:g} s", connection.write_timeout)
        return errors.ReadTimeout(
            f"the server was silent for {connection.read_timeout:g} s", connection.read_timeout)
    seen = connection.parser.progress()
    if error is None:
        cause = "the server closed the connection"
    elif isinstance(error, OSError) and is_enomem(error.errno):
        cause = f"the system gave up the connection ({error})"
    else:
        cause = f"the server broke the connection ({error})"
    failure = errors.ServerClosedConnectionError(f"{cause} {seen}")
    failure.is_stale = connection.request_count > 0 and not connection.has_response_bytes
    failure.is_unsent = connection.bytes_out == 0
    failure.is_reset = error is not None
    return failure


cdef void keep_partial_body(Connection connection, error, BaseHttpResponse response):
    """Give a response that broke off what arrived of its body, and the error that response."""
    cdef BytesBuilder builder = connection.builder
    connection.builder = None
    if response.body is None:
        response.body = (connection.parser.take_body() if builder is None
                         else builder.finish_at(builder.used))
    response.is_truncated = True
    if isinstance(error, errors.ConnectivityError):
        error.response = response


cdef void add_request_context(Connection connection, error, BaseHttpResponse response):
    """Add to an error which request it was, and how long after sending it happened."""
    cdef double elapsed
    if response is not None and response.head_received != 0.0:
        keep_partial_body(connection, error, response)
    if response is not None and isinstance(error, errors.AsksException) and error.args:
        elapsed = now() - response.started
        after = f" [{elapsed:.3f} s after sending]" if elapsed >= 0.001 else ""
        error.args = (f"{response.describe_request()}: {error.args[0]}{after}", *error.args[1:])
