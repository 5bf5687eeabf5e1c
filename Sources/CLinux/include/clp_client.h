// The client: signals that arrive as bytes of a descriptor, so that one poll(2) sees everything.
#ifndef CLP_CLIENT_H
#define CLP_CLIENT_H
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
// Signal number n is bit n-1 of the mask. The descriptor is close-on-exec and non-blocking (signalfd(2)).
static inline int clp_signalfd(uint64_t mask) { return (int)syscall(SYS_signalfd4, -1, &mask, sizeof mask, 02000000 | 04000); }
// how: 0 blocks, 1 unblocks (sigprocmask(2)); for a process of one thread.
static inline int clp_sigmask(int how, uint64_t mask) { return (int)syscall(SYS_rt_sigprocmask, how, &mask, 0, sizeof mask); }
#endif
