# Which task waits for which descriptor: the interface, and epoll; implemented in epoll.pyx.

cdef enum:
    MAX_EVENTS = 256        # of one poll; the next one reports the others
    READ = 1                # selectors.EVENT_READ
    WRITE = 2               # selectors.EVENT_WRITE
    RECENT_FILES = 1024     # file objects whose entry is found without a call of `fileno`


# Epoll and Selector implement these methods. Cython accepts no second declaration of them there.
cdef class Poller:
    cdef object register(self, TaskCore task, object fileobj, int event)
    cdef int unregister(self, TaskCore task) except -1
    cdef int forget(self, object fileobj) except -1
    cdef tuple waiters(self, object fileobj)
    cdef int poll(self, Runtime runtime, double timeout) except -1


@cython.final
cdef class FdEntry:
    cdef int fd                     # the number
    cdef uint32_t events            # registered in epoll, as far as known; 0: not registered
    cdef uint32_t generation        # increases with each registration of this number
    cdef bint has_stable_fd         # of `fileobj`, see has_stable_fd_class
    cdef object fileobj             # the file object that was waited for last
    cdef TaskCore reader            # waits, or was woken and still owns the registration
    cdef TaskCore writer            # the same for writing

    cdef inline uint32_t wanted(self) noexcept


@cython.final
cdef class Epoll(Poller):
    cdef int epfd                   # owned; -1: closed
    cdef uint32_t generation        # of the newest registration
    cdef bint has_stale_registration    # epoll reports a file that we have no descriptor of
    cdef list entries               # descriptor → FdEntry or None
    cdef list recent                # FdEntry or None, by the address of the file object
    cdef epoll_event event_buffer[MAX_EVENTS]   # of the poll that is being dispatched

    cdef int dispatch(self, Runtime runtime, uint32_t ready, uint64_t user_data) except -1
    cdef int wake(self, Runtime runtime, TaskCore task) except -1
    cdef inline FdEntry find_entry(self, int fd)
    cdef inline FdEntry entry_of(self, object fileobj)
    cdef FdEntry get_entry(self, int fd)
    cdef inline void release(self, TaskCore task) noexcept
    cdef inline int unregister_unused(self, FdEntry entry) except -1
    cdef int update_registration(self, FdEntry entry) except -1
    cdef int set_events(self, FdEntry entry, uint32_t events) except -1
    cdef inline int control(self, int operation, FdEntry entry, uint32_t events) noexcept
    cdef int rebuild(self) except -1
