// Scheduling, affinity, memory policy, and descriptors of other processes: system calls without a libc wrapper.
#ifndef CLP_SCHEDULING_H
#define CLP_SCHEDULING_H
#include <linux/mempolicy.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// struct sched_attr, which glibc 2.36 does not declare and whose kernel header clashes with <sched.h>.
struct clp_sched_attr { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t util_min, util_max; };
static inline int clp_sched_setattr(pid_t pid, struct clp_sched_attr attributes) { attributes.size = sizeof attributes; return (int)syscall(SYS_sched_setattr, pid, &attributes, 0); }
static inline int clp_sched_getattr(pid_t pid, struct clp_sched_attr *attributes) { return (int)syscall(SYS_sched_getattr, pid, attributes, sizeof *attributes, 0); }
static inline int clp_ioprio_set(int which, int who, int value) { return (int)syscall(SYS_ioprio_set, which, who, value); }
static inline int clp_ioprio_get(int which, int who) { return (int)syscall(SYS_ioprio_get, which, who); }
static inline int clp_sched_setaffinity(pid_t pid, size_t size, const uint64_t *mask) { return (int)syscall(SYS_sched_setaffinity, pid, size, mask); }
// The number of bytes that the kernel wrote.
static inline int clp_sched_getaffinity(pid_t pid, size_t size, uint64_t *mask) { return (int)syscall(SYS_sched_getaffinity, pid, size, mask); }
static inline int clp_set_mempolicy(int mode, const uint64_t *mask, unsigned long bits) { return (int)syscall(SYS_set_mempolicy, mode, mask, bits); }
static inline int clp_pidfd_getfd(int pidfd, int fd) { return (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0); }
#endif
