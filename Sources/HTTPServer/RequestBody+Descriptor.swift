internal import Glibc
internal import NIOCore
internal import NIOPosix

// How a body crosses into rooms that read descriptors. A pipe can't tell a complete upload from one that broke off:
// both end with end-of-file, and half a tar would be loaded. So the body goes through a socket pair. Before the first
// byte, the reader's side sends one byte towards the writer; a Unix socket that is closed with unread bytes makes the
// peer's read fail with ECONNRESET after the data (unix(7), net/unix/af_unix.c). The writer takes that byte only when
// the body is complete. So the reader sees end-of-file exactly for a complete body, even if the daemon dies.

extension RequestBody {
    /// A blocking descriptor from which the body can be read; the caller owns it. Read fails with ECONNRESET when the
    /// body breaks off. Reading slowly slows the client down; closing it early discards the rest.
    public func descriptor() throws -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw HTTPServerError("create socket pair: \(String(cString: strerror(errno)).lowercased())")
        }
        let (reader, writer) = (ends[0], ends[1])
        var mark: UInt8 = 0
        guard send(reader, &mark, 1, Int32(MSG_NOSIGNAL)) == 1 else {
            _ = close(reader)
            _ = close(writer)
            throw HTTPServerError("mark socket pair: \(String(cString: strerror(errno)).lowercased())")
        }
        var room: Int32 = 1 << 20
        _ = setsockopt(writer, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        guard let source else {
            // Complete already: at most one small buffer, which fits.
            Task { await pumpBlocking(into: writer) }
            return reader
        }
        Task { await pump(into: writer, on: source.eventLoop) }
        return reader
    }

    private func pump(into writer: Int32, on eventLoop: any EventLoop) async {
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: eventLoop).channelOption(ChannelOptions.autoRead, value: false)
                .withConnectedSocket(writer).get()
        } catch {
            _ = close(writer)
            return
        }
        do {
            while let chunk = try await next() { try await channel.writeAndFlush(chunk).get() }
            var mark: UInt8 = 0
            _ = recv(writer, &mark, 1, Int32(MSG_DONTWAIT))
        } catch {
            // Closed with the mark unread: the reader gets ECONNRESET. An error of the reader's side needs no word.
        }
        try? await channel.close().get()
    }

    private func pumpBlocking(into writer: Int32) async {
        defer { _ = close(writer) }
        guard let chunk = try? await next() else {
            var mark: UInt8 = 0
            _ = recv(writer, &mark, 1, Int32(MSG_DONTWAIT))
            return
        }
        let sent = chunk.withUnsafeReadableBytes { send(writer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
        var mark: UInt8 = 0
        if sent == chunk.readableBytes { _ = recv(writer, &mark, 1, Int32(MSG_DONTWAIT)) }
    }
}
