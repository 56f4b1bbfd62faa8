# What the operating system gives: sockets, errno, the monotonic clock, and one receive buffer.
#
# Rules:  every call here is non-blocking; the interpreter lock is released only where many bytes move.
# Not here: anything that knows what the bytes mean.

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetInterrupt
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, ENOMEM, errno
from libc.string cimport memchr, memcmp, memcpy, memmove
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import os
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import socket as Socket
from weakref import WeakSet

from curio.errors import TaskTimeout
from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser
from multidict import getversion

from asks_fast import errors
from asks_fast._config import interceptor
from asks_fast._deadlines import ignore_after, timeout_after
from asks_fast._tracebacks import shorten

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
        return poll(&look, 1, 0) == 0;      /* errors and hang-ups are told unasked */
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
    #ifdef __linux__            /* elsewhere the mark may lie above what the buffer ever holds */
        return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    #else
        (void)fd; (void)bytes;
        return -1;
    #endif
    }
    """
    # Bytes received and not read yet; 0 if that can't be told.
    int unread_bytes "asks_unread"(int fd) noexcept nogil
    # Whether a connection is neither broken nor closed by its peer for good.
    bint is_up "asks_is_up"(int fd) noexcept nogil
    # The same, after giving way to others up to `looks` times while it is less than `enough`.
    int spin_for_data "asks_linger"(int fd, int enough, int looks) noexcept nogil
    # Report the socket as readable from so many bytes on, or at its end; -1 if that can't be had.
    int set_rcvlowat "asks_wake_at"(int fd, int bytes) noexcept nogil

cdef extern from "Python.h":
    # As raw pointers: a bytes object is filled before anybody sees it.
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size)
    char *bytes_data "PyBytes_AS_STRING"(PyObject *data) noexcept
    int resize_bytes "_PyBytes_Resize"(PyObject **data, Py_ssize_t size) except -1
    void Py_XDECREF(PyObject *thing)
    unsigned long PyThread_get_thread_ident() noexcept

# Sends and receives of at least this many bytes let other threads run meanwhile.
cdef enum:
    RELEASE_GIL_FROM = 32768

cdef inline double now() noexcept nogil:
    """Seconds of the monotonic clock: never goes back, is not the time of day."""
    cdef timespec clock
    clock_gettime(CLOCK_MONOTONIC, &clock)
    return <double>clock.tv_sec + <double>clock.tv_nsec * 1e-9


cdef inline Py_ssize_t send_bytes(int fd, const char *data, Py_ssize_t length) noexcept:
    """How many bytes the socket took; -1 with errno set otherwise (EINTR was tried again)."""
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
    """How many bytes came, 0 at the end of input; -1 with errno set otherwise."""
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
    """Whether an idle socket is still open and has said nothing: only such a one may be reused."""
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
    """The buffer that every connection of a pool receives into, shown to the parser piece by piece.

    Between a receive and the end of its parsing there is no await, so one buffer serves them all.
    As a buffer object it is the window (`start`, `length`) of itself, without a copy or a slice.
    """

    cdef char *data             # owned; `capacity` bytes
    cdef Py_ssize_t capacity
    cdef char *start            # the window: inside `data`, or bytes that the caller keeps alive
    cdef Py_ssize_t length

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

    cdef object writable(self):
        """All of it as a writable memoryview, for a TLS layer to decrypt into."""
        return PyMemoryView_FromMemory(self.data, self.capacity, 0x200)  # PyBUF_WRITE


# Bumped in a forked child: sockets made before the fork belong to the parent.
cdef int fork_generation = 0
