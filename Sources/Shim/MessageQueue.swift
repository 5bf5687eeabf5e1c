/// Messages that wait for a server. One that was sent in part is sent anew over a new connection.
struct MessageQueue {
    private var messages: [[UInt8]] = []
    private var head = 0
    /// Bytes of the first message that are gone.
    private var offset = 0
    /// Bytes of all messages.
    private(set) var size = 0

    var isEmpty: Bool { head == messages.count }

    mutating func append(_ message: [UInt8]) {
        if head > 1024 && head > messages.count / 2 {
            messages.removeFirst(head)
            head = 0
        }
        messages.append(message)
        size += message.count
    }

    /// What is to go next; nil when there is nothing.
    var next: ArraySlice<UInt8>? { isEmpty ? nil : messages[head][offset...] }

    mutating func advance(_ count: Int) {
        offset += count
        if offset >= messages[head].count { removeFirst() }
    }

    mutating func removeFirst() {
        size -= messages[head].count
        messages[head] = []
        head += 1
        restart()
        if isEmpty {
            messages = []
            head = 0
        }
    }

    /// The connection is another: from the first message's start.
    mutating func restart() { offset = 0 }
}
