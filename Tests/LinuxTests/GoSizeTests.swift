import Linux
import Testing

@Suite struct GoSizeTests {
    @Test(
        arguments: [
            ("0", 0), ("512", 512), ("100b", 100), ("64m", 64 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("2 gb", 2 << 30), ("1K", 1024),
            ("1t", 1 << 40), ("1e3", 1000), ("1p", 1 << 50),
        ] as [(String, Int64)])
    func sizes(_ text: String, _ bytes: Int64) throws { #expect(try GoSize.bytes(text) == bytes) }

    @Test(arguments: [
        ("", "invalid size: ''"), ("nonsense", "invalid size: 'nonsense'"), ("-1", "invalid size: '-1'"),
        ("1.2.3", "strconv.ParseFloat: parsing \"1.2.3\": invalid syntax"), ("1x", "invalid suffix: 'x'"),
        ("1KIBI", "invalid suffix: 'KIBI'"),
        ("1Mi", "invalid suffix: 'mi'"), ("1bb", "invalid suffix: 'bb'"), ("99999999999p", "invalid size: '99999999999p'"),
    ])
    func refusals(_ text: String, _ message: String) {
        let error = #expect(throws: GoSize.Refusal.self) { try GoSize.bytes(text) }
        #expect(error?.description == message)
    }
}
