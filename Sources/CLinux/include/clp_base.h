// Files, processes, ioctl: the calls every room needs.
#ifndef CLP_BASE_H
#define CLP_BASE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
// Swift's Glibc module is made without _GNU_SOURCE. Where that changes the shape of a type, the type is read here as it
// is there: clang refuses a program in which the two differ, depending on which file it happens to compile first.
#include <features.h>
#undef __USE_GNU
#undef __USE_XOPEN
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/utsname.h>
#define __USE_GNU 1
#define __USE_XOPEN 1
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int clp_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static inline int clp_openat(int dir, const char *path, int flags, mode_t mode) { return openat(dir, path, flags, mode); }
static inline int clp_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}
static inline int clp_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }
static inline int clp_ioctl(int fd, unsigned long request, unsigned long argument) { return ioctl(fd, request, argument); }
static inline int clp_ioctl_pointer(int fd, unsigned long request, void *argument) { return ioctl(fd, request, argument); }
static inline int clp_pidfd_open(pid_t pid, unsigned flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
static inline int clp_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, 0, 0); }
static inline int clp_close_range(unsigned first, unsigned last, unsigned flags) { return (int)syscall(SYS_close_range, first, last, flags); }
static inline int clp_major(dev_t device) { return (int)major(device); }
static inline int clp_minor(dev_t device) { return (int)minor(device); }
static inline dev_t clp_makedev(unsigned high, unsigned low) { return makedev(high, low); }
static inline int clp_wifexited(int status) { return WIFEXITED(status); }
static inline int clp_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int clp_wtermsig(int status) { return WTERMSIG(status); }
#endif
