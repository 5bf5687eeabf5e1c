import CLinux
import Linux
import Netlink
import Testing

/// A kernel that records what it is sent and answers as it was told.
private final class FakeKernel: NetlinkTransport {
    var sent: [[UInt8]] = []
    var answers: [[UInt8]]

    init(_ answers: [[UInt8]]) { self.answers = answers }

    func send(_ datagram: [UInt8]) { sent.append(datagram) }

    func receive() throws(SystemError) -> [UInt8] {
        if answers.isEmpty { throw SystemError("receive from fake kernel", code: EAGAIN) }
        return answers.removeFirst()
    }

    /// NLMSG_ERROR for a sequence number: a header of 16 bytes, the code, the header it answers.
    static func acknowledgement(_ sequence: UInt8, code: Int32 = 0) -> [UInt8] {
        let low = UInt8(truncatingIfNeeded: code)
        let high: UInt8 = code < 0 ? 0xff : 0
        return [
            36, 0, 0, 0,  // length
            2, 0,  // NLMSG_ERROR
            0, 1,  // NLM_F_CAPPED
            sequence, 0, 0, 0,  //
            0, 0, 0, 0,  // port
            low, high, high, high,  // minus errno
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // the request's header
        ]
    }
}

@Suite struct NetlinkWireTests {
    @Test func addressRequestByteForByte() throws {
        let kernel = FakeKernel([FakeKernel.acknowledgement(1)])
        let prefix = try #require(IPPrefix("172.17.0.2/16"))
        try RouteNetlink(transport: kernel).addAddress(prefix, to: 7)
        #expect(
            kernel.sent == [
                [
                    48, 0, 0, 0,  // length
                    20, 0,  // RTM_NEWADDR
                    0x05, 0x06,  // NLM_F_REQUEST | NLM_F_ACK, NLM_F_EXCL | NLM_F_CREATE
                    1, 0, 0, 0,  // sequence
                    0, 0, 0, 0,  // port
                    2, 16, 0, 0,  // AF_INET, prefix length, flags, scope universe
                    7, 0, 0, 0,  // interface
                    8, 0, 2, 0, 172, 17, 0, 2,  // IFA_LOCAL
                    8, 0, 1, 0, 172, 17, 0, 2,  // IFA_ADDRESS
                    8, 0, 4, 0, 172, 17, 255, 255,  // IFA_BROADCAST
                ]
            ])
    }

    @Test func vethRequestHasThePeersNamespace() throws {
        let kernel = FakeKernel([FakeKernel.acknowledgement(1)])
        try RouteNetlink(transport: kernel).createVeth(
            .init(name: "va", master: 3, mtu: 1500, peerName: "eth0", peerMAC: [2, 0x42, 172, 17, 0, 2], peerNamespace: 9))
        let bytes = try #require(kernel.sent.first)
        #expect(Array(bytes[4..<8]) == [16, 0, 0x05, 0x06])
        // struct ifinfomsg of the near end: flags and change mask are IFF_UP.
        #expect(Array(bytes[16..<32]) == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
        #expect(bytes.hasPart([8, 0, 10, 0, 3, 0, 0, 0]))  // IFLA_MASTER
        #expect(bytes.hasPart([10, 0, 1, 0, 2, 0x42, 172, 17, 0, 2, 0, 0]))  // IFLA_ADDRESS of the peer, padded
        #expect(bytes.hasPart([8, 0, 28, 0, 9, 0, 0, 0]))  // IFLA_NET_NS_FD
        #expect(bytes.count == Int(bytes[0]) + Int(bytes[1]) << 8)
    }

    @Test func transactionByteForByte() throws {
        // BEGIN is 1, the changes 2 and 3, END 4; the last change is acknowledged.
        let kernel = FakeKernel([FakeKernel.acknowledgement(3)])
        var batch = NFTBatch(table: "t")
        batch.addTable()
        batch.deleteElements("s", [.init(key: [6, 0, 0, 0, 0x1f, 0x90, 0, 0])])
        try NFTables(transport: kernel).commit(batch)
        #expect(
            kernel.sent == [
                [
                    20, 0, 0, 0, 16, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0,  // NFNL_MSG_BATCH_BEGIN
                    0, 0, 0, 10,  // for NFNL_SUBSYS_NFTABLES
                    36, 0, 0, 0, 0, 10, 0x01, 0x04, 2, 0, 0, 0, 0, 0, 0, 0,  // NFT_MSG_NEWTABLE, NLM_F_CREATE
                    1, 0, 0, 0,  // NFPROTO_INET
                    6, 0, 1, 0, 116, 0, 0, 0,  // NFTA_TABLE_NAME "t"
                    8, 0, 2, 0, 0, 0, 0, 0,  // NFTA_TABLE_FLAGS
                    60, 0, 0, 0, 14, 10, 0x05, 0, 3, 0, 0, 0, 0, 0, 0, 0,  // NFT_MSG_DELSETELEM, NLM_F_ACK
                    1, 0, 0, 0,  //
                    6, 0, 1, 0, 116, 0, 0, 0,  // NFTA_SET_ELEM_LIST_TABLE
                    6, 0, 2, 0, 115, 0, 0, 0,  // NFTA_SET_ELEM_LIST_SET
                    24, 0, 3, 0x80,  // NFTA_SET_ELEM_LIST_ELEMENTS, nested
                    20, 0, 1, 0x80,  // NFTA_LIST_ELEM
                    16, 0, 1, 0x80,  // NFTA_SET_ELEM_KEY
                    12, 0, 1, 0, 6, 0, 0, 0, 0x1f, 0x90, 0, 0,  // NFTA_DATA_VALUE: tcp . 8080
                    20, 0, 0, 0, 17, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0,  // NFNL_MSG_BATCH_END
                    0, 0, 0, 10,
                ]
            ])
    }

    @Test func transactionTellsItsFirstFailure() throws {
        // The kernel goes on after a failure and answers to each change that failed, then to the last.
        let kernel = FakeKernel([FakeKernel.acknowledgement(3, code: -2), FakeKernel.acknowledgement(4, code: -17)])
        var batch = NFTBatch(table: "t")
        batch.addTable()
        batch.deleteElements("ports", [.init(key: [1, 2, 3, 4])])
        batch.addChain("c")
        let failure = #expect(throws: SystemError.self) { try NFTables(transport: kernel).commit(batch) }
        #expect(failure?.description == "delete element from ports: no such file or directory")
        #expect(kernel.answers.isEmpty)
    }

    @Test func refusedTransactionIsAnsweredAtItsBegin() throws {
        let kernel = FakeKernel([FakeKernel.acknowledgement(1, code: -1)])
        var batch = NFTBatch(table: "t")
        batch.addTable()
        let failure = #expect(throws: SystemError.self) { try NFTables(transport: kernel).commit(batch) }
        #expect(failure?.description == "commit to table t: operation not permitted")
    }

    @Test func refusalNamesWhatWasTried() throws {
        let kernel = FakeKernel([FakeKernel.acknowledgement(1, code: -17)])
        let prefix = try #require(IPPrefix("10.0.0.1/8"))
        let failure = #expect(throws: SystemError.self) { try RouteNetlink(transport: kernel).addAddress(prefix, to: 1) }
        #expect(failure == SystemError("add address", "10.0.0.1/8", code: EEXIST))
    }

    @Test(
        "Answers that no kernel sends are refused, not read past their end",
        arguments: [
            [1, 2, 3],  // shorter than a header
            [15, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],  // a length below the header's
            [200, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],  // a length beyond the datagram
            [18, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 9],  // an error without its code
            [
                36, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,  // a link
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 3, 0,  // whose attribute has length 3
            ],
        ] as [[UInt8]])
    func malformedAnswers(_ datagram: [UInt8]) throws {
        let failure = #expect(throws: SystemError.self) { try RouteNetlink(transport: FakeKernel([datagram])).link("x") }
        #expect(failure?.code == EBADMSG)
    }
}

extension [UInt8] {
    /// True when these bytes stand somewhere in it, one after another.
    fileprivate func hasPart(_ part: [UInt8]) -> Bool {
        count >= part.count && (0...(count - part.count)).contains { Array(self[$0..<$0 + part.count]) == part }
    }
}
