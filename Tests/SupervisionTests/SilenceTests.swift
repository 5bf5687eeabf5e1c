import Glibc
import JSON
import Linux
import ShimProtocol
import Testing

@testable import Supervision

/// A supervisor that takes requests and answers none.
@Test func aSilentSupervisorIsWaitedForNoLongerThanAsked() async throws {
    let (ours, theirs) = split(try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue)))
    defer { close(theirs) }
    let channel = try ControlChannel(OwnedFD(owning: ours))
    let failure = await #expect(throws: ShimFailure.self) { _ = try await channel.request(.signal(15), patience: 1) }
    #expect(failure?.kind == .silent)
    // What it answers later is the answer to nothing; the next request has its own.
    func answer(_ id: UInt64) {
        let frame = ShimWire.frame(ShimMessage.answer(id: id, .process(Int32(id))).json)
        #expect(write(theirs, frame, frame.count) == frame.count)
    }
    answer(1)
    async let next = channel.request(.execStart(id: "e"), patience: nil)
    try await Task.sleep(for: .milliseconds(200))
    answer(2)
    #expect(try await next == .process(2))
}
