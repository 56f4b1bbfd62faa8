# How compiled code waits in curio: objects whose iterator yields the trap tuple itself.
#
# A task waits by yielding a trap to the kernel. The kernel answers with `send`: `None` when the
# trap is done, or an exception instance to raise (cancellation, time-out).
#
# Invariants: such an object waits for one task at a time; `__await__` resets it.

@cython.final
cdef class Trap:
    """An awaitable that yields one prepared trap to the kernel; it can be awaited repeatedly."""

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

    def send(self, value):
        if isinstance(value, BaseException):
            self.is_pending = False
            if isinstance(value, OSError):     # out of memory, or too many watched descriptors
                raise errors.ServerClosedConnectionError(
                    f"the system cannot watch the connection ({value})") from value
            raise value
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        self.is_pending = False
        raise value if value is not None else kind

    def close(self):
        self.is_pending = False


@cython.final
cdef class FileHandle:
    """The file object by which the kernel's selector knows a connection.

    An object rather than a number, so that the kernel keeps the registration between two waits. It does
    not refer to the connection, so that there is no reference cycle.
    """

    has_stable_fd = True           # one open file for its whole life; asks_fast.Kernel relies on it

    def __cinit__(self, int fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def __repr__(self):
        return f"<Handle fd={self.fd}>"


cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyThreadState_Get() noexcept
    unsigned long long PyThreadState_GetID(PyThreadState *state) noexcept

cdef dict last_thread_data = None           # of the thread that asked last
cdef unsigned long long last_thread_id = 0  # a number that no other thread gets; 0 for none yet


cdef inline dict thread_data():
    """curio's data of this thread: `running`, and `kernel`, the kernel that runs in it.

    Reading an attribute of a `threading.local` costs 400 instructions, this 20.
    """
    global last_thread_data, last_thread_id
    cdef unsigned long long thread_id = PyThreadState_GetID(PyThreadState_Get())
    cdef dict _former, data
    if thread_id == last_thread_id and last_thread_data is not None:
        return last_thread_data
    data = kernel_locals.__dict__
    _former = last_thread_data      # freed last: that may run Python code, and with it other threads
    last_thread_data = data
    last_thread_id = thread_id
    return data


cdef Trap read_trap(FileHandle handle):
    return Trap(("trap_io", handle, EVENT_READ, "READ_WAIT"))
