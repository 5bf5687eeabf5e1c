// A mount without a place in the tree: fsopen(2) and its family. Raw numbers of the kernel's ABI (linux/mount.h),
// because <sys/mount.h> and <linux/mount.h> of Debian 12 cannot be included together.
#ifndef CLP_OVERLAY_H
#define CLP_OVERLAY_H
#include <sys/syscall.h>
#include <unistd.h>

static inline int clp_overlay_fsopen(const char *type) { return (int)syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */); }
static inline int clp_overlay_set_flag(int fs, const char *key) { return (int)syscall(SYS_fsconfig, fs, 0 /* FSCONFIG_SET_FLAG */, key, 0, 0); }
static inline int clp_overlay_set_string(int fs, const char *key, const char *value) { return (int)syscall(SYS_fsconfig, fs, 1 /* FSCONFIG_SET_STRING */, key, value, 0); }
static inline int clp_overlay_create(int fs) { return (int)syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, 0, 0, 0); }
static inline int clp_overlay_fsmount(int fs) { return (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0); }
static inline int clp_overlay_memfd(const char *name) { return (int)syscall(SYS_memfd_create, name, 1 /* MFD_CLOEXEC */); }
#endif
