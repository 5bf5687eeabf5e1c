// seccomp(2), which has no libc wrapper.
#ifndef CLP_SECCOMP_H
#define CLP_SECCOMP_H
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static inline int clp_seccomp(unsigned operation, unsigned flags, const void *argument) { return (int)syscall(SYS_seccomp, operation, flags, argument); }
#endif
