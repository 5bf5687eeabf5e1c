// Extended attributes and early writing out: in no module map of Swift's.
#ifndef CLP_ARCHIVE_H
#define CLP_ARCHIVE_H
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// Has the kernel begin to write dirty pages out, without waiting: SYNC_FILE_RANGE_WRITE. A length of 0 means to the end.
static inline int clp_start_writeback(int fd, long offset, long length) {
    return (int)syscall(SYS_sync_file_range, fd, offset, length, 2);
}
#endif
