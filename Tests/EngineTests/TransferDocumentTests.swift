import EngineTypes
import Images
import JSON
import OCIImageSpec
import Testing

@testable import Engine

@Suite struct Transfers {
    private static let layer = Digest(bytes: [UInt8](repeating: 0xab, count: 32))

    /// What is told, and the document that Docker's clients draw.
    @Test(
        arguments: [
            (.message(id: "1", "Pulling from team/app"), #"{"status":"Pulling from team/app","id":"1"}"#),
            (.message(id: nil, "Status: x"), #"{"status":"Status: x"}"#),
            (.layer(layer, .pulling), #"{"status":"Pulling fs layer","progressDetail":{},"id":"abababababab"}"#),
            (.layer(layer, .retrying(seconds: 1)), #"{"status":"Retrying in 1 second","progressDetail":{},"id":"abababababab"}"#),
            (.layer(layer, .mounted(from: "a/b")), #"{"status":"Mounted from a/b","progressDetail":{},"id":"abababababab"}"#),
            (
                .layer(layer, .downloading(512_000, of: 2_048_000)),
                #"{"status":"Downloading","progressDetail":{"current":512000,"total":2048000},"progress":"[============>                                      ]    512kB/2.048MB","id":"abababababab"}"#
            ),
            (
                .layer(layer, .pushing(3_000_000_000, of: 3_000_000_000)),
                #"{"status":"Pushing","progressDetail":{"current":3000000000,"total":3000000000},"progress":"[==================================================>]      3GB/3GB","id":"abababababab"}"#
            ),
        ] as [(TransferProgress, String)])
    func documents(_ progress: TransferProgress, _ text: String) {
        #expect(TransferDocuments.documents(progress).map { $0.text() } == [text])
    }

    @Test func aPushedTagIsToldTwice() {
        let documents = TransferDocuments.documents(.tagPushed(tag: "1", digest: Self.layer, size: 528))
        #expect(documents[0]["status"]?.stringValue == "1: digest: \(Self.layer) size: 528")
        #expect(documents[1].text() == #"{"progressDetail":{},"aux":{"Tag":"1","Digest":"\#(Self.layer)","Size":528}}"#)
    }

    /// A client that reads slowly misses steps, and nothing else.
    @Test func stepsThatWaitAreReplaced() async {
        let outbox = TransferOutbox()
        let other = Digest(bytes: [UInt8](repeating: 1, count: 32))
        outbox.put(.layer(Self.layer, .pulling))
        for count in 1...1000 {
            outbox.put(.layer(Self.layer, .downloading(Int64(count), of: 1000)))
            outbox.put(.layer(other, .downloading(Int64(count), of: 1000)))
        }
        outbox.put(.layer(Self.layer, .downloaded))
        outbox.put(.layer(Self.layer, .extracting(1, of: 1)))
        outbox.end()
        #expect(
            await outbox.take() == [
                .layer(Self.layer, .pulling), .layer(Self.layer, .downloading(1000, of: 1000)), .layer(other, .downloading(1000, of: 1000)),
                .layer(Self.layer, .downloaded), .layer(Self.layer, .extracting(1, of: 1)),
            ])
        #expect(await outbox.take() == nil)
    }

    @Test(
        arguments: [
            ("x", nil, "docker.io/library/x"), ("x:", nil, "docker.io/library/x"), ("x", "1", "docker.io/library/x:1"),
            ("x:1", "2", "docker.io/library/x:2"),
            ("r.io/a/b", "sha256:" + String(repeating: "a", count: 64), "r.io/a/b@sha256:" + String(repeating: "a", count: 64)),
        ] as [(String, String?, String)])
    func names(_ name: String, _ tag: String?, _ reference: String) throws {
        #expect(try ImageService.remoteReference(name, tag).description == reference)
    }

    @Test(
        arguments: [("X", nil, "must be lowercase"), ("scratch", nil, "'scratch' is a reserved name"), ("x", "a b", "invalid tag format")]
            as [(String, String?, String)])
    func refusedNames(_ name: String, _ tag: String?, _ words: String) {
        let error = #expect(throws: EngineError.self) { try ImageService.remoteReference(name, tag) }
        #expect(error?.message.contains(words) == true && error?.code == .invalidParameter)
    }
}
