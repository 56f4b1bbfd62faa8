# Which task waits for which descriptor, by way of an object of the `selectors` module.
#
# For systems without epoll, and for the selector that a user passes: it sees the calls that curio's
# own kernel would make.
#
# Rules:  each key's data is (reader, writer), as in curio. A registration ends with its owner.

@cython.final
cdef class Selector(Poller):
    """The same by way of a selector object, which keeps (reader, writer) as each key's data."""

    cdef object selector

    def __init__(self, selector):
        self.selector = selector

    cdef object start(self, TaskCore task, object fileobj, int event):
        if waits_again(task, fileobj, event):
            task.io_state = IO_WAITING
            return None
        if task.io_state == IO_HELD:
            self.drop(task)
        try:
            try:
                key = self.selector.get_key(fileobj)
            except KeyError:
                self.selector.register(
                    fileobj, event, (task, None) if event == READ else (None, task))
            else:
                reader, writer = key.data
                if (reader if event == READ else writer) is not None:
                    return busy(fileobj, event)
                self.selector.modify(
                    fileobj, key.events | event,
                    (task, writer) if event == READ else (reader, task))
        except (OSError, ValueError) as error:
            return error
        own(task, None, fileobj, event)
        return None

    cdef int drop(self, TaskCore task) except -1:
        fileobj, event = task.io_file, task.io_event
        disown(task)
        key = self.selector.get_key(fileobj)
        reader, writer = key.data
        events = key.events & ~event
        if events:
            self.selector.modify(
                fileobj, events, (None, writer) if event == READ else (reader, None))
        else:
            self.selector.unregister(fileobj)
        return 0

    cdef tuple waiting(self, object fileobj):
        try:
            reader, writer = self.selector.get_key(fileobj).data
        except KeyError:
            return (None, None)
        return (reader if reader is not None and reader.cancel_func else None,
                writer if writer is not None and writer.cancel_func else None)

    cdef int poll(self, Runtime runtime, double timeout) except -1:
        try:
            served = self.selector.select(None if timeout < 0 else timeout)
        except OSError as error:
            # select() on Windows: nothing registered is an error there.
            if error.errno not in (EINVAL, WSAEINVAL):
                raise
            return 0
        for key, mask in served:
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
            self.drop(task)
        else:
            task.io_state = IO_HELD
        return runtime.enqueue(task)
