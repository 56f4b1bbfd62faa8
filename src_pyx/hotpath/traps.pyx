# How compiled code waits in curio: objects whose iterator yields the trap tuple itself.
#
# Facts:  a task waits by yielding a trap up to the kernel, which answers with `send`: `None` when the
#         trap is done, an exception instance when it must be raised (cancellation, time-out).
# Rules:  one such object waits for one task at a time; `__await__` makes it fresh.

@cython.final
cdef class Trap:
    """An awaitable that hands one prepared trap to the kernel, again and again at no cost."""

    cdef tuple trap
    cdef bint is_pending

    def __cinit__(self, tuple trap not None):
        self.trap = trap
        self.is_pending = False

    def __await__(self):
        self.is_pending = False
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.is_pending:
            self.is_pending = False
            raise StopIteration
        self.is_pending = True
        return self.trap

    def send(self, answer):
        if isinstance(answer, BaseException):
            self.is_pending = False
            if isinstance(answer, OSError):     # no memory for one more, or too many watched
                raise errors.ServerClosedConnectionError(
                    f"the system can't watch the connection ({answer})") from answer
            raise answer
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        self.is_pending = False
        raise value if value is not None else kind

    def close(self):
        self.is_pending = False


@cython.final
cdef class FileHandle:
    """What the kernel's selector knows a connection by.

    An object of its own and not a number, so that the kernel keeps the registration between two
    waits; never the connection, so that the two don't keep each other alive.
    """

    has_stable_fd = True           # one open file all its life: asks_fast.Kernel relies on it

    cdef readonly int fd

    def __cinit__(self, int fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def __repr__(self):
        return f"<Handle fd={self.fd}>"


cdef Trap read_trap(FileHandle handle):
    return Trap(("trap_io", handle, EVENT_READ, "READ_WAIT"))
