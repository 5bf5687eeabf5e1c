import Netlink
import Testing

@Suite struct NetlinkAddressTests {
    @Test(
        arguments: [
            ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"), ("[fd00::1]", "fd00::1"),
            ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("::ffff:192.0.2.1", "::ffff:c000:201"),
            ("1::", "1::"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ])
    func addressesAreReadAndWritten(_ text: String, _ written: String) { #expect(IPAddress(text)?.description == written) }

    @Test(
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "+1.2.3.4", ":", ":::", "1::2::3", "1:2:3:4:5:6:7",
            "12345::",
            "1:2:3:4:5:6:7:8:9", "::1%eth0", "1.2.3.4::", "1:2:3:4:5:6:7::8", "g::", "-1::",
        ])
    func otherTextsAreRefused(_ text: String) { #expect(IPAddress(text) == nil) }

    @Test(arguments: ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "10.0.0.0/8/8", "10.0.0.0/+8"])
    func otherPrefixesAreRefused(_ text: String) { #expect(IPPrefix(text) == nil) }

    @Test func prefixes() throws {
        let prefix = try #require(IPPrefix("172.17.3.4/16"))
        #expect(prefix.network.description == "172.17.0.0/16" && prefix.last == IPAddress("172.17.255.255"))
        #expect(prefix.mask == [255, 255, 0, 0])
        let (wide, next, other) = (
            try #require(IPPrefix("172.16.0.0/12")), try #require(IPPrefix("172.18.0.0/16")), try #require(IPPrefix("::/0"))
        )
        #expect(prefix.overlaps(wide) && !prefix.overlaps(next) && !prefix.overlaps(other))
        #expect(IPPrefix.everything.contains(prefix))
        #expect(IPPrefix("::/0")?.last == IPAddress("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
        let parts = try Array(#require(IPPrefix("192.168.0.0/16")).subnets(length: 20))
        #expect(parts.count == 16 && parts.last?.description == "192.168.240.0/20")
        #expect(try Array(#require(IPPrefix("255.255.255.0/24")).subnets(length: 25)).count == 2)
    }
}
