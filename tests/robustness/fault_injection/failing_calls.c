/* Makes system calls on TCP sockets fail, or do less than asked: loaded by LD_PRELOAD into
 * failing_calls.py, which says by `fault` what is to happen.
 *
 * Facts:  OpenSSL reads and writes by read and write, the hot path by recv and send: one name each.
 * Rules:  nothing happens before it is asked for, and nothing to any descriptor but TCP sockets. A
 *         connect that is interrupted goes on, as in the system.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORT = -1, MOST = 16 };

static struct { char call[16]; int code; unsigned every, burst, seen; } faults[MOST];
static int known;
static unsigned made;

/* Of every `every` calls of this name the first `burst` fail with errno `code`, or are SHORT. */
void fault(const char *call, int code, unsigned every, unsigned burst)
{
    if (known == MOST)
        return;
    strncpy(faults[known].call, call, sizeof faults[known].call - 1);
    faults[known].code = code;
    faults[known].every = every;
    faults[known].burst = burst;
    faults[known].seen = 0;
    known++;
}

/* No more faults; how many there were. */
unsigned no_faults(void)
{
    unsigned were = made;
    known = 0;
    made = 0;
    memset(faults, 0, sizeof faults);
    return were;
}

static int due(const char *call)
{
    for (int i = 0; i < known; i++)
        if (strcmp(faults[i].call, call) == 0 && faults[i].seen++ % faults[i].every < faults[i].burst) {
            made++;
            return faults[i].code;
        }
    return 0;
}

static int is_tcp(int fd)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    int before = errno;
    int told = known ? getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) : -1;
    errno = before;
    return told == 0 && (domain == AF_INET || domain == AF_INET6);
}

/* A call that finds the connection gone: then it is. */
static int failed(int fd, int code)
{
    if (code == EPIPE || code == ECONNRESET)
        shutdown(fd, SHUT_RDWR);
    errno = code;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Between one byte and nearly all. */
static size_t part(size_t length)
{
    static unsigned turn;
    size_t few = 1 + (turn++ * 7919u) % 4096;
    return length < 2 ? length : few < length ? few : length / 2;
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    int code = is_tcp(fd) ? due("send") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(send)(fd, data, code == SHORT ? part(length) : length, flags);
}

ssize_t write(int fd, const void *data, size_t length)
{
    int code = is_tcp(fd) ? due("send") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(write)(fd, data, code == SHORT ? part(length) : length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int code = is_tcp(fd) ? due("send") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(sendmsg)(fd, message, flags);
}

ssize_t recv(int fd, void *data, size_t room, int flags)
{
    int code = is_tcp(fd) ? due("recv") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(recv)(fd, data, code == SHORT ? part(room) : room, flags);
}

ssize_t read(int fd, void *data, size_t room)
{
    int code = is_tcp(fd) ? due("recv") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(read)(fd, data, code == SHORT ? part(room) : room);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int code = is_tcp(fd) ? due("connect") : 0;
    if (code == EINTR)
        (void)REAL(connect)(fd, address, size);
    if (code > 0)
        return failed(fd, code);
    return REAL(connect)(fd, address, size);
}

int socket(int domain, int type, int protocol)
{
    int code = domain == AF_INET || domain == AF_INET6 ? due("socket") : 0;
    if (code > 0)
        return failed(-1, code);
    return REAL(socket)(domain, type, protocol);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    int code = is_tcp(fd) ? due("accept") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(accept4)(fd, address, size, flags);
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
    int code = due("epoll_wait");
    if (code > 0)
        return failed(-1, code);
    return REAL(epoll_wait)(epfd, events, most, timeout);
}

int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
    int code = is_tcp(fd) && operation != EPOLL_CTL_DEL ? due("epoll_ctl") : 0;
    if (code > 0)
        return failed(fd, code);
    return REAL(epoll_ctl)(epfd, operation, fd, event);
}
