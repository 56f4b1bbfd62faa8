# The tasks with a deadline, in a binary heap; implemented in timers.pyx.

@cython.final
cdef class Timers:
    cdef list heap                  # of tasks, each with its index in `heap_index`

    cdef inline TaskCore first(self)
    cdef int reschedule(self, TaskCore task) except -1
    cdef int remove(self, TaskCore task) except -1
    cdef void sift_up(self, Py_ssize_t index) noexcept
    cdef void sift_down(self, Py_ssize_t index) noexcept
