// Systemd: a container's cgroup as a scope unit of systemd, for hosts where systemd alone may divide the cgroup tree.
//
// `SystemdManager.connect` finds the manager's bus and speaks the D-Bus wire protocol to it (BusConnection, BusMessage,
// BusWriter, BusReader); `SystemdUnit` reads OCI's `slice:prefix:name`; `ScopeProperties` tells limits in systemd's words,
// so that systemd does not undo at `daemon-reload` what is written to the cgroup itself.
//
// `ServiceManager` is the other direction: what systemd hands to a service and hears from it.
//
// Used by ContainerRuntime for `--systemd-cgroup`, by Shim and Supervision, and by clipperd. Part of the static zone.
