# Timers: the tasks with a deadline, in a binary heap.
#
# The key of a task is the earlier of its two deadlines, sleep and time limit.
#
# Facts:  the heap is a list of tasks, so the garbage collector sees them. Moving tasks in it does
#         not change reference counts.
# Rules:  each task holds its index in the heap. So removing a deadline is exact and O(log n), and
#         the kernel never wakes for a deadline that was removed. Time limits that are set and
#         removed in the usual order stay at the end of the heap, where both are cheap.
# Implemented elsewhere: what happens at a deadline (run_loop.pyx).

@cython.final
cdef class Timers:
    """Tasks with a deadline, the earliest first."""

    def __cinit__(self):
        self.heap = []

    cdef inline TaskCore first(self):
        """Return the task with the earliest deadline, or None."""
        return <TaskCore> self.heap[0] if PyList_GET_SIZE(self.heap) else None

    cdef int reschedule(self, TaskCore task) except -1:
        """Add, move or remove the task after a change of its deadlines."""
        cdef double due = min(task.sleep_at, task.timeout_at)
        cdef double previous = task.due
        task.due = due
        if task.heap_index < 0:
            if due != INFINITY:
                task.heap_index = PyList_GET_SIZE(self.heap)
                self.heap.append(task)
                self.sift_up(task.heap_index)
        elif due == INFINITY:
            self.remove(task)
        elif due < previous:
            self.sift_up(task.heap_index)
        elif due > previous:
            self.sift_down(task.heap_index)
        return 0

    cdef int remove(self, TaskCore task) except -1:
        cdef Py_ssize_t index = task.heap_index
        cdef TaskCore last = <TaskCore> self.heap.pop()
        task.heap_index = -1
        if last is not task:
            self.heap[index] = last
            last.heap_index = index
            self.sift_up(index)
            self.sift_down(last.heap_index)
        return 0

    cdef void sift_up(self, Py_ssize_t index) noexcept:
        """Move the task at `index` towards the root until its parent is due before it."""
        cdef PyObject* task = PyList_GET_ITEM(self.heap, index)
        cdef PyObject* parent
        cdef Py_ssize_t parent_index
        while index > 0:
            parent_index = (index - 1) >> 1
            parent = PyList_GET_ITEM(self.heap, parent_index)
            if not is_due_before(<TaskCore> task, <TaskCore> parent):
                break
            PyList_SET_ITEM(self.heap, index, parent)
            (<TaskCore> parent).heap_index = index
            index = parent_index
        PyList_SET_ITEM(self.heap, index, task)
        (<TaskCore> task).heap_index = index

    cdef void sift_down(self, Py_ssize_t index) noexcept:
        """Move the task at `index` away from the root until no child is due before it."""
        cdef PyObject* task = PyList_GET_ITEM(self.heap, index)
        cdef PyObject* child
        cdef Py_ssize_t size = PyList_GET_SIZE(self.heap)
        cdef Py_ssize_t child_index = 2 * index + 1
        while child_index < size:
            child = PyList_GET_ITEM(self.heap, child_index)
            if child_index + 1 < size and is_due_before(
                    <TaskCore> PyList_GET_ITEM(self.heap, child_index + 1), <TaskCore> child):
                child_index += 1
                child = PyList_GET_ITEM(self.heap, child_index)
            if not is_due_before(<TaskCore> child, <TaskCore> task):
                break
            PyList_SET_ITEM(self.heap, index, child)
            (<TaskCore> child).heap_index = index
            index = child_index
            child_index = 2 * index + 1
        PyList_SET_ITEM(self.heap, index, task)
        (<TaskCore> task).heap_index = index


cdef inline bint is_due_before(TaskCore a, TaskCore b) noexcept:
    return a.due < b.due or (a.due == b.due and a.serial < b.serial)
