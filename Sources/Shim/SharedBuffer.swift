/// One buffer for all reads of the single-threaded shim, with eight bytes of room before it.
enum SharedBuffer {
    static let size = 65536
    // Only the shim's one thread touches it.
    private nonisolated(unsafe) static let memory = UnsafeMutableRawPointer.allocate(byteCount: size + 16, alignment: 16)

    static var input: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: memory + 8, count: size) }
}
