import Glibc
import Linux
import ShimProtocol
import Testing

@testable import Shim

/// A process's streams with one peer, and the loop that serves them. Both other ends never block.
private final class StreamsBench {
    /// So many turns of the loop let everything that is ready be handled.
    private static let turns = 20

    let loop: EventLoop
    let streams: ProcessStreams
    var process: ChildStreams
    var peer: OwnedFD?
    private var steps: [() -> Void] = []

    init() throws {
        loop = try EventLoop()
        streams = ProcessStreams(isTerminal: false, inputEnd: .withPeer, log: nil, spillDirectory: "/tmp", loop: loop)
        process = try streams.makePipes(withInput: true)
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        try streams.attach(pair.first, AttachOptions(stdin: true))
        peer = .some(pair.second)
        for number in [process.output.raw, peerNumber] { try makeNonBlocking(number) }
    }

    var peerNumber: Int32 {
        switch peer {
        case .some(let peer): peer.raw
        case .none: -1
        }
    }

    /// Writes until nothing more is taken; how many bytes were.
    func fill(_ descriptor: Int32) -> Int {
        let bytes = [UInt8](repeating: 120, count: 4096)
        var total = 0
        while true {
            let count = write(descriptor, bytes, bytes.count)
            if count <= 0 { return total }
            total += count
        }
    }

    /// Runs the steps in order, the loop's turns between them.
    func run(_ steps: [() -> Void]) {
        self.steps = steps.reversed()
        wait(StreamsBench.turns)
        loop.run()
    }

    private func wait(_ turns: Int) {
        _ = loop.after(milliseconds: 0) { [self] in
            if turns > 0 { return wait(turns - 1) }
            guard let step = steps.popLast() else { return loop.stop() }
            step()
            wait(StreamsBench.turns)
        }
    }
}

/// One after the other: the shim has one buffer for all reads.
@Suite(.serialized)
struct AttacherTests {
    /// A peer that is gone while the process has yet to take its input, and it the process's output, holds nothing up.
    /// It may have closed its socket, or shut both its directions and kept it.
    @Test(arguments: [true, false])
    func countsNobodyWhoHasLeftWithInputOnItsWay(_ closes: Bool) throws {
        let bench = try StreamsBench()
        var output = 0
        let moreOutput = { output += bench.fill(bench.process.output.raw) }
        bench.run(
            [{ #expect(bench.fill(bench.peerNumber) > 65536) }] + Array(repeating: moreOutput, count: 20) + [
                {
                    #expect(bench.streams.backlog > 0, "of \(output) bytes nothing waits for the peer")
                    if closes { bench.peer = nil } else { shutdown(bench.peerNumber, Int32(SHUT_RDWR)) }
                },
                { #expect(bench.streams.hasPeers, "its input is the process's: it is still read") },
                moreOutput,
                {
                    #expect(bench.streams.backlog == 0)
                    bench.streams.processEnded(grace: 0)
                    bench.streams.end()
                },
                { #expect(!bench.streams.hasPeers) },
            ])
    }

    /// What a peer sent before it left reaches the process, however late that takes it.
    @Test func givesTheProcessAllInputOfAPeerThatHasLeft() throws {
        let bench = try StreamsBench()
        var sent = 0
        var taken = 0
        let take = {
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            taken += max(0, read(bench.process.input.raw, &bytes, bytes.count))
        }
        bench.run([{ sent = bench.fill(bench.peerNumber) }, { bench.peer = nil }] + Array(repeating: take, count: 20))
        #expect(sent > 65536)
        #expect(taken == sent)
        #expect(!bench.streams.hasPeers)
    }

    @Test func doesNotCallWhatIsCancelledInTheSameTurn() throws {
        let loop = try EventLoop()
        var called: [Int] = []
        var tokens: [UInt64] = []
        for number in 0..<10 {
            tokens.append(
                loop.after(milliseconds: 0) {
                    called.append(number)
                    if number == 0 { for token in tokens.dropFirst() { loop.cancel(token) } }
                    if number == 0 { _ = loop.after(milliseconds: 0) { loop.stop() } }
                })
        }
        loop.run()
        #expect(called == [0])
    }

    /// What is read away from a peer that is gone does not take the place of the output that others are yet to get.
    @Test func keepsOutputForTheOthers() throws {
        let loop = try EventLoop()
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let attacher = try Attacher(pair.first, options: AttachOptions(), isFramed: false, spillDirectory: nil, loop: loop)
        var isGone = false
        attacher.onGone = { isGone = true }
        try leave(pair.second, saying: "nobody asked for this")
        let output = UnsafeMutableRawBufferPointer(rebasing: SharedBuffer.input[..<100])
        for index in output.indices { output[index] = 120 }
        attacher.deliver(output, stream: 1)
        #expect(isGone)
        #expect(output.allSatisfy { $0 == 120 })
    }

    private func leave(_ peer: consuming OwnedFD, saying text: String) throws { try peer.writeAll(Array(text.utf8)) }
}
