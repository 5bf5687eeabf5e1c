// Interposed functions; CSystemCalls.h tells what for. C, because they are variadic or must not run Swift unasked.
#define _GNU_SOURCE
#include "include/CSystemCalls.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Thread_local clp_call_handler handler;
static _Thread_local void *context;

void clp_set_call_handler(clp_call_handler new_handler, void *new_context) {
    handler = new_handler;
    context = new_context;
}

// Asks the thread's handler, which is off while it runs.
static int asked(const char *name, const long *arguments, long *result) {
    clp_call_handler current = handler;
    if (!current) return 0;
    int handled = 0;
    handler = 0;
    *result = current(context, name, arguments, &handled);
    int code = errno;
    handler = current;
    errno = code;
    return handled;
}

#define ASK(type, name, ...) do { long given[6] = {__VA_ARGS__}, result; if (asked(name, given, &result)) return (type)result; } while (0)
// The C library's function, looked up when the program starts: a cloned child must not take the loader's lock.
#define NEXT(type, name, ...) type (*next)(__VA_ARGS__) = (type (*)(__VA_ARGS__))next_function(NUMBER_##name, #name)
#define NUMBERED(name) NUMBER_##name,
#define NAMED(name) #name,
#define FUNCTIONS(_) \
    _(dup2) _(chdir) _(fchdir) _(chroot) _(setsid) _(mkdirat) _(mkdir) _(symlinkat) _(unlinkat) _(unlink) _(rmdir) _(rename) _(mknodat) \
    _(fchown) _(fchmod) _(fchownat) _(fchmodat) _(write) _(sendmsg) _(close) _(execve) _(syscall) _(open) _(openat) _(ioctl) _(fcntl)
enum { FUNCTIONS(NUMBERED) FUNCTION_COUNT };
static void *functions[FUNCTION_COUNT];
static void *next_function(int number, const char *name) {
    if (!functions[number]) functions[number] = dlsym(RTLD_NEXT, name);
    return functions[number];
}
__attribute__((constructor)) static void find_functions(void) {
    static const char *const names[] = {FUNCTIONS(NAMED)};
    for (int number = 0; number < FUNCTION_COUNT; number++) next_function(number, names[number]);
}

// A function of fixed arguments, each of which fits into a long.
#define CALL1(type, name, A) type name(A a) { ASK(type, #name, (long)a); NEXT(type, name, A); return next(a); }
#define CALL2(type, name, A, B) type name(A a, B b) { ASK(type, #name, (long)a, (long)b); NEXT(type, name, A, B); return next(a, b); }
#define CALL3(type, name, A, B, C) type name(A a, B b, C c) { ASK(type, #name, (long)a, (long)b, (long)c); NEXT(type, name, A, B, C); return next(a, b, c); }
#define CALL4(type, name, A, B, C, D) type name(A a, B b, C c, D d) { ASK(type, #name, (long)a, (long)b, (long)c, (long)d); NEXT(type, name, A, B, C, D); return next(a, b, c, d); }
#define CALL5(type, name, A, B, C, D, E) type name(A a, B b, C c, D d, E e) { ASK(type, #name, (long)a, (long)b, (long)c, (long)d, (long)e); NEXT(type, name, A, B, C, D, E); return next(a, b, c, d, e); }

CALL2(int, dup2, int, int)
CALL1(int, chdir, const char *)
CALL1(int, fchdir, int)
CALL1(int, chroot, const char *)
int setsid(void) { ASK(int, "setsid", 0); NEXT(int, setsid, void); return next(); }
CALL3(int, mkdirat, int, const char *, mode_t)
CALL2(int, mkdir, const char *, mode_t)
CALL3(int, symlinkat, const char *, int, const char *)
CALL3(int, unlinkat, int, const char *, int)
CALL1(int, unlink, const char *)
CALL1(int, rmdir, const char *)
CALL2(int, rename, const char *, const char *)
CALL4(int, mknodat, int, const char *, mode_t, dev_t)
CALL3(int, fchown, int, uid_t, gid_t)
CALL2(int, fchmod, int, mode_t)
CALL5(int, fchownat, int, const char *, uid_t, gid_t, int)
CALL4(int, fchmodat, int, const char *, mode_t, int)
CALL3(ssize_t, write, int, const void *, size_t)
CALL3(ssize_t, sendmsg, int, const struct msghdr *, int)
CALL1(int, close, int)
CALL3(int, execve, const char *, char *const *, char *const *)

// The variadic ones: six arguments are read whatever was passed; the kernel and the handlers look at those that count.
#define READ(count) long a[6] = {0}; va_list list; va_start(list, last); for (int i = 0; i < (count); i++) a[i] = va_arg(list, long); va_end(list)
long syscall(long last, ...) {
    READ(6);
    const char *name = handler ? clp_call_name(last) : 0;
    if (name) ASK(long, name, a[0], a[1], a[2], a[3], a[4], a[5]);
    else if (handler && last != SYS_futex && last != SYS_gettid) ASK(long, "syscall", last, a[0], a[1], a[2], a[3], a[4]);
    NEXT(long, syscall, long, ...);
    return next(last, a[0], a[1], a[2], a[3], a[4], a[5]);
}
int open(const char *path, int last, ...) {
    READ(1);
    ASK(int, "open", (long)path, last, a[0]);
    NEXT(int, open, const char *, int, ...);
    return next(path, last, (mode_t)a[0]);
}
int openat(int directory, const char *path, int last, ...) {
    READ(1);
    ASK(int, "openat", directory, (long)path, last, a[0]);
    NEXT(int, openat, int, const char *, int, ...);
    return next(directory, path, last, (mode_t)a[0]);
}
int ioctl(int fd, unsigned long last, ...) {
    READ(1);
    ASK(int, "ioctl", fd, (long)last, a[0]);
    NEXT(int, ioctl, int, unsigned long, ...);
    return next(fd, last, a[0]);
}
int fcntl(int fd, int last, ...) {
    READ(1);
    ASK(int, "fcntl", fd, last, a[0]);
    NEXT(int, fcntl, int, int, ...);
    return next(fd, last, a[0]);
}

#define NAME(call) case SYS_##call: return #call;
const char *clp_call_name(long number) {
    switch (number) {
        NAME(mount) NAME(umount2) NAME(pivot_root) NAME(open_tree) NAME(move_mount) NAME(mount_setattr) NAME(fsopen) NAME(fsconfig)
        NAME(fsmount) NAME(openat2) NAME(setns) NAME(unshare) NAME(clone3) NAME(prctl) NAME(capset) NAME(capget) NAME(setresuid)
        NAME(setresgid) NAME(setgroups) NAME(getcwd) NAME(prlimit64) NAME(keyctl) NAME(personality) NAME(faccessat2) NAME(execveat)
        NAME(memfd_create) NAME(umask) NAME(sethostname) NAME(setdomainname) NAME(rt_sigaction) NAME(rt_sigprocmask) NAME(close_range)
        NAME(seccomp) NAME(pidfd_open) NAME(pidfd_send_signal) NAME(bpf) NAME(sched_setattr) NAME(sched_setaffinity) NAME(ioprio_set)
        NAME(set_mempolicy) NAME(statx)
        default: return 0;
    }
}

int clp_message_first_byte(long message) {
    const struct msghdr *header = (const struct msghdr *)message;
    return header->msg_iovlen && header->msg_iov[0].iov_len ? *(const unsigned char *)header->msg_iov[0].iov_base : -1;
}
