# Waiting for descriptors, with epoll on Linux.
#
# `Poller` is the interface of the kernel; `Epoll` calls epoll itself and `Selector` (selector.pyx)
# uses an object of the `selectors` module. Both follow curio: one reader and one writer for each
# descriptor. A woken task owns its registration until it waits for something else, so waiting
# for the same file again makes no system call.
#
# Facts:  closing a descriptor removes it from epoll, unless another process or a `dup` keeps the
#         same open file. epoll then goes on reporting it under its old number, which may belong to
#         another file by now. So each registration has a generation, which its events return.
# Rules:  `FdEntry.events` may contain more than tasks wait for, never less. An unwanted event
#         removes the registration, so an unused descriptor costs one event, not a busy loop. A
#         registration outlives its owner only if the file cannot change its descriptor
#         (`has_stable_fd_class`).
# Implemented elsewhere: running tasks (run_loop.pyx).

cdef class Poller:
    """The interface by which the kernel waits for descriptors."""

    cdef object register(self, TaskCore task, object fileobj, int event):
        """Make the task wait for a file. Return None, or the exception to raise in the task."""
        raise NotImplementedError

    cdef int unregister(self, TaskCore task) except -1:
        """End the registration that the task waits for or still owns."""
        raise NotImplementedError

    cdef int forget(self, object fileobj) except -1:
        """Forget a file that is about to be closed."""
        return 0

    cdef tuple waiters(self, object fileobj):
        """Return the tasks that wait for the file: (reader, writer), each a task or None."""
        raise NotImplementedError

    cdef int poll(self, Runtime runtime, double timeout) except -1:
        """Wait at most `timeout` seconds (negative: no limit); queue the tasks of ready files."""
        raise NotImplementedError


cdef inline void assign(TaskCore task, FdEntry entry, object fileobj, int event) noexcept:
    task.io_entry = entry
    task.io_file = fileobj
    task.io_event = event
    task.io_state = IO_WAITING


cdef inline void clear(TaskCore task) noexcept:
    task.io_entry = None
    task.io_file = None
    task.io_state = IO_NONE


cdef inline bint is_same_wait(TaskCore task, object fileobj, int event) noexcept:
    return task.io_state == IO_REGISTERED and task.io_file is fileobj and task.io_event == event


cdef inline TaskCore waiting_or_none(TaskCore task):
    return task if task is not None and task.wait_kind != NOT_WAITING else None


cdef object busy_error(object fileobj, int event):
    if event == READ:
        return ReadResourceBusy(
            f"Multiple tasks can't wait to read on the same file descriptor {fileobj}")
    return WriteResourceBusy(
        f"Multiple tasks can't wait to write on the same file descriptor {fileobj}")


cdef int fd_of(object fileobj) except -1:
    """Return the descriptor of a file object; ValueError if it has none, as in `selectors`."""
    cdef long fd
    if type(fileobj) is Fd:
        fd = fileobj.fd
    elif isinstance(fileobj, int):
        fd = fileobj
    else:
        try:
            fd = fileobj.fileno()
        except (AttributeError, TypeError) as error:
            raise ValueError(f"Invalid file object: {fileobj!r}") from error
    if fd < 0 or fd > MAX_FD:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return <int> fd


cdef bint has_stable_fd_class(object fileobj) except -1:
    """Whether such an object stands for one open file as long as it exists.

    True for curio's `_Fd` and for classes with `has_stable_fd = True`. False for integers, for
    objects that may reopen under another `fileno`, and for objects that close their file when they
    are collected: the entry keeps a file object with a stable descriptor alive until its number
    is used again.
    """
    cls = type(fileobj)
    return cls is Fd or getattr(cls, "has_stable_fd", False) is True


@cython.final
cdef class FdEntry:
    """The registration of one descriptor number, now or earlier."""

    cdef inline uint32_t wanted(self) noexcept:
        return ((EPOLLIN if self.reader is not None else 0)
                | (EPOLLOUT if self.writer is not None else 0))


@cython.final
cdef class Epoll(Poller):
    """A poller that calls epoll. As `Kernel._selector` it has the read methods of a selector."""

    def __cinit__(self):
        self.entries = []
        self.recent = [None] * RECENT_FILES
        self.epfd = epoll_create1(EPOLL_CLOEXEC)
        if self.epfd < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        if self.epfd >= 0:
            os_close(self.epfd)

    def __repr__(self):
        if self.epfd < 0:
            return "<Epoll closed>"
        return f"<Epoll fd={self.epfd}, {len(self.get_map())} descriptors waited for>"

    def fileno(self):
        """Return the descriptor of the epoll object itself."""
        return self.epfd

    def close(self):
        """Close the epoll object. May be called again."""
        cdef int fd = self.epfd
        self.epfd = -1
        self.entries = []
        self.recent = [None] * RECENT_FILES
        if fd >= 0:
            os_close(fd)

    def get_map(self):
        """Return {descriptor: SelectorKey} of the awaited files; `data` is (reader, writer)."""
        cdef FdEntry entry
        found = {}
        for entry in self.entries:
            if entry is not None and entry.wanted():
                events = (READ if entry.reader is not None else 0) | (
                    WRITE if entry.writer is not None else 0)
                found[entry.fd] = SelectorKey(
                    entry.fileobj, entry.fd, events, (entry.reader, entry.writer))
        return found

    def get_key(self, fileobj):
        """Return the SelectorKey of a file; KeyError if no task waits for it."""
        try:
            return self.get_map()[fd_of(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    cdef object register(self, TaskCore task, object fileobj, int event):
        cdef FdEntry entry, previous = None
        cdef uint32_t bit = EPOLLIN if event == READ else EPOLLOUT
        if is_same_wait(task, fileobj, event):
            task.io_state = IO_WAITING
            return None
        if task.io_state == IO_REGISTERED:
            previous = task.io_entry
            self.release(task)
        try:
            entry = self.entry_of(fileobj)
            if (entry.reader if event == READ else entry.writer) is not None:
                return busy_error(fileobj, event)
            if entry.fileobj is not fileobj or not entry.has_stable_fd or not entry.events & bit:
                self.set_events(entry, entry.wanted() | bit)
                if entry.fileobj is not fileobj and not entry.wanted():
                    entry.fileobj = fileobj
                    entry.has_stable_fd = has_stable_fd_class(fileobj)
        except (OSError, ValueError) as error:
            return error
        finally:
            if previous is not None and previous is not entry:
                self.unregister_unused(previous)
        if event == READ:
            entry.reader = task
        else:
            entry.writer = task
        assign(task, entry, fileobj, event)
        if previous is entry:   # another file object or event of the same descriptor
            self.unregister_unused(entry)
        return None

    cdef int unregister(self, TaskCore task) except -1:
        cdef FdEntry entry = task.io_entry
        self.release(task)
        return self.unregister_unused(entry)

    cdef int forget(self, object fileobj) except -1:
        cdef FdEntry entry
        cdef int fd
        try:
            fd = fd_of(fileobj)
        except ValueError:
            return 0
        entry = self.find_entry(fd)
        if entry is not None and not entry.wanted():
            entry.fileobj = None
            entry.has_stable_fd = False
            if entry.events:
                self.update_registration(entry)
        return 0

    cdef tuple waiters(self, object fileobj):
        cdef FdEntry entry
        try:
            entry = self.find_entry(fd_of(fileobj))
        except ValueError:
            entry = None
        if entry is None:
            return (None, None)
        return (waiting_or_none(entry.reader), waiting_or_none(entry.writer))

    cdef int poll(self, Runtime runtime, double timeout) except -1:
        cdef int count, i
        cdef int milliseconds
        if timeout < 0:
            milliseconds = -1
        else:   # rounded up: a poll that ends early would expire no timer
            milliseconds = <int> min(ceil(timeout * 1e3), 2e9)
        if milliseconds == 0:
            count = epoll_wait(self.epfd, self.event_buffer, MAX_EVENTS, 0)
        else:
            PyErr_CheckSignals()
            with nogil:
                count = epoll_wait(self.epfd, self.event_buffer, MAX_EVENTS, milliseconds)
        if count < 0:
            if errno == EINTR:
                PyErr_CheckSignals()
                return 0
            PyErr_SetFromErrno(OSError)
        for i in range(count):
            self.dispatch(runtime, self.event_buffer[i].events, self.event_buffer[i].data.u64)
        if self.has_stale_registration:
            self.rebuild()
        return 0

    cdef int dispatch(self, Runtime runtime, uint32_t ready, uint64_t user_data) except -1:
        """Wake the tasks that wait for an event; deregister the events that no task waits for."""
        cdef FdEntry entry = self.find_entry(<int> <uint32_t> user_data)
        cdef TaskCore task
        cdef bint is_unwanted
        if entry is None or entry.generation != <uint32_t> (user_data >> 32):
            self.has_stale_registration = True
            return 0
        is_unwanted = entry.events == 0
        # Errors and hang-ups wake reader and writer, as in `selectors`.
        if ready & ~<uint32_t> EPOLLOUT and entry.events & EPOLLIN:
            task = entry.reader
            if task is None:
                is_unwanted = True
            else:
                is_unwanted |= self.wake(runtime, task)
        if ready & ~<uint32_t> EPOLLIN and entry.events & EPOLLOUT:
            task = entry.writer
            if task is None:
                is_unwanted = True
            else:
                is_unwanted |= self.wake(runtime, task)
        if is_unwanted and self.update_registration(entry):
            self.has_stale_registration = True
        return 0

    cdef int wake(self, Runtime runtime, TaskCore task) except -1:
        """Queue the task of a ready file. Return 1 if that ends its registration: an integer's."""
        if task.io_state != IO_WAITING:
            return 0        # still queued: an exception left the loop before the task ran
        if isinstance(task.io_file, int):
            self.release(task)
            runtime.enqueue(task)
            return 1
        task.io_state = IO_REGISTERED
        runtime.enqueue(task)
        return 0

    cdef inline FdEntry find_entry(self, int fd):
        if fd < PyList_GET_SIZE(self.entries):
            return <FdEntry> PyList_GET_ITEM(self.entries, fd)
        return None

    cdef inline FdEntry entry_of(self, object fileobj):
        """Return the entry of a file object."""
        cdef Py_ssize_t i = (<size_t> <PyObject*> fileobj >> 4) % RECENT_FILES
        cdef FdEntry entry = <FdEntry> PyList_GET_ITEM(self.recent, i)
        if entry is None or entry.fileobj is not fileobj or not entry.has_stable_fd:
            entry = self.get_entry(fd_of(fileobj))
            self.recent[i] = entry
        return entry

    cdef FdEntry get_entry(self, int fd):
        cdef FdEntry entry = self.find_entry(fd)
        if entry is None:
            while PyList_GET_SIZE(self.entries) <= fd:
                self.entries.append(None)
            entry = FdEntry.__new__(FdEntry)
            entry.fd = fd
            self.entries[fd] = entry
        return entry

    cdef inline void release(self, TaskCore task) noexcept:
        """End the task's ownership without a system call."""
        if task.io_entry.reader is task and task.io_event == READ:
            task.io_entry.reader = None
        elif task.io_entry.writer is task:
            task.io_entry.writer = None
        clear(task)

    cdef inline int unregister_unused(self, FdEntry entry) except -1:
        """Deregister unwanted events, except readability of a file with a stable descriptor."""
        if entry.events & ~(entry.wanted() | (EPOLLIN if entry.has_stable_fd else 0)):
            self.update_registration(entry)
        return 0

    cdef int update_registration(self, FdEntry entry) except -1:
        """Register exactly the wanted events. Return 1 if the file turns out to be closed."""
        cdef uint32_t wanted = entry.wanted()
        if wanted:
            try:
                self.set_events(entry, wanted)
            except OSError:
                return 1
        else:
            entry.events = 0
            entry.fileobj = None
            entry.has_stable_fd = False
            if self.control(EPOLL_CTL_DEL, entry, 0) < 0:
                return 1
        return 0

    cdef int set_events(self, FdEntry entry, uint32_t events) except -1:
        """Register exactly these events, whatever state epoll is in; raises OSError."""
        cdef int result = -1
        if entry.events:
            result = self.control(EPOLL_CTL_MOD, entry, events)
            if result < 0 and errno != ENOENT:
                entry.events = 0
                PyErr_SetFromErrno(OSError)
        if result < 0:
            self.generation += 1
            entry.generation = self.generation
            result = self.control(EPOLL_CTL_ADD, entry, events)
            if result < 0 and errno == EEXIST:
                result = self.control(EPOLL_CTL_MOD, entry, events)
            if result < 0:
                entry.events = 0
                PyErr_SetFromErrno(OSError)
        entry.events = events
        return 0

    cdef inline int control(self, int operation, FdEntry entry, uint32_t events) noexcept:
        cdef epoll_event event
        event.events = events
        event.data.u64 = (<uint64_t> entry.generation << 32) | <uint32_t> entry.fd
        return epoll_ctl(self.epfd, operation, entry.fd, &event)

    cdef int rebuild(self) except -1:
        """Replace the epoll object by a new one with the same descriptor.

        Only this removes a stale registration: of a closed file that another process keeps open,
        and that no descriptor of ours could name to EPOLL_CTL_DEL.
        """
        cdef FdEntry entry
        cdef int new_epfd = epoll_create1(EPOLL_CLOEXEC)
        if new_epfd < 0 or os_dup3(new_epfd, self.epfd) < 0:
            PyErr_SetFromErrno(OSError)
        os_close(new_epfd)
        self.has_stale_registration = False
        for entry in self.entries:
            if entry is not None:
                entry.events = 0
                if entry.wanted():
                    self.update_registration(entry)
        return 0
