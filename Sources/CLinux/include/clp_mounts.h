// Mounts, root changes, device nodes and pseudoterminals.
#ifndef CLP_MOUNTS_H
#define CLP_MOUNTS_H
#include <linux/magic.h>
#include <linux/mount.h>
#include <net/if.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

// By number: <sys/mount.h> and <linux/mount.h> of glibc 2.36 cannot both be included.
static inline int clp_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data) { return (int)syscall(SYS_mount, source, target, type, flags, data); }
static inline int clp_umount(const char *target, int flags) { return (int)syscall(SYS_umount2, target, flags); }
static inline int clp_pivot_root(const char *new_root, const char *put_old) { return (int)syscall(SYS_pivot_root, new_root, put_old); }
static inline int clp_open_tree(int dir, const char *path, unsigned flags) { return (int)syscall(SYS_open_tree, dir, path, flags); }
static inline int clp_move_mount(int from, int to) { return (int)syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH); }
static inline int clp_mount_setattr(int dir, const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    return (int)syscall(SYS_mount_setattr, dir, path, flags, &attributes, sizeof attributes);
}
static inline int clp_mount_map_ids(int tree, unsigned flags, int user_namespace) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};
    return (int)syscall(SYS_mount_setattr, tree, "", flags, &attributes, sizeof attributes);
}
static inline int clp_fsmount(int fs, unsigned attributes) { return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes); }
static inline int clp_fstatfs(int fd, long *type, long *flags) {
    struct statfs status;
    if (fstatfs(fd, &status)) return -1;
    *type = (long)status.f_type;
    *flags = (long)status.f_flags;
    return 0;
}
// STATX_ATTR_… of an open file; 0 when the kernel does not tell.
static inline uint64_t clp_file_attributes(int fd) {
    struct statx status;
    return statx(fd, "", AT_EMPTY_PATH, 0, &status) ? 0 : status.stx_attributes & status.stx_attributes_mask;
}
// Brings the loopback interface of the current network namespace up.
static inline int clp_loopback_up(int socket) {
    struct ifreq request = {.ifr_name = "lo"};
    request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK;
    return ioctl(socket, SIOCSIFFLAGS, &request);
}
// Pseudoterminals.
static inline int clp_pty_unlock(int master) { int zero = 0; return ioctl(master, TIOCSPTLCK, &zero); }
static inline int clp_pty_peer(int master) { return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC); }
static inline int clp_pty_number(int master, int *number) { return ioctl(master, TIOCGPTN, number); }
static inline int clp_terminal_control(int fd) { return ioctl(fd, TIOCSCTTY, 0); }
static inline int clp_terminal_set_size(int fd, unsigned short rows, unsigned short columns) { struct winsize size = {rows, columns, 0, 0}; return ioctl(fd, TIOCSWINSZ, &size); }
static inline int clp_terminal_get_size(int fd, unsigned short *rows, unsigned short *columns) {
    struct winsize size = {0, 0, 0, 0};
    int result = ioctl(fd, TIOCGWINSZ, &size);
    *rows = size.ws_row;
    *columns = size.ws_col;
    return result;
}
#endif
