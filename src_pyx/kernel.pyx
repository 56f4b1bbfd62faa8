"""The run loop of curio's kernel, compiled.

One question: which task runs next, and with what answer to its last trap? `Runtime` is what
`curio.Kernel._make_kernel_runtime` builds: called with a coroutine it runs until that task ends.

Facts:  a trap is a tuple whose first item names it. One turn of the loop is curio's: poll, timers,
        then every task that is ready by then, once.
Rules:  what curio's kernel does in an order that a program can see is done here in that order.
        A task is queued once at most. No Python frame between a descriptor that becomes readable
        and the coroutine that waits for it. An error inside a trap is the end of the kernel, as in
        curio; only a file that can't be waited for is an error of the task that asked.
Not here: the options of a kernel and its shutdown (asks_fast/kernel.py, curio.Kernel); fields of
        a task (kernel_task.pyx), deadlines (kernel_timers.pyx), descriptors (kernel_poll.pyx).
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.errno cimport EEXIST, EINTR, ENOENT, errno
from libc.math cimport INFINITY, ceil
from libc.stdint cimport uint32_t, uint64_t

import errno as errno_module
import logging
import time
from collections import deque
from selectors import SelectorKey
from socket import socket as StdSocket
from socket import socketpair

from curio.errors import (
    CancelledError,
    ReadResourceBusy,
    TaskCancelled,
    TaskTimeout,
    WriteResourceBusy,
)
from curio.io import _Fd as Fd
from curio.kernel import Activation
from curio.kernel import log as KERNEL_LOG
from curio.sched import SchedBarrier, SchedFIFO

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
    PyObject* PyList_GET_ITEM(object, Py_ssize_t) noexcept
    void PyList_SET_ITEM(object, Py_ssize_t, PyObject*) noexcept
    PyObject* PyDict_GetItemWithError(object, object) except? NULL
    PyObject* PyTuple_GET_ITEM(object, Py_ssize_t) noexcept
    Py_ssize_t PyTuple_GET_SIZE(object) noexcept
    void Py_DECREF(PyObject*) noexcept

HAS_EPOLL = bool(AF_HAS_EPOLL)

cdef int MAX_FD = 0x7ffffffe
cdef object EINVAL = errno_module.EINVAL
cdef object WSAEINVAL = getattr(errno_module, "WSAEINVAL", errno_module.EINVAL)
cdef object TASK_LOG = logging.getLogger("curio.task")
cdef object MONOTONIC = time.monotonic

include "kernel_task.pyx"
include "kernel_timers.pyx"
include "kernel_poll.pyx"


cdef enum Trap:
    TRAP_IO
    TRAP_IO_RELEASE
    TRAP_IO_WAITING
    TRAP_FUTURE_WAIT
    TRAP_SPAWN
    TRAP_CANCEL_TASK
    TRAP_SCHED_WAIT
    TRAP_SCHED_WAKE
    TRAP_CLOCK
    TRAP_SLEEP
    TRAP_SET_TIMEOUT
    TRAP_UNSET_TIMEOUT
    TRAP_GET_KERNEL
    TRAP_GET_CURRENT

# name: (number, fewest arguments, most arguments)
cdef dict TRAPS = {
    "trap_io": (TRAP_IO, 3, 3),
    "trap_io_release": (TRAP_IO_RELEASE, 1, 1),
    "trap_io_waiting": (TRAP_IO_WAITING, 1, 1),
    "trap_future_wait": (TRAP_FUTURE_WAIT, 2, 2),
    "trap_spawn": (TRAP_SPAWN, 1, 1),
    "trap_cancel_task": (TRAP_CANCEL_TASK, 1, 3),
    "trap_sched_wait": (TRAP_SCHED_WAIT, 2, 2),
    "trap_sched_wake": (TRAP_SCHED_WAKE, 2, 2),
    "trap_clock": (TRAP_CLOCK, 0, 0),
    "trap_sleep": (TRAP_SLEEP, 1, 1),
    "trap_set_timeout": (TRAP_SET_TIMEOUT, 1, 1),
    "trap_unset_timeout": (TRAP_UNSET_TIMEOUT, 1, 1),
    "trap_get_kernel": (TRAP_GET_KERNEL, 0, 0),
    "trap_get_current": (TRAP_GET_CURRENT, 0, 0),
}


@cython.final
cdef class TrapHandler:
    """An entry of `Kernel._traps`: known to the loop by number, callable from Python."""

    cdef Runtime runtime
    cdef readonly str name
    cdef Trap number
    cdef Py_ssize_t fewest          # arguments that the trap takes
    cdef Py_ssize_t most

    def __repr__(self):
        return f"<TrapHandler {self.name}>"

    def __call__(self, *args):
        self.runtime.trap(self, (self.name, *args))


@cython.final
cdef class Waker:
    """What a future calls when it is done, from whatever thread that happens in."""

    cdef Runtime runtime
    cdef TaskCore task

    def __call__(self, future):
        self.runtime.wake(self.task, future)


@cython.final
cdef class Runtime:
    """One kernel at work. Call it with a coroutine to run that to its end, or None for one turn."""

    cdef object kernel              # the asks_fast.Kernel it belongs to
    cdef dict tasks                 # Kernel._tasks: id → task, all that have not ended
    cdef dict traps                 # Kernel._traps: name → TrapHandler, or what a user put there
    cdef list activations           # Kernel._activations, instances
    cdef object task_class          # makes a TaskCore of (coroutine, parent)
    cdef Poller poller
    cdef Timers timers
    cdef double max_wait            # seconds, negative: no limit
    cdef object clock               # None: the system's monotonic clock, else a callable
    cdef TaskCore current           # the running task; None once it is parked or has ended
    cdef unsigned long long born    # tasks made by this kernel

    # The ready queue: a ring of `room` places, a power of two; `waiting` are taken, from `head` on.
    cdef list ring
    cdef Py_ssize_t room
    cdef Py_ssize_t head
    cdef Py_ssize_t waiting

    # Wake-ups from other threads: queued, then announced by one byte through a socket pair.
    cdef object woken               # deque of (task, future)
    cdef bint announced             # a byte is under way
    cdef object bell
    cdef readonly object bell_heard     # the end that the kernel task waits on

    def __init__(self, kernel, task_class, kernel_task):
        self.kernel = kernel
        self.tasks = kernel._tasks
        self.task_class = task_class
        selector = kernel._selector
        self.poller = selector if isinstance(selector, Poller) else Selector(selector)
        self.timers = Timers()
        self.max_wait = kernel._max_select_timeout or -1.0
        self.clock = None if AF_HAS_EPOLL and time.monotonic is MONOTONIC else time.monotonic
        self.room = 64
        self.ring = [None] * self.room
        self.woken = deque()
        self.make_traps()
        self.activations = []
        kernel._activations = self.activations = [
            act() if isinstance(act, type) and issubclass(act, Activation) else act
            for act in kernel._activations]
        for act in self.activations:
            act.activate(kernel)
        self.bell, self.bell_heard = socketpair()
        for end in (self.bell, self.bell_heard):
            end.setblocking(False)
            kernel._call_at_shutdown(end.close)
        self.new_task(kernel_task(self)).daemon = True

    cdef int make_traps(self) except -1:
        cdef TrapHandler handler
        self.traps = {}
        for name, (number, fewest, most) in TRAPS.items():
            handler = TrapHandler.__new__(TrapHandler)
            handler.runtime = self
            handler.name = name
            handler.number = number
            handler.fewest = fewest
            handler.most = most
            self.traps[name] = handler
        self.kernel._traps = self.traps
        return 0

    # -- the loop

    def __call__(self, coro):
        cdef TaskCore main = self.new_task(coro) if coro else None
        cdef Py_ssize_t _turn
        coro = None
        while True:
            self.poller.poll(self, self.patience(main is not None))
            if PyList_GET_SIZE(self.timers.heap):
                self.ring_alarms(self.now())
            for _turn in range(self.waiting):
                self.step(self.dequeue(), main)
            if main is None:
                return None
            if main.terminated:
                main.joined = True
                return main

    cdef double patience(self, bint until_end) except? -2.0:
        """How long the next poll may wait; negative: for ever."""
        cdef double wait = -1.0
        if self.waiting or not until_end:
            return 0.0
        if PyList_GET_SIZE(self.timers.heap):
            wait = max(self.timers.first().due - self.now(), 0.0)
        if self.max_wait > 0 and (wait < 0 or wait > self.max_wait):
            wait = self.max_wait
        return wait

    cdef inline double now(self) except? -1.0:
        return c_monotonic() if self.clock is None else self.clock()

    cdef int step(self, TaskCore task, TaskCore main) except -1:
        """Run one task until it parks or ends."""
        cdef PyObject* result
        cdef object value, trap = None
        self.current = task
        for act in self.activations:
            act.running(task)
        task.state = "RUNNING"
        task.cycles += 1
        while self.current is not None:
            value = task._trap_result
            if task.driven is None:
                sent, value = self.send(task, value)
            else:
                sent = PyIter_Send(<PyObject*> task.driven, <PyObject*> value, &result)
                if sent == PYGEN_ERROR:
                    value = take_exception()
                else:
                    value = <object> result
                    Py_DECREF(result)
            if sent == PYGEN_NEXT:
                trap = value
                task._trap_result = None
                self.serve_trap(trap)
            elif sent == PYGEN_RETURN:
                self.end(task, main, value, None)
            else:
                self.end(task, main, None, value)
        if task.io_state == IO_HELD:
            self.poller.drop(task)
        for act in self.activations:
            act.suspended(task, trap)
            if task.terminated:
                act.terminated(task)
        return 0

    cdef tuple send(self, TaskCore task, object value):
        """As PyIter_Send, by way of the task's own `send`, which a subclass may have replaced."""
        try:
            return (<int> PYGEN_NEXT, task.send(value))
        except StopIteration as stop:
            return (<int> PYGEN_RETURN, stop.value)
        except BaseException as error:
            return (<int> PYGEN_ERROR, error)

    cdef int end(self, TaskCore task, TaskCore main, object value, object error) except -1:
        """The task's coroutine is done: tell its group, then those who join it."""
        if task.leaving:
            if error is None:
                value, error = task._final_result, task._final_exc
            elif error.__context__ is None:
                error.__context__ = task._final_exc
        elif task.runner is None and task.taskgroup:
            task.leaving = True
            task.joined = True
            task._trap_result = None
            task._final_result, task._final_exc = value, error
            try:
                task.driven = coroutine_of(task.taskgroup._task_done(task))
                return 0
            except BaseException as failure:
                error = failure
        self.current = None
        if task.barrier is not None:
            self.wake_from(task.barrier, len(task.barrier))
        task.terminated = True
        task.state = "TERMINATED"
        del self.tasks[task.id]
        self.set_timeout(task, None)
        task.runtime = None     # who keeps the task for its result doesn't keep the kernel
        task._final_result, task._final_exc = value, error
        if error is None:
            return 0
        task._final_result = None
        if task is not main and not isinstance(error, (CancelledError, SystemExit)):
            KERNEL_LOG.error("Task Crash: %r", task, exc_info=error)
        if not isinstance(error, (Exception, CancelledError)):
            if task.io_state == IO_HELD:
                self.poller.drop(task)
            raise error
        return 0

    # -- tasks

    cdef TaskCore new_task(self, object coro):
        cdef TaskCore task = <TaskCore?> self.task_class(coro, self.current)
        task.runtime = self
        self.born += 1
        task.serial = self.born
        self.tasks[task.id] = task
        self.enqueue(task)
        for act in self.activations:
            act.created(task)
        return task

    cdef int enqueue(self, TaskCore task) except -1:
        """Let the task run in its turn. To queue it twice would answer one trap twice: refused."""
        if task.queued:
            raise AssertionError(f"{task!r} is in the ready queue already")
        if self.waiting == self.room:
            self.ring = self.ring[self.head:] + self.ring[:self.head] + [None] * self.room
            self.head = 0
            self.room *= 2
        self.ring[(self.head + self.waiting) & (self.room - 1)] = task
        self.waiting += 1
        task.queued = True
        task.state = "READY"
        task.parked = NOT_PARKED
        task.unpark = None
        task.place = None
        return 0

    cdef inline TaskCore dequeue(self):
        cdef TaskCore task = <TaskCore> self.ring[self.head]
        self.ring[self.head] = None
        self.head = (self.head + 1) & (self.room - 1)
        self.waiting -= 1
        task.queued = False
        return task

    cdef int park(self, object state, Parked how) except -1:
        """Take the running task off the processor."""
        cdef TaskCore task = self.current
        task.state = state
        task.parked = how
        if task.io_state == IO_HELD:
            self.poller.drop(task)
        self.current = None
        return 0

    cdef int leave_wait(self, TaskCore task) except -1:
        """Undo what the parked task waits for, so that something else may wake it."""
        if task.parked == PARKED_IO:
            self.poller.drop(task)
        elif task.parked == PARKED_SLEEP:
            self.set_sleep(task, None)
        elif task.parked == PARKED_FUTURE:
            task.future.cancel()
            task.future = None
        elif task.parked == PARKED_FIFO:
            task.place[0] = None
            task.unpark._actual_len -= 1
        elif task.parked == PARKED_BARRIER:
            task.unpark._tasks.remove(task)
        elif task.parked == PARKED_CALL:
            task.unpark()
        return 0

    cdef bint takes_cancellation(self) except -1:
        """A cancellation that waited for a blocking trap is the answer to this one."""
        cdef TaskCore task = self.current
        if task.cancel_pending is None or not task.allow_cancel:
            return False
        task._trap_result = task.cancel_pending
        task.cancel_pending = None
        return True

    # -- time

    cdef int set_sleep(self, TaskCore task, object clock) except -1:
        task.sleep = clock
        task.sleep_at = deadline(clock)
        return self.timers.reschedule(task)

    cdef int set_timeout(self, TaskCore task, object clock) except -1:
        task.timeout = clock
        task.timeout_at = deadline(clock)
        return self.timers.reschedule(task)

    cdef int ring_alarms(self, double now) except -1:
        """Serve every deadline up to `now`, in order."""
        cdef TaskCore task = self.timers.first()
        cdef double due
        cdef bint is_valid
        while task is not None and task.due <= now:
            due = task.due
            if task.sleep_at == due:
                is_valid = deadline(task.sleep) == due      # else someone took it back by hand
                self.set_sleep(task, None)
                if is_valid:
                    task._trap_result = now
                    self.enqueue(task)
            else:
                is_valid = deadline(task.timeout) == due
                self.set_timeout(task, None)
                if is_valid and task.allow_cancel and task.parked:
                    self.leave_wait(task)
                    task._trap_result = TaskTimeout(now)
                    self.enqueue(task)
                elif is_valid:
                    task.cancel_pending = TaskTimeout(now)
            task = self.timers.first()
        return 0

    # -- other threads

    cdef int wake(self, TaskCore task, object future) except -1:
        """Have the kernel wake the task, which waits for the future. Called from any thread."""
        self.woken.append((task, future))
        if not self.announced:
            self.announced = True
            try:
                self.bell.send(b"\0")
            except OSError:
                pass        # the kernel was shut down meanwhile: nobody is left to wake
        return 0

    def deliver_wakes(self):
        """Queue the tasks that other threads have woken. Called by the kernel task."""
        cdef TaskCore task
        self.bell_heard.recv(64)
        # In this order: a thread that comes in between rings again.
        self.announced = False
        while self.woken:
            task, future = self.woken.popleft()
            # A task that was cancelled or timed out has left this future, maybe for another.
            if task.future is future and not task.queued:
                task.future = None
                self.enqueue(task)

    # -- traps

    cdef int serve_trap(self, object trap) except -1:
        cdef PyObject* found
        try:
            if type(trap) is not tuple:
                trap = tuple(trap)
            found = PyDict_GetItemWithError(self.traps, (<tuple> trap)[0])
            if found == NULL:
                raise KeyError((<tuple> trap)[0])
            if type(<object> found) is TrapHandler:
                self.trap(<TrapHandler> found, <tuple> trap)
            else:
                (<object> found)(*(<tuple> trap)[1:])
        except BaseException:
            self.give_up()
            raise
        return 0

    cdef int give_up(self) except -1:
        """A trap failed, so the kernel's own state may be half changed: no further use of it."""
        cdef TaskCore task
        self.kernel._shutdown_funcs = None
        for task in self.tasks.values():
            task.runtime = None
        self.bell.close()
        self.bell_heard.close()
        if isinstance(self.poller, Epoll):
            (<Epoll> self.poller).close()
        return 0

    cdef int trap(self, TrapHandler handler, tuple request) except -1:
        """Do what the running task asks for; its answer goes to `_trap_result`."""
        cdef TaskCore task = self.current
        cdef Py_ssize_t given = PyTuple_GET_SIZE(request) - 1
        cdef Trap number = handler.number
        if task is None:
            raise RuntimeError(f"{handler.name} needs a running task")
        if not handler.fewest <= given <= handler.most:
            raise TypeError(f"{handler.name} takes {handler.fewest} to {handler.most} arguments, "
                            f"{given} given")
        if number == TRAP_IO:
            if not self.takes_cancellation():
                refused = self.poller.start(task, request[1], request[2])
                if refused is None:
                    self.park(request[3], PARKED_IO)
                else:
                    task._trap_result = refused
        elif number == TRAP_IO_RELEASE:
            if task.io_state == IO_HELD:
                self.poller.drop(task)
            self.poller.release(request[1])
        elif number == TRAP_IO_WAITING:
            task._trap_result = self.poller.waiting(request[1])
        elif number == TRAP_FUTURE_WAIT:
            if not self.takes_cancellation():
                self.wait_for_future(task, request[1], request[2])
        elif number == TRAP_SPAWN:
            task._trap_result = self.new_task(request[1])
        elif number == TRAP_CANCEL_TASK:
            self.cancel(request[1], request[2] if given > 1 else TaskCancelled,
                        request[3] if given > 2 else None)
        elif number == TRAP_SCHED_WAIT:
            if not self.takes_cancellation():
                self.wait_on(task, request[1], request[2])
        elif number == TRAP_SCHED_WAKE:
            self.wake_from(request[1], request[2])
        elif number == TRAP_CLOCK:
            task._trap_result = self.now()
        elif number == TRAP_SLEEP:
            if not self.takes_cancellation():
                self.sleep(task, request[1])
        elif number == TRAP_SET_TIMEOUT:
            self.enter_timeout(task, request[1])
        elif number == TRAP_UNSET_TIMEOUT:
            self.leave_timeout(task, request[1])
        elif number == TRAP_GET_KERNEL:
            task._trap_result = self.kernel
        elif number == TRAP_GET_CURRENT:
            task._trap_result = task
        return 0

    cdef int wait_on(self, TaskCore task, object sched, object state) except -1:
        """Park the task on a scheduler primitive, curio's own two without a call into Python."""
        if type(sched) is SchedFIFO:
            task.place = [task]
            sched._queue.append(task.place)
            sched._actual_len += 1
            task.unpark = sched
            return self.park(state, PARKED_FIFO)
        if type(sched) is SchedBarrier:
            sched._tasks.add(task)
            task.unpark = sched
            return self.park(state, PARKED_BARRIER)
        task.unpark = sched._kernel_suspend(task)
        return self.park(state, PARKED_CALL)

    cdef int wake_from(self, object sched, object count) except -1:
        """Queue so many of those who wait on a scheduler primitive, in its order."""
        cdef Py_ssize_t left
        if type(sched) is SchedFIFO:
            left = count
            while left > 0:
                waiter = sched._queue.popleft()[0]
                if waiter is not None:      # else it was cancelled
                    self.enqueue(waiter)
                    sched._actual_len -= 1
                    left -= 1
            return 0
        for waiter in sched._kernel_wake(count):
            self.enqueue(waiter)
        return 0

    cdef int wait_for_future(self, TaskCore task, object future, object event) except -1:
        cdef Waker waker = Waker.__new__(Waker)
        waker.runtime = self
        waker.task = task
        task.future = future
        future.add_done_callback(waker)
        if event:
            event.set()     # lets a worker start only now that its result will be noticed
        return self.park("FUTURE_WAIT", PARKED_FUTURE)

    cdef int cancel(self, TaskCore task, object exc, object val) except -1:
        if task.cancelled:
            return 0
        task.cancelled = True
        self.set_timeout(task, None)    # it is cancelled already, there is nothing left to time out
        if isinstance(exc, BaseException):
            task.cancel_pending = exc
        else:
            task.cancel_pending = exc(exc.__name__ if val is None else val)
        # Not parked: it gets the exception at its next blocking trap.
        if task.allow_cancel and task.parked:
            self.leave_wait(task)
            task._trap_result = task.cancel_pending
            task.cancel_pending = None
            self.enqueue(task)
        return 0

    cdef int sleep(self, TaskCore task, object seconds) except -1:
        cdef double delay = seconds
        cdef double now = self.now()
        if delay <= 0:
            task._trap_result = now
            self.enqueue(task)
            self.current = None
            return 0
        self.set_sleep(task, now + delay)
        return self.park("TIME_SLEEP", PARKED_SLEEP)

    cdef int enter_timeout(self, TaskCore task, object clock) except -1:
        """A time-out inside another never ends later than the outer one."""
        outer = task.timeout
        if clock is not None:
            self.set_timeout(task, outer if outer and clock > outer else clock)
        task._trap_result = outer
        return 0

    cdef int leave_timeout(self, TaskCore task, object outer) except -1:
        cdef double now = self.now()
        self.set_timeout(task, outer)
        task._trap_result = now
        # An outer time-out that has passed by now rings with the next turn of the loop. One that
        # has not, or none: then a time-out under way belongs to the block that is being left.
        if not (outer and 0 <= outer < now) and isinstance(task.cancel_pending, TaskTimeout):
            task.cancel_pending = None
        return 0


cdef double deadline(object clock) except? -1.0:
    """A point on the kernel clock as the timers hold it; None and NaN never come."""
    cdef double point
    if clock is None:
        return INFINITY
    point = clock
    return point if point == point else INFINITY


async def awaited(awaitable):
    return await awaitable


cdef object coroutine_of(object awaitable):
    return awaitable if PyCoro_CheckExact(awaitable) else awaited(awaitable)
