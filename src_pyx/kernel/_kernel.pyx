"""curio's kernel, compiled: the run loop, tasks, timers, descriptors, traps and guest kernels.

This file holds all imports and constants. The other files of this folder are included at its end:

- `task.pyx`: the attributes of a task
- `timers.pyx`: deadlines
- `epoll.pyx`, `selector.pyx`: waiting for descriptors
- `traps.pyx`: what each trap does
- `host.pyx`, `guest.pyx`, `host_waits.pyx`, `hosted_tasks.pyx`: a kernel inside the event loop of
  asyncio or trio
- `blocking.pyx`: a kernel in a thread without an event loop
- `run_loop.pyx`: which task runs next

What each class contains is declared in the `.pxd` file beside its source file, included by
asks_fast/_kernel.pxd. `system.pxd` declares epoll, the clock and CPython's C interface.

Implemented elsewhere: the options of a kernel (asks_fast/kernel.py) and its shutdown
(`curio.Kernel`), the hosts of guest kernels (asks_fast/_guest).
"""

cimport cython
from cpython.dict cimport PyDict_Size
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.errno cimport EEXIST, EINTR, ENOENT, errno
from libc.math cimport INFINITY, ceil
from libc.stdint cimport uint32_t, uint64_t

import errno as errno_module
import logging
import os
import sys
import time
from asyncio import CancelledError as AsyncioCancelled
from asyncio import Future as AsyncioFuture
from asyncio import _get_running_loop as running_loop
from asyncio import current_task as asyncio_task
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
from curio.sched import SchedBarrier, SchedFIFO
from curio.task import TaskGroup

from asks_fast._curio import Activation
from asks_fast._curio import FileDescriptor as Fd
from asks_fast._curio import kernel_locals as curio_locals     # `kernel`: the one of this thread
from asks_fast._curio import kernel_log as KERNEL_LOG

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
include "host.pyx"
include "guest.pyx"
include "host_waits.pyx"
include "hosted_tasks.pyx"
include "blocking.pyx"
include "run_loop.pyx"
