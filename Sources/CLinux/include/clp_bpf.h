// bpf(2), which has no libc wrapper: device programs of cgroup v2. Each answers a descriptor, a count or 0; -1 and errno.
#ifndef CLP_BPF_H
#define CLP_BPF_H
#include <linux/bpf.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int clp_bpf(int command, union bpf_attr *attributes) { return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes); }
static inline int clp_bpf_load_device(const uint64_t *instructions, uint32_t count) {
    union bpf_attr a = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uint64_t)(uintptr_t)instructions, .insn_cnt = count,
                        .license = (uint64_t)(uintptr_t)"Apache-2.0", .prog_name = "clipper_devices"};
    return clp_bpf(BPF_PROG_LOAD, &a);
}
static inline int clp_bpf_program(uint32_t id) { union bpf_attr a = {.prog_id = id}; return clp_bpf(BPF_PROG_GET_FD_BY_ID, &a); }
static inline int clp_bpf_attach_device(int cgroup, int program, int replaced) {
    union bpf_attr a = {.target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE,
                        .attach_flags = BPF_F_ALLOW_MULTI | (replaced < 0 ? 0 : BPF_F_REPLACE), .replace_bpf_fd = replaced < 0 ? 0 : replaced};
    return clp_bpf(BPF_PROG_ATTACH, &a);
}
static inline int clp_bpf_detach_device(int cgroup, int program) {
    union bpf_attr a = {.target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE};
    return clp_bpf(BPF_PROG_DETACH, &a);
}
static inline int clp_bpf_query_device(int cgroup, uint32_t *ids, uint32_t capacity) {
    union bpf_attr a = {.query = {.target_fd = cgroup, .attach_type = BPF_CGROUP_DEVICE, .prog_ids = (uint64_t)(uintptr_t)ids, .prog_cnt = capacity}};
    int result = clp_bpf(BPF_PROG_QUERY, &a);
    return result < 0 ? -1 : (int)a.query.prog_cnt;
}
#endif
