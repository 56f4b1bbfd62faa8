# The same through an object of the `selectors` module; implemented in selector.pyx.

@cython.final
cdef class Selector(Poller):
    cdef object selector            # given by the user, who closes it

    cdef int wake(self, Runtime runtime, TaskCore task) except -1
