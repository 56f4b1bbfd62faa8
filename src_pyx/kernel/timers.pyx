# Which task is due next.
#
# One binary heap of tasks, keyed by the earlier of a task's two deadlines (sleep, time-out). Each
# task knows its place in the heap, so that taking a deadline back is exact: O(log n), nothing stale
# stays behind, and the kernel never wakes for a time-out that was lifted. Time-outs that are set
# and lifted in the usual order live at the heap's end, where both cost next to nothing.
#
# Facts:  the heap is a list of tasks, so the garbage collector sees them; items change places
#         without touching reference counts.
# Not here: what a deadline means (kernel.pyx).

@cython.final
cdef class Timers:
    """Tasks with a deadline, the earliest first."""

    cdef list heap

    def __cinit__(self):
        self.heap = []

    cdef inline TaskCore first(self):
        """The task that is due next, or None."""
        return <TaskCore> self.heap[0] if PyList_GET_SIZE(self.heap) else None

    cdef int reschedule(self, TaskCore task) except -1:
        """Put the task where its deadlines, which have just changed, say it belongs."""
        cdef double due = min(task.sleep_at, task.timeout_at)
        cdef double before = task.due
        task.due = due
        if task.heap_place < 0:
            if due != INFINITY:
                task.heap_place = PyList_GET_SIZE(self.heap)
                self.heap.append(task)
                self.rise(task.heap_place)
        elif due == INFINITY:
            self.remove(task)
        elif due < before:
            self.rise(task.heap_place)
        elif due > before:
            self.sink(task.heap_place)
        return 0

    cdef int remove(self, TaskCore task) except -1:
        cdef Py_ssize_t hole = task.heap_place
        cdef TaskCore last = <TaskCore> self.heap.pop()
        task.heap_place = -1
        if last is not task:
            self.heap[hole] = last
            last.heap_place = hole
            self.rise(hole)
            self.sink(last.heap_place)
        return 0

    cdef void rise(self, Py_ssize_t place) noexcept:
        """Move the task at `place` towards the root until its parent is due before it."""
        cdef PyObject* task = PyList_GET_ITEM(self.heap, place)
        cdef PyObject* parent
        cdef Py_ssize_t above
        while place > 0:
            above = (place - 1) >> 1
            parent = PyList_GET_ITEM(self.heap, above)
            if not is_due_before(<TaskCore> task, <TaskCore> parent):
                break
            PyList_SET_ITEM(self.heap, place, parent)
            (<TaskCore> parent).heap_place = place
            place = above
        PyList_SET_ITEM(self.heap, place, task)
        (<TaskCore> task).heap_place = place

    cdef void sink(self, Py_ssize_t place) noexcept:
        """Move the task at `place` away from the root until no child is due before it."""
        cdef PyObject* task = PyList_GET_ITEM(self.heap, place)
        cdef PyObject* child
        cdef Py_ssize_t size = PyList_GET_SIZE(self.heap)
        cdef Py_ssize_t below = 2 * place + 1
        while below < size:
            child = PyList_GET_ITEM(self.heap, below)
            if below + 1 < size and is_due_before(
                    <TaskCore> PyList_GET_ITEM(self.heap, below + 1), <TaskCore> child):
                below += 1
                child = PyList_GET_ITEM(self.heap, below)
            if not is_due_before(<TaskCore> child, <TaskCore> task):
                break
            PyList_SET_ITEM(self.heap, place, child)
            (<TaskCore> child).heap_place = place
            place = below
            below = 2 * place + 1
        PyList_SET_ITEM(self.heap, place, task)
        (<TaskCore> task).heap_place = place


cdef inline bint is_due_before(TaskCore a, TaskCore b) noexcept:
    return a.due < b.due or (a.due == b.due and a.serial < b.serial)
