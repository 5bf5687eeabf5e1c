// ShimProtocol: what the daemon and a container's supervisor (the shim) say to each other. Part of the static zone.
//
// Types: `LaunchRequest` (start a container), `ControlRequest` / `ControlAnswer` / `ShimEvent` (a running one),
// `AttachOptions` (its streams), `RootfsRequest` (the short-lived rootfs helper), `ExitRecord`, `ShimFailure`.
// `FrameReader` and `frame(_:)` carry them. Used by Shim (inside) and Supervision (daemon's side).
//
// A frame is a 4-byte big-endian length and that many bytes of JSON: an object whose member `op`, `re` or `event`
// says what it is.
//
//   clipperd                                           clipper-runtime shim
//     │ posix_spawn; descriptor 3 = control socket,          │
//     │ then the sockets of attachers, then held ones        │
//     ├─ {"op":"launch","id":1, …LaunchRequest} ───────────► │ mounts, creates, starts
//     │ ◄──────────── {"re":1,"state":{…}} | {"re":1,"failure":{…}} ──┤ (after a failure the shim ends)
//     ├─ {"op":"signal","id":2,"signal":15} ───────────────► │
//     │ ◄──────────────────────────────────────── {"re":2} ──┤
//     │ ◄─────────────────────────────── {"event":"oom"} ────┤
//     │ ◄──────── {"event":"exited","record":{…}} ───────────┤ exit record and log are complete,
//     │ ◄──────────────── end of file ───────────────────────┤ cgroup, mounts and held descriptors are gone
//     │                                                      │ (it stays until attached peers have the last output)
//
//   Later connections go to the socket `shim.sock` in the container's run directory; the first frame decides:
//     {"op":"control"}                     → {"re":0,"state":{…}}; then as above
//     {"op":"attach","stdin":…}            → {"re":0}; then a raw stream:
//                                              shim → peer: [stream,0,0,0,length(4, big endian)] + data, where stream is
//                                              1 or 2; or plain bytes for a terminal. End of file = no more output.
//                                              peer → shim: standard input; half-close = end of input.
//     {"op":"attachExec","exec":"…",…}     → the same for one exec
//
// Versions. `ShimWire.version` is in the first request and in every state. Additions keep the number: members that
// a side does not know are skipped, members that are missing have the default their type documents, and a request
// that a shim does not know is answered with a failure of kind `unsupported`, so a newer daemon can talk to a shim
// started before an upgrade and say which feature waits for the container's restart. Only a change that is not an
// addition raises the number; a daemon keeps speaking every number since 1.

/// Constants shared by both sides.
public enum ShimWire {
    /// The protocol spoken here.
    public static let version: Int64 = 1
    /// Number of the control socket in the shim and in the rootfs helper.
    public static let controlDescriptor: Int32 = 3
    /// The socket for later connections, in the container's run directory.
    public static let socketName = "shim.sock"
    /// What the shim wrote down about its running container, in the run directory.
    public static let stateName = "shim.json"
    /// The exit record, in the run directory unless the launch request names another place.
    public static let exitRecordName = "exit.json"
    /// Standard error of the shim, in the run directory; empty when all is well.
    public static let shimLogName = "shim.log"
    /// A frame longer than this is refused.
    public static let longestFrame = 16 << 20
}
