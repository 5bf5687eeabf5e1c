// Volumes: named directories whose life is independent of containers.
//
// `VolumeStore` keeps each volume's content in `<root>/volumes/<name>/_data` and its description in the daemon's
// RecordStore. The `local` driver also mounts what its options name (type, o, device) while containers use it.
// Who uses a volume is the engine's knowledge: deletion asks it. Synchronous and thread-safe.
