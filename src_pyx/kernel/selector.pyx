# Waiting for descriptors with an object of the `selectors` module.
#
# It serves systems without epoll, and selectors that users pass. The selector gets the same calls
# as from curio's own kernel.
#
# Rules:  the data of each key is (reader, writer), as in curio. A registration ends with its owner.
# Implemented elsewhere: epoll, and what both have in common (epoll.pyx).

@cython.final
cdef class Selector(Poller):
    """A poller that uses a selector object."""

    def __init__(self, selector):
        self.selector = selector

    cdef object register(self, TaskCore task, object fileobj, int event):
        if is_same_wait(task, fileobj, event):
            task.io_state = IO_WAITING
            return None
        if task.io_state == IO_REGISTERED:
            self.unregister(task)
        try:
            try:
                key = self.selector.get_key(fileobj)
            except KeyError:
                self.selector.register(
                    fileobj, event, (task, None) if event == READ else (None, task))
            else:
                reader, writer = key.data
                if (reader if event == READ else writer) is not None:
                    return busy_error(fileobj, event)
                self.selector.modify(
                    fileobj, key.events | event,
                    (task, writer) if event == READ else (reader, task))
        except (OSError, ValueError) as error:
            return error
        assign(task, None, fileobj, event)
        return None

    cdef int unregister(self, TaskCore task) except -1:
        fileobj, event = task.io_file, task.io_event
        clear(task)
        key = self.selector.get_key(fileobj)
        reader, writer = key.data
        events = key.events & ~event
        if events:
            self.selector.modify(
                fileobj, events, (None, writer) if event == READ else (reader, None))
        else:
            self.selector.unregister(fileobj)
        return 0

    cdef tuple waiters(self, object fileobj):
        try:
            reader, writer = self.selector.get_key(fileobj).data
        except KeyError:
            return (None, None)
        return (reader if reader is not None and reader.cancel_func else None,
                writer if writer is not None and writer.cancel_func else None)

    cdef int poll(self, Runtime runtime, double timeout) except -1:
        try:
            ready = self.selector.select(None if timeout < 0 else timeout)
        except OSError as error:
            # select() on Windows fails if no socket is registered.
            if error.errno not in (EINVAL, WSAEINVAL):
                raise
            return 0
        for key, mask in ready:
            reader, writer = key.data
            if mask & READ:
                self.wake(runtime, reader)
            if mask & WRITE:
                self.wake(runtime, writer)
        return 0

    cdef int wake(self, Runtime runtime, TaskCore task) except -1:
        if task.io_state != IO_WAITING:
            return 0
        if isinstance(task.io_file, int):
            self.unregister(task)
        else:
            task.io_state = IO_REGISTERED
        return runtime.enqueue(task)
