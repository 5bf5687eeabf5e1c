// Netlink: the kernel's own numbers for rtnetlink and nf_tables. <linux/if.h>, <linux/netfilter.h> and whatever
// includes them clash with the C library's headers; the few numbers needed from there stand in Swift.
#ifndef CLP_NETLINK_H
#define CLP_NETLINK_H
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static inline int clp_sock_raw_cloexec(void) { return SOCK_RAW | SOCK_CLOEXEC; }
static inline int clp_sock_stream_cloexec(void) { return SOCK_STREAM | SOCK_CLOEXEC; }
static inline int clp_sock_dgram_cloexec(void) { return SOCK_DGRAM | SOCK_CLOEXEC; }
#endif
