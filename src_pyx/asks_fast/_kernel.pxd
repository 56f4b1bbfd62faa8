# The classes of the kernel: what each object contains, and what compiled code may call.
#
# One file of declarations per source file. Attributes and C methods are declared there only.

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

# Classes refer to each other.
cdef class TaskCore
cdef class Timers
cdef class Poller
cdef class FdEntry
cdef class TrapHandler
cdef class Host
cdef class HostedTask
cdef class HostWait
cdef class Runtime

include "kernel/system.pxd"
include "kernel/task.pxd"
include "kernel/timers.pxd"
include "kernel/epoll.pxd"
include "kernel/selector.pxd"
include "kernel/traps.pxd"
include "kernel/host.pxd"
include "kernel/guest.pxd"
include "kernel/host_waits.pxd"
include "kernel/blocking.pxd"
include "kernel/run_loop.pxd"
