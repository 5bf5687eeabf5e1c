internal import CLinux
internal import Glibc
internal import Linux

/// A frame on its way, and the descriptors that go with its first byte.
struct OutgoingFrame: Sendable {
    var bytes: ArraySlice<UInt8>
    /// nil once they are sent.
    var descriptors: LentDescriptors?

    /// Sends what the socket takes now and forgets it: the number of bytes, or -1 with errno.
    mutating func send(to socket: Int32) -> Int {
        let count = bytes.withUnsafeBytes { bytes in
            guard let numbers = descriptors?.numbers else {
                return Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            }
            return clp_send_with_fds(socket, bytes.baseAddress, bytes.count, numbers, numbers.count)
        }
        if count > 0 {
            descriptors = nil
            bytes = bytes.dropFirst(count)
        }
        return count
    }
}

/// Copies of descriptors, so that they are there until the frame is sent, whenever that is; closed with the last reference.
final class LentDescriptors: Sendable {
    let numbers: [Int32]

    init(_ originals: [Int32]) throws(SystemError) {
        var copies: [Int32] = []
        for original in originals {
            do throws(SystemError) {
                copies.append(try retrying("copy descriptor", "\(original)") { clp_fcntl(original, F_DUPFD_CLOEXEC, 0) })
            } catch {
                for copy in copies { close(copy) }
                throw error
            }
        }
        numbers = copies
    }

    deinit { for number in numbers { close(number) } }
}
