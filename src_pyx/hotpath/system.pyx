# System calls: sockets, errno, the monotonic clock, and the shared receive buffer.
#
# Invariants: every call is non-blocking. The interpreter lock is released only where many bytes are
# moved. No code here interprets the bytes.

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_send "send"(int fd, const void *data, size_t length, int flags)
    ssize_t c_recv "recv"(int fd, void *data, size_t length, int flags)
    int c_shutdown "shutdown"(int fd, int how)
    int MSG_PEEK
    int MSG_DONTWAIT
    int SHUT_RDWR

cdef extern from *:
    """
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL        /* macOS: the socket carries SO_NOSIGPIPE instead */
    #define MSG_NOSIGNAL 0
    #endif
    """
    const int MSG_NOSIGNAL

cdef extern from *:
    """
    #include <poll.h>
    #include <sched.h>
    #include <sys/ioctl.h>
    #include <sys/socket.h>
    static int asks_unread(int fd)
    {
        int bytes = 0;
        return ioctl(fd, FIONREAD, &bytes) < 0 ? 0 : bytes;
    }
    static int asks_is_up(int fd)
    {
        struct pollfd look = {fd, 0, 0};
        return poll(&look, 1, 0) == 0;      /* errors and hang-ups are always reported */
    }
    static int asks_linger(int fd, int enough, int looks)
    {
        int bytes = 0;
        for (; looks > 0 && bytes < enough; looks--) {
            sched_yield();
            bytes = asks_unread(fd);
        }
        return bytes;
    }
    static int asks_wake_at(int fd, int bytes)
    {
    #ifdef __linux__            /* elsewhere the watermark may exceed the buffer size */
        return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    #else
        (void)fd; (void)bytes;
        return -1;
    #endif
    }
    """
    # Bytes received and not read yet; 0 if unknown.
    int unread_bytes "asks_unread"(int fd) noexcept nogil
    # Whether a connection is neither broken nor fully closed by its peer.
    bint is_up "asks_is_up"(int fd) noexcept nogil
    # As `unread_bytes`, after up to `looks` calls of sched_yield while it is below `enough`.
    int spin_for_data "asks_linger"(int fd, int enough, int looks) noexcept nogil
    # Set SO_RCVLOWAT; -1 where it is not available.
    int set_rcvlowat "asks_wake_at"(int fd, int bytes) noexcept nogil

cdef extern from "Python.h":
    # Raw pointers: a bytes object is filled before it is published.
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size)
    char *bytes_data "PyBytes_AS_STRING"(PyObject *data) noexcept
    int resize_bytes "_PyBytes_Resize"(PyObject **data, Py_ssize_t size) except -1
    void Py_XDECREF(PyObject *thing)
    unsigned long PyThread_get_thread_ident() noexcept

# Calls that move at least this many bytes release the interpreter lock.
cdef enum:
    RELEASE_GIL_FROM = 32768

cdef inline double now() noexcept nogil:
    """Return the monotonic clock in seconds."""
    cdef timespec clock
    clock_gettime(CLOCK_MONOTONIC, &clock)
    return <double>clock.tv_sec + <double>clock.tv_nsec * 1e-9


cdef inline Py_ssize_t send_bytes(int fd, const char *data, Py_ssize_t length) noexcept:
    """Return how many bytes the socket accepted, or -1 with errno set. EINTR is retried."""
    cdef Py_ssize_t sent
    while True:
        if length >= RELEASE_GIL_FROM:
            with nogil:
                sent = c_send(fd, data, <size_t>length, MSG_NOSIGNAL)
        else:
            sent = c_send(fd, data, <size_t>length, MSG_NOSIGNAL)
        if sent >= 0 or errno != EINTR:
            return sent


cdef inline Py_ssize_t recv_bytes(int fd, char *data, Py_ssize_t capacity, bint release_gil) noexcept:
    """Return how many bytes were received, 0 at the end of input, or -1 with errno set."""
    cdef Py_ssize_t received
    while True:
        if release_gil:
            with nogil:
                received = c_recv(fd, data, <size_t>capacity, 0)
        else:
            received = c_recv(fd, data, <size_t>capacity, 0)
        if received >= 0 or errno != EINTR:
            return received


cdef inline bint is_open_without_data(int fd) noexcept:
    """Whether an idle socket is open and has no data to read; only such a socket may be reused."""
    cdef char byte
    cdef Py_ssize_t received
    while True:
        received = c_recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)
        if received >= 0:
            return False
        if errno != EINTR:
            return errno == EAGAIN


@cython.final
cdef class ReceiveBuffer:
    """The buffer that all connections of a pool receive into; the parsers read parts of it.

    There is no await between a receive and the end of its parsing, so one buffer is enough.
    As a buffer object it exposes its window (`start`, `length`) without a copy.
    """

    def __cinit__(self, Py_ssize_t capacity):
        self.data = <char *>PyMem_RawMalloc(<size_t>capacity)
        if self.data is NULL:
            raise MemoryError()
        self.capacity = capacity
        self.start = self.data
        self.length = 0

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.length, 1, flags)

    cdef object writable_view(self):
        """The whole buffer as a memoryview, for TLS to decrypt into; of use while the buffer exists."""
        if self.view is None:
            self.view = PyMemoryView_FromMemory(self.data, self.capacity, 0x200)  # PyBUF_WRITE
        return self.view


# Incremented in a forked child: sockets created before the fork belong to the parent.
cdef int fork_generation = 0
