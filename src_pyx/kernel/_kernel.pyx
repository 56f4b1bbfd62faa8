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
        a task (kernel_task.pyx), deadlines (kernel_timers.pyx), descriptors (kernel_poll.pyx,
        kernel_selector.pyx), what each trap does (kernel_traps.pyx).
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
from curio.meta import _locals as here      # `kernel`: the one that runs in this thread
from curio.sched import SchedBarrier, SchedFIFO

include "system.pyx"

HAS_EPOLL = bool(AF_HAS_EPOLL)

cdef int MAX_FD = 0x7ffffffe
cdef object EINVAL = errno_module.EINVAL
cdef object WSAEINVAL = getattr(errno_module, "WSAEINVAL", errno_module.EINVAL)
cdef object TASK_LOG = logging.getLogger("curio.task")
cdef object MONOTONIC = time.monotonic

include "task.pyx"
include "timers.pyx"
include "epoll.pyx"
include "selector.pyx"
include "traps.pyx"
include "guest.pyx"
include "hosted_tasks.pyx"


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

    # A guest kernel has a host: an event loop that calls `turn` (guest.pyx).
    cdef readonly object host           # None: this kernel has a loop of its own
    cdef object failure                 # the error that ended a guest kernel
    cdef bint turning                   # `turn` is on the stack
    cdef bint turn_due                  # the host was asked to call `turn` soon
    cdef double alarm_at                # when the host will call `on_alarm`, or infinity

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
        self.alarm_at = INFINITY
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
        coro = None
        while True:
            self.run_once(self.patience(main is not None), main)
            if main is None:
                return None
            if main.terminated:
                main.joined = True
                return main

    cdef int run_once(self, double wait, TaskCore main) except -1:
        """Poll for `wait` seconds, serve the timers, then let each ready task run once."""
        cdef TaskCore task
        cdef Py_ssize_t _turn
        self.poller.poll(self, wait)
        if PyList_GET_SIZE(self.timers.heap):
            self.ring_alarms(self.now())
        for _turn in range(self.waiting):
            task = self.dequeue()
            if task.hosted is None:
                self.step(task, main)
            else:
                task.hosted.resume()
        return 0

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
            if task.thrown is not None:
                sent, value = throw_into(task)
            elif task.driven is None:
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
                if task.hosted is not None and type(trap) is not tuple:
                    pass_to_host(self, task, trap)
                else:
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
            wake_from(self, task.barrier, len(task.barrier))
        task.terminated = True
        task.state = "TERMINATED"
        del self.tasks[task.id]
        self.set_timeout(task, None)
        task.runtime = None     # who keeps the task for its result doesn't keep the kernel
        task._final_result, task._final_exc = value, error
        if error is None:
            return 0
        task._final_result = None
        if task.hosted is not None and task.hosted.reports:
            return 0        # to the host's task, which awaits this one
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
        if self.host is None or getattr(coro, "cr_code", None) in internal_tasks:
            self.enqueue(task)
        else:
            start_in_host(self, task)
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
        if self.host is not None and not self.turning:
            self.ask_for_turn()
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
        task.state = state if type(state) is str else str(state)
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

    cdef int interrupt(self, TaskCore task, object error) except -1:
        """Raise the error in a task: now if it waits, else at its next blocking trap."""
        if not task.allow_cancel or task.parked == NOT_PARKED:
            task.cancel_pending = error
            if task.is_foreign and task.allow_cancel:
                task.hosted.break_wait()
            return 0
        self.leave_wait(task)
        task._trap_result = error
        return self.enqueue(task)

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
                if is_valid:
                    self.interrupt(task, TaskTimeout(now))
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

    # -- for a host (guest.pyx)

    def turn(self, _guard=None):
        """Poll without waiting, and let each ready task run once."""
        if self.host is None:
            return
        self.turn_due = False
        self.turning = True
        self.take_thread()
        try:
            self.run_once(0.0, None)
        finally:
            self.turning = False
            if self.host is not None:
                if self.waiting:
                    self.ask_for_turn()
                self.set_alarm()

    def on_alarm(self):
        """The host's timer has come."""
        self.alarm_at = INFINITY
        self.turn()

    cdef inline int take_thread(self) except -1:
        """This is the kernel of the thread, until a kernel runs by itself or another loop does."""
        global last_taken
        last_taken = self
        if getattr(here, "kernel", None) is not self.kernel:
            here.kernel = self.kernel
        return 0

    cdef int ask_for_turn(self) except -1:
        if not self.turn_due:
            self.turn_due = True
            self.host.call_soon()
        return 0

    cdef int set_alarm(self) except -1:
        """Have the host call when the first timer is due. Being called too early does no harm."""
        cdef double due
        if PyList_GET_SIZE(self.timers.heap):
            due = self.timers.first().due
            if due < self.alarm_at:
                self.alarm_at = due
                self.host.call_after(max(due - self.now(), 0.0))
        return 0

    def attach(self, Host host):
        """Make this the kernel of a host; None when the host's loop has ended.

        Hosted tasks that are left then are the kernel's own, which ends them at its shutdown.
        """
        global last_taken
        cdef TaskCore task
        self.host = host
        if host is not None:
            host.runtime = self
            if self.waiting:
                self.ask_for_turn()
            return
        last_taken = None
        if getattr(here, "kernel", None) is self.kernel:
            here.kernel = None
        for task in list(self.tasks.values()):
            if task.hosted is not None:
                orphan(self, task)

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
                do_trap(self, <TrapHandler> found, <tuple> trap)
            else:
                (<object> found)(*(<tuple> trap)[1:])
        except BaseException as error:
            self.give_up(error)
            raise
        return 0

    cdef int give_up(self, error) except -1:
        """A trap failed, so the kernel's own state may be half changed: no further use of it."""
        cdef TaskCore task
        if self.host is not None:
            fail_hosted(self, error)
        self.kernel._shutdown_funcs = None
        for task in self.tasks.values():
            task.runtime = None
        self.bell.close()
        self.bell_heard.close()
        if isinstance(self.poller, Epoll):
            (<Epoll> self.poller).close()
        return 0


cdef double deadline(object clock) except? -1.0:
    """A point on the kernel clock as the timers hold it; None and NaN never come."""
    cdef double point
    if clock is None:
        return INFINITY
    point = clock
    return point if point == point else INFINITY


cdef tuple throw_into(TaskCore task):
    """As PyIter_Send, with an exception that is raised where the coroutine waits."""
    error, task.thrown = task.thrown, None
    try:
        thrower = task._throw if task.driven is None else task.driven.throw
        return (<int> PYGEN_NEXT, thrower(error))
    except StopIteration as stop:
        return (<int> PYGEN_RETURN, stop.value)
    except BaseException as failure:
        return (<int> PYGEN_ERROR, failure)


async def awaited(awaitable):
    return await awaitable


cdef object coroutine_of(object awaitable):
    return awaitable if PyCoro_CheckExact(awaitable) else awaited(awaitable)
