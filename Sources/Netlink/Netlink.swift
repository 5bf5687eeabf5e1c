// Netlink: the kernel's networks as Swift sees them, over netlink(7). Static zone, above Linux.
//
// One socket with matched answers (`NetlinkConnection`), messages built in place (`NetlinkBuilder`), and three families:
// links, addresses and routes (`RouteNetlink`), packet filter transactions (`NFTables`), and flows to forget
// (`ConnectionTracking`). `IPAddress` and `IPPrefix` are the nouns of both versions of IP. Blocks its caller.
