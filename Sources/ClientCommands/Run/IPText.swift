internal import CLinux
internal import Glibc

/// Whether a text is a numeric IP address.
enum IPText {
    static func isAddress(_ text: String) -> Bool { isV4(text) || isV6(text) }

    static func isV4(_ text: String) -> Bool {
        var space = in_addr()
        return inet_pton(AF_INET, text, &space) == 1
    }

    static func isV6(_ text: String) -> Bool {
        var space = in6_addr()
        return inet_pton(AF_INET6, text.prefix { $0 != "%" }.description, &space) == 1
    }
}
