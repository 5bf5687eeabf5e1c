// Project quotas: the projects of files (FS_IOC_FSSETXATTR) and their limits (quotactl(2)).
#ifndef CLP_QUOTA_H
#define CLP_QUOTA_H
#include <linux/dqblk_xfs.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// struct fsxattr of <linux/fs.h>, which glibc 2.36's <sys/mount.h> does not suffer beside it.
struct clp_file_flags { uint32_t flags, extent_size, extents, project, cow_extent_size; unsigned char padding[8]; };
enum { CLP_PROJECT_INHERIT = 0x200 };
static inline int clp_file_flags_get(int fd, struct clp_file_flags *value) { return ioctl(fd, _IOR('X', 31, struct clp_file_flags), value); }
static inline int clp_file_flags_set(int fd, const struct clp_file_flags *value) { return ioctl(fd, _IOW('X', 32, struct clp_file_flags), value); }
static inline int clp_project_quota_get(const char *device, uint32_t project, struct fs_disk_quota *quota) { return (int)syscall(SYS_quotactl, Q_XGETQUOTA << 8 | XQM_PRJQUOTA, device, project, quota); }
static inline int clp_project_quota_set(const char *device, uint32_t project, const struct fs_disk_quota *quota) { return (int)syscall(SYS_quotactl, Q_XSETQLIM << 8 | XQM_PRJQUOTA, device, project, quota); }
// FS_QUOTA_… of a filesystem, which is named by its block device.
static inline int clp_quota_flags(const char *device, uint16_t *flags) {
    struct fs_quota_stat status = {0};
    int result = (int)syscall(SYS_quotactl, Q_XGETQSTAT << 8 | XQM_PRJQUOTA, device, 0, &status);
    *flags = status.qs_flags;
    return result;
}
#endif
