internal import CLinux
internal import Glibc

/// `10.1.0.0/16`: whether an address lies in it.
struct AddressRange {
    private let bytes: [UInt8]
    private let length: Int

    init(_ text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let bytes = Self.bytes(parts[0]), let length = Int(parts[1]), (0...bytes.count * 8).contains(length) else {
            throw Failure("invalid CIDR address: \(text)")
        }
        self.bytes = bytes
        self.length = length
    }

    func contains(_ address: String) throws -> Bool {
        guard let other = Self.bytes(address) else { throw Failure("invalid IP address: \(address)") }
        guard other.count == bytes.count else { return false }
        return (0..<length).allSatisfy { bit in
            let difference: UInt8 = bytes[bit / 8] ^ other[bit / 8]
            return difference & (0x80 >> UInt8(bit % 8)) == 0
        }
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var six = in6_addr()
        if inet_pton(AF_INET6, text, &six) == 1 { return withUnsafeBytes(of: &six) { Array($0) } }
        return nil
    }
}
