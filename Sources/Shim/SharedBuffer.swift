internal import CLinux

/// One buffer for all reads of the single-threaded shim, with eight bytes of room before it.
enum SharedBuffer {
    static let size = 65536
    // Only the shim's one thread touches it.
    private nonisolated(unsafe) static let memory = UnsafeMutableRawPointer.allocate(byteCount: size + 16, alignment: 16)

    // Likewise.
    private nonisolated(unsafe) static let numbers = UnsafeMutablePointer<Int32>.allocate(capacity: Int(CLP_MOST_FDS))

    /// Where the descriptors of one message go.
    static var descriptors: UnsafeMutablePointer<Int32> { numbers }

    static var input: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: memory + 8, count: size) }
}
