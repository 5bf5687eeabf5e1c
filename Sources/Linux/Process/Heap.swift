internal import CLinux

/// The C library's heap, from which all of a program's objects come.
public enum Heap {
    /// From now on freed memory goes back to the kernel: a server that has moved a few large layers is as small afterwards as it was
    /// before. Without it each of the heaps (eight for a processor) keeps what it once needed.
    public static func givesBackFreed() { clp_bound_free_memory(256 << 10) }
}
