// bpf(2), which has no libc wrapper.
#ifndef CLP_BPF_H
#define CLP_BPF_H
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>
static inline int clp_bpf(int command, union bpf_attr *attributes, unsigned size) { return (int)syscall(SYS_bpf, command, attributes, size); }
#endif
