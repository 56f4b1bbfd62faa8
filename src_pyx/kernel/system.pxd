# Declarations for epoll, the clock and CPython's C interface.
#
# Facts:  only Linux has epoll. On other systems its functions are replaced by ones that fail, so
#         that the same code compiles. HAS_EPOLL tells Python code to pass a selector there.

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
    #else   /* compiled, but never called */
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

    /* Return the current exception, normalized and with its traceback, and clear it. */
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

    /* Raise an exception as it is: with its traceback, and without a new context. */
    static void af_raise_again(PyObject *error) {
    #if PY_VERSION_HEX >= 0x030C0000
        PyErr_SetRaisedException(Py_NewRef(error));
    #else
        PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), Py_NewRef(error),
                      PyException_GetTraceback(error));
    #endif
    }

    /* A type's slot `am_send`, by which `await` resumes a coroutine; Cython has no syntax for it.
       `af_resume` returns an exception in `*result`, so that no frame is added to its traceback. */
    typedef int (*af_resume_t)(PyObject *self, PyObject *value, PyObject **result);
    static af_resume_t af_resume;
    static PySendResult af_am_send(PyObject *self, PyObject *value, PyObject **result) {
        int outcome = af_resume(self, value, result);
        if (outcome == PYGEN_ERROR) {
            af_raise_again(*result);
            Py_CLEAR(*result);
        }
        return outcome < PYGEN_ERROR ? PYGEN_ERROR : (PySendResult)outcome;
    }
    static void af_set_am_send(PyObject *type, void *resume) {
        af_resume = (af_resume_t)resume;
        ((PyTypeObject *)type)->tp_as_async->am_send = af_am_send;
    }

    /* Return what time.monotonic() returns: seconds, rounded in the same way. */
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
    void set_am_send "af_set_am_send"(object type, void* resume) noexcept
    double c_monotonic "af_monotonic"() noexcept

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() noexcept
    ctypedef struct PyThreadState:
        pass
    PyThreadState* PyThreadState_Get() noexcept
    unsigned long long PyThreadState_GetID(PyThreadState* state) noexcept
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    # No `except`: the exception stays set for take_exception, without the cost of a `try`.
    PySendResult PyIter_Send(PyObject* coro, PyObject* value, PyObject** result) noexcept
    bint PyCoro_CheckExact(object)
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    PyObject* PyList_GET_ITEM(object, Py_ssize_t) noexcept
    void PyList_SET_ITEM(object, Py_ssize_t, PyObject*) noexcept
    PyObject* PyDict_GetItemWithError(object, object) except? NULL
    PyObject* PyTuple_GET_ITEM(object, Py_ssize_t) noexcept
    Py_ssize_t PyTuple_GET_SIZE(object) noexcept
    int METH_FASTCALL, METH_KEYWORDS
    ctypedef void* PyCFunction
    ctypedef struct PyMethodDef:
        const char* ml_name
        PyCFunction ml_meth
        int ml_flags
    object PyCFunction_New(PyMethodDef*, object)
    void Py_DECREF(PyObject*) noexcept
    void Py_INCREF(object) noexcept
