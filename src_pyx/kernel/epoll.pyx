# Which task waits for which descriptor.
#
# Two ways to ask the system: `Epoll` calls epoll itself (Linux), `Selector` goes through an object
# of the `selectors` module (kernel_selector.pyx). To the kernel both are a
# `Poller`, with curio's rules: one reader and one writer per descriptor; a woken task still owns
# its registration until it waits for something else, so that waiting again for the same is free.
#
# Facts:  closing a descriptor takes it out of epoll, unless another process or a `dup` holds the
#         same open file: then epoll goes on reporting it under a number that may mean another file
#         by now. Each registration therefore carries a generation, which its events bring back.
# Rules:  `Watch.armed` may be more than is waited for, never less. An event that nobody waits for
#         disarms, so a descriptor left behind costs one event, not a busy loop. A registration is
#         kept beyond its owner only for files whose number can't change under us (`has_stable_fd_class`).
# Not here: running tasks.

cdef enum:
    EVENTS_AT_ONCE = 256    # the rest comes with the next poll; more only spoils the cache
    READ = 1                # selectors.EVENT_READ
    WRITE = 2               # selectors.EVENT_WRITE


cdef class Poller:
    """How the kernel waits for descriptors. `start` … `poll` are for the kernel alone."""

    cdef object start(self, TaskCore task, object fileobj, int event):
        """Make the task wait; None, or the exception that it must get instead."""
        raise NotImplementedError

    cdef int drop(self, TaskCore task) except -1:
        """Take back what the task waits for or still owns."""
        raise NotImplementedError

    cdef int release(self, object fileobj) except -1:
        """Forget a file that is about to be closed."""
        return 0

    cdef tuple waiting(self, object fileobj):
        """(reader, writer) parked on the file, None for nobody."""
        raise NotImplementedError

    cdef int poll(self, Runtime runtime, double timeout) except -1:
        """Wait at most `timeout` seconds (negative: for ever), queue the tasks that are served."""
        raise NotImplementedError


cdef inline void own(TaskCore task, Watch watch, object fileobj, int event) noexcept:
    task.io_watch = watch
    task.io_file = fileobj
    task.io_event = event
    task.io_state = IO_WAITING


cdef inline void disown(TaskCore task) noexcept:
    task.io_watch = None
    task.io_file = None
    task.io_state = IO_NONE


cdef inline bint waits_again(TaskCore task, object fileobj, int event) noexcept:
    return task.io_state == IO_HELD and task.io_file is fileobj and task.io_event == event


cdef object busy(object fileobj, int event):
    if event == READ:
        return ReadResourceBusy(
            f"Multiple tasks can't wait to read on the same file descriptor {fileobj}")
    return WriteResourceBusy(
        f"Multiple tasks can't wait to write on the same file descriptor {fileobj}")


cdef int fd_of(object fileobj) except -1:
    """The descriptor of a file object; ValueError if there is none, as `selectors` has it."""
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
    """Does this object stand for one open file all its life?

    True for curio's `_Fd`, and for a class that says so with `has_stable_fd = True`. Not for
    numbers, for objects that may reopen behind one `fileno`, nor for those that close their file
    when they are collected: we keep a steady one until its number is taken again.
    """
    cls = type(fileobj)
    return cls is Fd or getattr(cls, "has_stable_fd", False) is True


@cython.final
cdef class Watch:
    """One descriptor that epoll knows, or knew."""

    cdef int fd
    cdef uint32_t armed             # what epoll reports, as far as we know; 0: not registered
    cdef uint32_t generation        # rises with each registration of this number
    cdef bint has_stable_fd                # see has_stable_fd_class; of `fileobj`
    cdef object fileobj             # who was waited for last
    cdef TaskCore reader            # parked, or woken and still owner
    cdef TaskCore writer

    cdef inline uint32_t wanted(self) noexcept:
        return ((EPOLLIN if self.reader is not None else 0)
                | (EPOLLOUT if self.writer is not None else 0))


@cython.final
cdef class Epoll(Poller):
    """epoll without a Python frame. `Kernel._selector` shows it, for reading, like a selector."""

    cdef int epfd                   # ours, -1 when closed
    cdef uint32_t generation
    cdef bint haunted               # epoll reports a file that no number leads to any more
    cdef list watches               # descriptor → Watch or None
    cdef epoll_event events[EVENTS_AT_ONCE]

    def __cinit__(self):
        self.watches = []
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
        """The descriptor of the epoll object itself."""
        return self.epfd

    def close(self):
        """Let go of the epoll object. Twice does no harm."""
        cdef int fd = self.epfd
        self.epfd = -1
        self.watches = []
        if fd >= 0:
            os_close(fd)

    def get_map(self):
        """{descriptor: SelectorKey} of what tasks wait for; `data` is (reader, writer)."""
        cdef Watch watch
        found = {}
        for watch in self.watches:
            if watch is not None and watch.wanted():
                events = (READ if watch.reader is not None else 0) | (
                    WRITE if watch.writer is not None else 0)
                found[watch.fd] = SelectorKey(
                    watch.fileobj, watch.fd, events, (watch.reader, watch.writer))
        return found

    def get_key(self, fileobj):
        """The SelectorKey of one file; KeyError if nobody waits for it."""
        try:
            return self.get_map()[fd_of(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    cdef object start(self, TaskCore task, object fileobj, int event):
        cdef Watch watch, before = None
        cdef uint32_t bit = EPOLLIN if event == READ else EPOLLOUT
        if waits_again(task, fileobj, event):
            task.io_state = IO_WAITING
            return None
        if task.io_state == IO_HELD:
            before = task.io_watch
            self.let_go(task)
        try:
            watch = self.watch_of(fd_of(fileobj))
            if (watch.reader if event == READ else watch.writer) is not None:
                return busy(fileobj, event)
            if watch.fileobj is not fileobj or not watch.has_stable_fd or not watch.armed & bit:
                self.arm(watch, watch.wanted() | bit)
                if watch.fileobj is not fileobj and not watch.wanted():
                    watch.fileobj = fileobj
                    watch.has_stable_fd = has_stable_fd_class(fileobj)
        except (OSError, ValueError) as error:
            return error
        finally:
            if before is not None and before is not watch:
                self.tidy(before)
        if event == READ:
            watch.reader = task
        else:
            watch.writer = task
        own(task, watch, fileobj, event)
        if before is watch:     # another object or event of the same file: not before it is owned
            self.tidy(watch)
        return None

    cdef int drop(self, TaskCore task) except -1:
        cdef Watch watch = task.io_watch
        self.let_go(task)
        return self.tidy(watch)

    cdef int release(self, object fileobj) except -1:
        cdef Watch watch
        cdef int fd
        try:
            fd = fd_of(fileobj)
        except ValueError:
            return 0
        watch = self.known(fd)
        if watch is not None and not watch.wanted():
            watch.fileobj = None
            watch.has_stable_fd = False
            if watch.armed:
                self.trim(watch)
        return 0

    cdef tuple waiting(self, object fileobj):
        cdef Watch watch
        try:
            watch = self.known(fd_of(fileobj))
        except ValueError:
            watch = None
        if watch is None:
            return (None, None)
        return (watch.reader if watch.reader is not None and watch.reader.parked else None,
                watch.writer if watch.writer is not None and watch.writer.parked else None)

    cdef int poll(self, Runtime runtime, double timeout) except -1:
        cdef int count, i
        cdef int milliseconds
        if timeout < 0:
            milliseconds = -1
        else:   # never early: a sleeper woken too soon would only be put to sleep again
            milliseconds = <int> min(ceil(timeout * 1e3), 2e9)
        if milliseconds == 0:
            count = epoll_wait(self.epfd, self.events, EVENTS_AT_ONCE, 0)
        else:
            PyErr_CheckSignals()
            with nogil:
                count = epoll_wait(self.epfd, self.events, EVENTS_AT_ONCE, milliseconds)
        if count < 0:
            if errno == EINTR:
                PyErr_CheckSignals()
                return 0
            PyErr_SetFromErrno(OSError)
        for i in range(count):
            self.serve(runtime, self.events[i].events, self.events[i].data.u64)
        if self.haunted:
            self.rebuild()
        return 0

    cdef int serve(self, Runtime runtime, uint32_t ready, uint64_t label) except -1:
        """Wake who waits for this; what nobody waits for is disarmed."""
        cdef Watch watch = self.known(<int> (label & 0xffffffff))
        cdef TaskCore task
        cdef bint surplus
        if watch is None or watch.generation != <uint32_t> (label >> 32):
            self.haunted = True
            return 0
        surplus = watch.armed == 0
        # Errors and hang-ups wake both sides, as `selectors` does.
        if ready & ~<uint32_t> EPOLLOUT and watch.armed & EPOLLIN:
            task = watch.reader
            if task is None:
                surplus = True
            else:
                surplus |= self.wake(runtime, task)
        if ready & ~<uint32_t> EPOLLIN and watch.armed & EPOLLOUT:
            task = watch.writer
            if task is None:
                surplus = True
            else:
                surplus |= self.wake(runtime, task)
        if surplus and self.trim(watch):
            self.haunted = True
        return 0

    cdef int wake(self, Runtime runtime, TaskCore task) except -1:
        """Queue a served task. 1 if it owns the registration no longer: it waited on a number."""
        if task.io_state != IO_WAITING:
            return 0        # queued already: the kernel was left by an exception before it ran
        if isinstance(task.io_file, int):
            self.let_go(task)
            runtime.enqueue(task)
            return 1
        task.io_state = IO_HELD
        runtime.enqueue(task)
        return 0

    cdef inline Watch known(self, int fd):
        if fd < PyList_GET_SIZE(self.watches):
            return <Watch> PyList_GET_ITEM(self.watches, fd)
        return None

    cdef Watch watch_of(self, int fd):
        cdef Watch watch = self.known(fd)
        if watch is None:
            while PyList_GET_SIZE(self.watches) <= fd:
                self.watches.append(None)
            watch = Watch.__new__(Watch)
            watch.fd = fd
            self.watches[fd] = watch
        return watch

    cdef inline void let_go(self, TaskCore task) noexcept:
        """End the task's ownership without a word to epoll."""
        if task.io_watch.reader is task and task.io_event == READ:
            task.io_watch.reader = None
        elif task.io_watch.writer is task:
            task.io_watch.writer = None
        disown(task)

    cdef inline int tidy(self, Watch watch) except -1:
        """After an owner went: keep only what is cheap to keep, readability of a steady file."""
        if watch.armed & ~(watch.wanted() | (EPOLLIN if watch.has_stable_fd else 0)):
            self.trim(watch)
        return 0

    cdef int trim(self, Watch watch) except -1:
        """Tell epoll exactly what is waited for. 1 if the file turns out to be closed, no error."""
        cdef uint32_t wanted = watch.wanted()
        if wanted:
            try:
                self.arm(watch, wanted)
            except OSError:
                return 1
        else:
            watch.armed = 0
            watch.fileobj = None
            watch.has_stable_fd = False
            if self.control(EPOLL_CTL_DEL, watch, 0) < 0:
                return 1
        return 0

    cdef int arm(self, Watch watch, uint32_t events) except -1:
        """Register the watch for exactly these events, whatever epoll believes; or OSError."""
        cdef int result = -1
        if watch.armed:
            result = self.control(EPOLL_CTL_MOD, watch, events)
            if result < 0 and errno != ENOENT:
                watch.armed = 0
                PyErr_SetFromErrno(OSError)
        if result < 0:
            self.generation += 1
            watch.generation = self.generation
            result = self.control(EPOLL_CTL_ADD, watch, events)
            if result < 0 and errno == EEXIST:
                result = self.control(EPOLL_CTL_MOD, watch, events)
            if result < 0:
                watch.armed = 0
                PyErr_SetFromErrno(OSError)
        watch.armed = events
        return 0

    cdef inline int control(self, int operation, Watch watch, uint32_t events) noexcept:
        cdef epoll_event event
        event.events = events
        event.data.u64 = (<uint64_t> watch.generation << 32) | <uint32_t> watch.fd
        return epoll_ctl(self.epfd, operation, watch.fd, &event)

    cdef int rebuild(self) except -1:
        """Start over with a fresh epoll object, under the same number: the one cure for a ghost.

        A ghost is a closed file that lives on in another process and so stays in epoll, with no
        number of ours left to take it out by.
        """
        cdef Watch watch
        cdef int fresh = epoll_create1(EPOLL_CLOEXEC)
        if fresh < 0 or os_dup3(fresh, self.epfd) < 0:
            PyErr_SetFromErrno(OSError)
        os_close(fresh)
        self.haunted = False
        for watch in self.watches:
            if watch is not None:
                watch.armed = 0
                if watch.wanted():
                    self.trim(watch)
        return 0
