# What the kernel takes from the system and from CPython's C interface.
#
# Facts:  epoll is Linux's. Elsewhere stand-ins that only fail let the same code compile; HAS_EPOLL
#         tells Python to pass a selector there.
# Not here: what is done with it.

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <time.h>
    #include <unistd.h>

    #if defined(__linux__)
    #include <sys/epoll.h>
    #define AF_HAS_EPOLL 1
    static int af_dup3(int from, int to) { return dup3(from, to, O_CLOEXEC); }
    #else   /* compiles everywhere, is used on Linux alone */
    #define AF_HAS_EPOLL 0
    #define EPOLL_CLOEXEC 0
    #define EPOLL_CTL_ADD 1
    #define EPOLL_CTL_DEL 2
    #define EPOLL_CTL_MOD 3
    #define EPOLLIN 1u
    #define EPOLLOUT 4u
    struct epoll_event { uint32_t events; union { uint64_t u64; } data; };
    static int epoll_create1(int flags) { (void)flags; errno = ENOSYS; return -1; }
    static int epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
    { (void)ep; (void)op; (void)fd; (void)event; errno = ENOSYS; return -1; }
    static int epoll_wait(int ep, struct epoll_event *events, int most, int timeout)
    { (void)ep; (void)events; (void)most; (void)timeout; errno = ENOSYS; return -1; }
    static int af_dup3(int from, int to) { (void)from; (void)to; errno = ENOSYS; return -1; }
    #endif

    /* The exception that is set, normalized, with its traceback; nothing is set afterwards. */
    static PyObject *af_take_exception(void) {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyErr_GetRaisedException();
    #else
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback != NULL) PyException_SetTraceback(value, traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
        return value;
    #endif
    }

    /* As time.monotonic(): seconds, rounded from nanoseconds in the same way. */
    static double af_monotonic(void) {
    #if AF_HAS_EPOLL
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)((long long)now.tv_sec * 1000000000LL + now.tv_nsec) / 1e9;
    #else
        return 0.0;
    #endif
    }
    """
    int AF_HAS_EPOLL
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD
    uint32_t EPOLLIN, EPOLLOUT
    ctypedef union epoll_data_t "union { uint64_t u64; }":
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int operation, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int most, int timeout) nogil
    int os_dup3 "af_dup3"(int fd, int onto)
    int os_close "close"(int fd)
    object take_exception "af_take_exception"()
    double c_monotonic "af_monotonic"() noexcept

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    # No `except`: the error stays set for take_exception, without the cost of a try.
    PySendResult PyIter_Send(PyObject* coro, PyObject* value, PyObject** result) noexcept
    bint PyCoro_CheckExact(object)
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    PyObject* PyList_GET_ITEM(object, Py_ssize_t) noexcept
    void PyList_SET_ITEM(object, Py_ssize_t, PyObject*) noexcept
    PyObject* PyDict_GetItemWithError(object, object) except? NULL
    PyObject* PyTuple_GET_ITEM(object, Py_ssize_t) noexcept
    Py_ssize_t PyTuple_GET_SIZE(object) noexcept
    void Py_DECREF(PyObject*) noexcept
