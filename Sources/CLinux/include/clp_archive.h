// Extended attributes: in no module map of Swift's.
#ifndef CLP_ARCHIVE_H
#define CLP_ARCHIVE_H
#include <sys/xattr.h>
#endif
