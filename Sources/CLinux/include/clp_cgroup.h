// Cgroups: filesystem magic, eventfd, inotify, poll.
#ifndef CLP_CGROUP_H
#define CLP_CGROUP_H
#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#endif
