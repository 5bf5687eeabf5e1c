internal import Archive
internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// First use of a volume: what the image has at the place where it is mounted goes into it.
enum CopyUp {
    /// Copies a directory of the root unless there is none, or the destination, a directory of the host, has anything in
    /// it. Owner and mode of the directory itself are copied too.
    static func run(_ path: String, in root: borrowing OwnedFD, to destination: String) throws {
        let source: OwnedFD
        do throws(SystemError) { source = try root.openInRoot(path, O_RDONLY | O_DIRECTORY) } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return }
            throw error
        }
        guard try Files.list(destination).isEmpty else { return }
        let status = try source.status()
        let target = try OwnedFD.open(destination, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        let pipe = try OwnedFD.pipe()
        let reading = pipe.reading.raw
        let writing = pipe.writing.raw
        let number = source.raw
        // One process packs, the other unpacks: both walk by descriptors and keep all that tar can say.
        let packer = try ClonedProcess.clone(namespaces: 0) {
            close(reading)
            return CopyUp.pack(number, to: writing)
        }
        var ends = pipe
        ends.writing = try OwnedFD.open("/dev/null")
        do {
            _ = try TreeExtractor(root: target).extract(TarReader(FileSource(reading)))
        } catch {
            packer.killAndReap()
            throw error
        }
        guard try ProcessStatus.reap(packer.pid) == 0 else {
            throw ShimFailure(.rootfs, "copy the image's content to \(destination): packing failed")
        }
        try retrying("change owner of", destination) { fchown(target.raw, status.st_uid, status.st_gid) }
        try retrying("change mode of", destination) { fchmod(target.raw, status.st_mode & 0o7777) }
    }

    private static func pack(_ source: Int32, to pipe: Int32) -> Int32 {
        do {
            let directory = OwnedFD(owning: source)
            let writer = TarWriter(FileSink(pipe))
            _ = try TreeArchiver().archive(directory, to: writer)
            try writer.finish()
            return 0
        } catch {
            ShimLog.write("rootfs: \(error)")
            return 1
        }
    }
}
