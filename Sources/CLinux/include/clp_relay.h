// Published ports that the supervisor serves: accepting, splicing, and datagrams with the address they were sent to.
#ifndef CLP_RELAY_H
#define CLP_RELAY_H
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

// None of these waits.
static inline int clp_relay_accept(int fd) { return accept4(fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK); }
static inline int clp_relay_socket(int family, int udp) { return socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }
static inline int clp_relay_flag(int fd, int level, int name) { int on = 1; return setsockopt(fd, level, name, &on, sizeof on); }
static inline int clp_relay_undelayed(int fd) { return clp_relay_flag(fd, IPPROTO_TCP, TCP_NODELAY); }
static inline int clp_relay_kept_alive(int fd) { return clp_relay_flag(fd, SOL_SOCKET, SO_KEEPALIVE); }
static inline int clp_relay_tells_destination(int fd) { return clp_relay_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO); }
static inline int clp_relay_error(int fd) { int error = 0; socklen_t length = sizeof error; return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) ? errno : error; }
static inline ssize_t clp_relay_splice(int from, int to, size_t count) { return splice(from, 0, to, 0, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK); }
// A datagram, where it came from, and which address of this host and interface it came to.
struct clp_relay_peer { struct sockaddr_in6 source; struct in6_addr local; int interface; };
union clp_relay_control { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))]; };
static inline ssize_t clp_relay_receive(int fd, void *buffer, size_t size, struct clp_relay_peer *peer) {
    union clp_relay_control control;
    struct iovec vector = {buffer, size};
    memset(peer, 0, sizeof *peer);
    struct msghdr message = {.msg_name = &peer->source, .msg_namelen = sizeof peer->source, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(fd, &message, MSG_DONTWAIT);
    for (struct cmsghdr *part = count < 0 ? 0 : CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != IPPROTO_IPV6 || part->cmsg_type != IPV6_PKTINFO) continue;
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(part), sizeof info);
        peer->local = info.ipi6_addr;
        peer->interface = (int)info.ipi6_ifindex;
    }
    return count;
}
// The answer, from the address that was spoken to; the interface counts for link-local addresses alone.
static inline ssize_t clp_relay_answer(int fd, const void *buffer, size_t size, const struct clp_relay_peer *peer) {
    union clp_relay_control control;
    struct iovec vector = {(void *)buffer, size};
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_name = (void *)&peer->source, .msg_namelen = sizeof peer->source, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    struct in6_pktinfo info = {.ipi6_addr = peer->local, .ipi6_ifindex = IN6_IS_ADDR_LINKLOCAL(&peer->local) ? (unsigned)peer->interface : 0};
    part->cmsg_level = IPPROTO_IPV6;
    part->cmsg_type = IPV6_PKTINFO;
    part->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(part), &info, sizeof info);
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}
#endif
