internal import NIOPosix

/// Threads for work that blocks: files, hashing, password hashing. Few, so that many clients at once stay cheap.
private let workers: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 8)
    pool.start()
    return pool
}()

/// Runs blocking work on one of a few threads, so that neither Swift's threads nor event loops wait for the kernel.
func offloaded<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await workers.runIfActive(work)
}
