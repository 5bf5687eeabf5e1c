// What the prober asks the kernel that no program of ours needs.
#ifndef CPROBER_H
#define CPROBER_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// Any system call by its number, with arguments that change nothing; -1 and errno when it fails.
static inline long clp_prober_call(long number, long argument) { return syscall(number, argument, argument, argument, argument, argument, argument); }
// struct sched_attr of sched_getattr(2): eight numbers of 32 and 64 bits, read as eight of 64.
static inline int clp_prober_scheduler(uint64_t *values) {
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t minimum, maximum; } attributes = {.size = sizeof attributes};
    int result = (int)syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0);
    uint64_t read[] = {attributes.policy, attributes.flags, (uint64_t)(int64_t)attributes.nice, attributes.priority, attributes.runtime, attributes.deadline, attributes.period};
    for (int index = 0; index < 7; index++) values[index] = read[index];
    return result;
}
static inline long clp_prober_io_priority(void) { return syscall(SYS_ioprio_get, 1, 0); }
static inline int clp_prober_memory_policy(int *mode, uint64_t *nodes) { return (int)syscall(SYS_get_mempolicy, mode, nodes, 64, 0, 0); }
#endif
