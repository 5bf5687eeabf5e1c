import Testing

@testable import ClientUI

private let flags = [
    Flag("rm", .bool, ""), Flag("interactive", "i", .bool, ""), Flag("tty", "t", .bool, ""), Flag("detach", "d", .bool, ""),
    Flag("env", "e", .list, ""), Flag("publish", "p", .list, ""), Flag("name", .string, ""), Flag("last", "n", .int, "", default: "-1"),
    Flag("memory", "m", .bytes, "Memory limit"), Flag("alias", .commaList, ""), Flag("hostname", "h", .string, ""),
    Flag("sig-proxy", .bool, "", default: "true"),
    Flag("interval", .duration, ""), Flag("cpus", .decimal, ""), Flag("weight", .uint16, ""), Flag("sysctl", .map, ""),
]

private func parse(_ line: String, interspersed: Bool = false) throws -> FlagParser.Result {
    try FlagParser.parse(line.split(separator: " ").map(String.init), flags: flags, interspersed: interspersed)
}

@Suite struct FlagGrammar {
    @Test(arguments: [
        ("--rm image", "rm", "true"), ("--rm=false image", "rm", "false"), ("-it image", "tty", "true"),
        ("-it=false image", "tty", "false"),
        ("-ite A=1 image", "env", "A=1"), ("-e=x image", "env", "x"), ("-p80:80 image", "publish", "80:80"),
        ("-dp80:80 image", "publish", "80:80"),
        ("--name box image", "name", "box"), ("--name=box image", "name", "box"), ("--name= image", "name", ""), ("-n5 image", "last", "5"),
        ("-n 0x10 image", "last", "0x10"), ("-h host image", "hostname", "host"), ("--name -x image", "name", "-x"),
        ("image", "sig-proxy", "true"),
        ("--sig-proxy=0 image", "sig-proxy", "0"), ("-m -1 image", "memory", "-1"),
    ])
    func forms(_ line: String, _ flag: String, _ value: String) throws {
        let result = try parse(line)
        #expect(result.values.string(flag) == value)
        #expect(result.arguments == ["image"])
    }

    @Test func firstWordEndsFlagsOfRun() throws {
        #expect(try parse("-i image --rm -t").arguments == ["image", "--rm", "-t"])
        #expect(try parse("-i image --rm -t", interspersed: true).arguments == ["image"])
        #expect(try parse("a -- --rm -t", interspersed: true).arguments == ["a", "--rm", "-t"])
        #expect(try parse("- x").arguments == ["-", "x"])
    }

    @Test func listsAddUp() throws {
        let result = try parse("-e A -e B=1 --env=C --alias a,b --alias= --alias c image")
        #expect(result.values.list("env") == ["A", "B=1", "C"])
        #expect(result.values.list("alias") == ["a", "b", "c"])
    }

    @Test func lastValueCounts() throws {
        #expect(try parse("--name a --name b image").values.string("name") == "b")
        #expect(try parse("--rm --rm=false image").values.bool("rm") == false)
    }

    @Test(arguments: [
        ("--foo", "unknown flag: --foo"), ("--rmm=1", "unknown flag: --rmm"), ("-itz x", "unknown shorthand flag: 'z' in -z"),
        ("--name", "flag needs an argument: --name"), ("-e", "flag needs an argument: 'e' in -e"),
        ("--rm=xx", "invalid argument \"xx\" for \"--rm\" flag: strconv.ParseBool: parsing \"xx\": invalid syntax"),
        ("-m x", "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'"),
        ("-n x", "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "-n 99999999999999999999",
            "invalid argument \"99999999999999999999\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        ),
        ("--weight 65536", "invalid argument \"65536\" for \"--weight\" flag: strconv.ParseUint: parsing \"65536\": value out of range"),
        ("--interval 5x", "invalid argument \"5x\" for \"--interval\" flag: time: invalid duration \"5x\""),
        ("--cpus abc", "invalid argument \"abc\" for \"--cpus\" flag: failed to parse abc as a rational number"),
        ("---x", "bad flag syntax: ---x"), ("--=x", "bad flag syntax: --=x"),
    ])
    func errors(_ line: String, _ message: String) {
        #expect(throws: FlagError(message: message)) { try parse(line) }
    }

    @Test func help() throws {
        #expect(try parse("--help").wantsHelp)
        #expect(try FlagParser.parse(["-h"], flags: []).wantsHelp)
        #expect(try !parse("-h x").wantsHelp)
        let page = HelpPage.options(
            [Flag("all", "a", .bool, "Show all"), Flag("format", .string, "Format output using a template that is too long for the line")],
            width: 60)
        #expect(
            page == """
                  -a, --all             Show all
                      --format string   Format output using a template that
                                        is too long for the line

                """)
    }
}

@Suite struct Values {
    @Test(arguments: [
        ("64m", 67_108_864), ("1g", 1_073_741_824), ("1.5k", 1536), ("512", 512), ("2GiB", 2_147_483_648), ("10b", 10), ("1 kb", 1024),
        ("-1", -1),
    ])
    func sizes(_ text: String, _ bytes: Int64) { #expect(ByteSize.bytes(text) == bytes) }

    @Test(arguments: ["", "x", "1x", "m", "-5", "1.2.3", "1mm", "99999999t", "0x10", "1ib"])
    func noSizes(_ text: String) { #expect(ByteSize.bytes(text) == nil) }

    @Test(arguments: [("1.5", 1_500_000_000), (".25", 250_000_000), ("2", 2_000_000_000), ("0.000000001", 1)])
    func decimals(_ text: String, _ nano: Int64) { #expect(Decimal.nano(text) == nano) }

    @Test func commaSeparated() throws {
        #expect(try CommaSeparated.fields("a,\"b,c\",\"d\"\"e\"") == ["a", "b,c", "d\"e"])
        #expect(throws: FlagError.self) { try CommaSeparated.fields("a\"b") }
        #expect(throws: FlagError.self) { try CommaSeparated.fields("\"ab") }
    }
}
