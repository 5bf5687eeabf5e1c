// What the supervisor and the daemon's side of it wait with: epoll, signalfd; and Unix sockets by a path.
#ifndef CLP_SHIM_H
#define CLP_SHIM_H
#include <stdint.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int clp_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int clp_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) { struct epoll_event event = {.events = events, .data.u64 = token}; return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event); }
static inline int clp_epoll_change(int epoll, int fd, uint32_t events, uint64_t token) { struct epoll_event event = {.events = events, .data.u64 = token}; return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event); }
static inline int clp_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, 0); }
// What this process holds of its program's file and can read from it again: the segments that are never written.
static inline int clp_forget_segments(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size; (void)data;
    const uintptr_t page = (uintptr_t)getpagesize();
    for (int index = 0; index < info->dlpi_phnum; index++) {
        if (info->dlpi_phdr[index].p_type != PT_LOAD || info->dlpi_phdr[index].p_flags & PF_W) continue;
        uintptr_t start = (info->dlpi_addr + info->dlpi_phdr[index].p_vaddr) & ~(page - 1);
        uintptr_t end = (info->dlpi_addr + info->dlpi_phdr[index].p_vaddr + info->dlpi_phdr[index].p_memsz + page - 1) & ~(page - 1);
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}
static inline void clp_forget_program(void) { (void)dl_iterate_phdr(clp_forget_segments, 0); }
// The stack below its user, as far as it may have grown (nothing else lies so near to it), and what malloc has over.
static inline void clp_forget_stack_and_heap(void) {
    const uintptr_t page = (uintptr_t)getpagesize(), kept = 65536, depth = 1 << 20;
    uintptr_t top = ((uintptr_t)__builtin_frame_address(0) - kept) & ~(page - 1);
    (void)madvise((void *)(top - depth), depth, MADV_DONTNEED);
    (void)malloc_trim(0);
}
// open(2): a file without a name in the directory that is opened.
static inline int clp_open_nameless(void) { return O_TMPFILE; }
static inline uint32_t clp_epoll_input(void) { return EPOLLIN; }
static inline uint32_t clp_epoll_output(void) { return EPOLLOUT; }
static inline uint32_t clp_epoll_gone(void) { return EPOLLHUP | EPOLLERR; }
// As many descriptors as one message over a Unix socket can carry (SCM_MAX_FD of the kernel).
#define CLP_MOST_FDS 253

// Data with descriptors, without waiting.
static inline ssize_t clp_send_with_fds(int socket, const void *data, size_t size, const int *fds, size_t count) {
    union { char bytes[CMSG_SPACE(CLP_MOST_FDS * sizeof(int))]; struct cmsghdr aligned; } control;
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    memset(&control, 0, sizeof control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}
// Data and the descriptors that came with it, close-on-exec, without waiting: room for CLP_MOST_FDS, and how many they are.
static inline ssize_t clp_receive_with_fds(int socket, void *data, size_t size, int *fds, size_t *count) {
    union { char bytes[CMSG_SPACE(CLP_MOST_FDS * sizeof(int))]; struct cmsghdr aligned; } control;
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *count = 0;
    ssize_t received = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0) return received;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        *count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(header), *count * sizeof(int));
    }
    return received;
}
// Blocks one signal and gives a non-blocking descriptor that tells of it.
static inline int clp_signal_descriptor(int signal) { sigset_t set; sigemptyset(&set); sigaddset(&set, signal); return sigprocmask(SIG_BLOCK, &set, 0) ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK); }
static inline void clp_ignore_signal(int number) { signal(number, SIG_IGN); }
static inline int clp_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
// The next child that has ended: its pid with *status as of waitpid(2); 0 when none has; -1 when there is none.
static inline pid_t clp_reap_next(int *status) { return waitpid(-1, status, WNOHANG | __WALL); }
// -1 with ENAMETOOLONG for a path of more than 107 bytes.
static inline int clp_unix_address(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) { errno = ENAMETOOLONG; return -1; }
    strcpy(address->sun_path, path);
    return 0;
}
static inline int clp_unix_bind(int fd, const char *path) { struct sockaddr_un address; return clp_unix_address(&address, path) ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address); }
static inline int clp_unix_connect(int fd, const char *path) { struct sockaddr_un address; return clp_unix_address(&address, path) ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address); }
// Connects to an IPv4 or IPv6 address; -1 with EINVAL for what is neither.
static inline int clp_inet_family(const char *host) { return strchr(host, ':') ? AF_INET6 : AF_INET; }
static inline int clp_inet_connect(int fd, const char *host, uint16_t port) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, host, &four.sin_addr) == 1) return connect(fd, (struct sockaddr *)&four, sizeof four);
    if (inet_pton(AF_INET6, host, &six.sin6_addr) == 1) return connect(fd, (struct sockaddr *)&six, sizeof six);
    errno = EINVAL;
    return -1;
}
static inline int clp_shim_accept(int fd) { return accept4(fd, 0, 0, SOCK_CLOEXEC); }
// The user at the other end of a Unix socket.
static inline int clp_peer_user(int fd, uid_t *user) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length)) return -1;
    *user = credentials.uid;
    return 0;
}
#endif
