// Processes and namespaces: clone3, setns, prctl, capabilities, session keyrings, exec without a shell.
#ifndef CLP_PROCESS_H
#define CLP_PROCESS_H
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/nsfs.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// fork(2), which Swift hides. Only from a single-threaded process.
static inline pid_t clp_fork(void) { return fork(); }
// fork(2) with clone3's flags; 0 in the child. Only from a single-threaded process: no handler of pthread_atfork runs.
static inline pid_t clp_clone3(uint64_t flags, int *pidfd, uint64_t cgroup) {
    struct clone_args args = {.flags = flags, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = (flags & CLONE_PARENT) ? 0 : 17, .cgroup = cgroup};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    // Docker's seccomp profile hides clone3, whose flags it cannot see. The rest has a place in the older call.
    if (pid < 0 && errno == ENOSYS && !(flags >> 32) && !(flags & 0xff)) pid = (pid_t)syscall(SYS_clone, flags | args.exit_signal, 0, pidfd, 0, 0);
    return pid;
}
static inline int clp_setns(int fd, int type) { return (int)syscall(SYS_setns, fd, type); }
static inline int clp_unshare(int flags) { return (int)syscall(SYS_unshare, flags); }
static inline int clp_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) { return (int)syscall(SYS_prctl, option, a, b, c, d); }
static inline int clp_prctl_name(const char *name) { return (int)syscall(SYS_prctl, PR_SET_NAME, name, 0, 0, 0); }
static inline int clp_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable}, {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)}};
    return (int)syscall(SYS_capset, &header, data);
}
static inline int clp_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    int result = (int)syscall(SYS_capget, &header, data);
    *effective = data[0].effective | (uint64_t)data[1].effective << 32;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return result;
}
// The raw calls: glibc's wrappers of these signal every thread, which a cloned child must not do.
static inline int clp_setresuid(uid_t id) { return (int)syscall(SYS_setresuid, id, id, id); }
static inline int clp_setresgid(gid_t id) { return (int)syscall(SYS_setresgid, id, id, id); }
static inline int clp_setfsuid(uid_t id) { return (int)syscall(SYS_setfsuid, id); }
static inline int clp_setfsgid(gid_t id) { return (int)syscall(SYS_setfsgid, id); }
static inline int clp_setgroups(size_t count, const gid_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }
// The raw getcwd(2): unlike glibc's it shows "(unreachable)" for a directory outside the root.
static inline long clp_getcwd(char *buffer, size_t size) { return syscall(SYS_getcwd, buffer, size); }
static inline int clp_prlimit(pid_t pid, int resource, uint64_t soft, uint64_t hard) { uint64_t limit[2] = {soft, hard}; return (int)syscall(SYS_prlimit64, pid, resource, limit, 0); }
static inline int clp_getrlimit(int resource, uint64_t *limit) { return (int)syscall(SYS_prlimit64, 0, resource, 0, limit); }
static inline long clp_keyctl_join(const char *name) { return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name); }
static inline long clp_keyctl_describe(long key, char *buffer, size_t size) { return syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, buffer, size); }
static inline long clp_keyctl_setperm(long key, unsigned permissions) { return syscall(SYS_keyctl, KEYCTL_SETPERM, key, permissions); }
static inline int clp_personality(unsigned long persona) { return (int)syscall(SYS_personality, persona); }
static inline int clp_faccess(const char *path, int mode) { return (int)syscall(SYS_faccessat2, AT_FDCWD, path, mode, AT_EACCESS); }
static inline int clp_execveat(int fd, char *const argv[], char *const envp[]) { return (int)syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH); }
static inline int clp_process_accept(int listener) { return accept4(listener, 0, 0, SOCK_CLOEXEC); }
static inline int clp_memfd_create(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }
static inline unsigned clp_umask(unsigned mask) { return (unsigned)syscall(SYS_umask, mask); }
static inline int clp_sethostname(const char *name, size_t length) { return (int)syscall(SYS_sethostname, name, length); }
static inline int clp_setdomainname(const char *name, size_t length) { return (int)syscall(SYS_setdomainname, name, length); }
// Every signal back to its default action (not what is ignored by SIG_IGN alone: a container starts clean), none blocked.
static inline void clp_reset_signals(void) {
    uint64_t none = 0;
    struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } action;
    memset(&action, 0, sizeof action);
    for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, &action, 0, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
}

// The signals by which a user ends a program end the calling process, also the first one of a pid namespace, which the
// kernel spares those that it has no handler for (pid_namespaces(7)). execve(2) makes them ordinary again.
static inline void clp_end_handler(int number) { _exit(128 + number); }
static inline void clp_end_by_signals(void) {
    const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM};
    struct sigaction action = {.sa_handler = clp_end_handler};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaction(numbers[index], &action, NULL);
}

// The user namespace that a namespace belongs to; close-on-exec.
static inline int clp_namespace_owner(int fd) { return ioctl(fd, NS_GET_USERNS); }

// One message with at most one descriptor over a Unix socket; -1 for none. The received descriptor is close-on-exec.
static inline ssize_t clp_send_with_fd(int socket, const void *data, size_t size, int fd) {
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}
static inline ssize_t clp_receive_with_fd(int socket, void *data, size_t size, int *fd) {
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *fd = -1;
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count < 0) return count;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return count;
}
// What malloc has over at the end of a heap, beyond as many bytes, goes back to the kernel at once. The C library moves its own
// bound up to 64 MiB as large blocks are freed.
static inline void clp_bound_free_memory(int bytes) { (void)mallopt(M_TRIM_THRESHOLD, bytes); }
#endif
