// Linux: the kernel as Swift sees it. The lowest room of the static zone.
//
// Owned descriptors (`OwnedFD`), one error type (`SystemError`), files, time, processes; and, in folders of
// their own, mounts, namespaces, cgroups, capabilities, seccomp, terminals. Imports no Foundation, no Dispatch
// and no Swift concurrency, so that it can run between clone and exec in a single-threaded program.
//
// EINTR is retried in one place, `retrying`. Every failure is a `SystemError` that names the operation and its
// object. Nothing here is told apart by text.
