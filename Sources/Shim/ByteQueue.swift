internal import Glibc

/// Bytes that wait to be written. Holds no memory while empty.
struct ByteQueue {
    private var bytes: [UInt8] = []
    private var start = 0

    var count: Int { bytes.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ data: UnsafeRawBufferPointer) {
        // What was written is cut off once it outweighs what is left: each byte moves at most twice.
        if start > 65536 && start > count {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: data)
    }

    enum Outcome { case empty, blocked, broken }

    /// Calls `write` with what is there until all is gone or it says EAGAIN (blocked) or fails (broken).
    mutating func drain(_ write: (UnsafeRawBufferPointer) -> Int) -> Outcome {
        while !isEmpty {
            let count = bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[start...])) }
            if count < 0 {
                if errno == EINTR { continue }
                return errno == EAGAIN ? .blocked : .broken
            }
            start += count
        }
        clear()
        return .empty
    }

    mutating func clear() {
        bytes = []
        start = 0
    }
}
