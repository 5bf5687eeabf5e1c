// What Swift cannot call: variadic functions, macros and system calls without a libc wrapper.
// One shim, one line, one prefix (clp_). Topics stand in headers of their own, included here.
#ifndef CLINUX_H
#define CLINUX_H
#include "clp_base.h"
#include "clp_archive.h"
#include "clp_seccomp.h"
#include "clp_cgroup.h"
#include "clp_bpf.h"
#include "clp_netlink.h"
#include "clp_mounts.h"
#include "clp_process.h"
#include "clp_scheduling.h"
#include "clp_overlay.h"
#include "clp_quota.h"
#include "clp_shim.h"
#include "clp_relay.h"
#include "clp_client.h"
#endif
