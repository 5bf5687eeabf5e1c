// seccomp(2), which has no libc wrapper.
#ifndef CLP_SECCOMP_H
#define CLP_SECCOMP_H
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// 0, or the notify descriptor when the flags ask for one.
static inline int clp_seccomp_load(uint32_t flags, const void *instructions, uint16_t count) {
    struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)instructions};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
#endif
