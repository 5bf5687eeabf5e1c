// Networking: the daemon's networks.
//
// `NetworkManager` is the whole of it for Engine: networks (`Network`, `NetworkSpec`), network namespaces from a warm
// pool (`NetworkSandbox`), a container's place on a network (`Endpoint`), published ports (`PublishedPorts`), and the
// three files that follow from them (`ContainerFiles`). Failures are `NetworkError`s with Docker's words.
//
// Everything is done by netlink in this process (Sources/Linux/Netlink): rtnetlink for bridges, veth pairs, addresses
// and routes; nf_tables for NAT, isolation and ports, one transaction per change. `ip`, `iptables` and `nft` are never
// started. Synchronous and thread-safe: Engine calls it off the cooperative pool.
