extension CgroupManager {
    /// Reads the figures of all controllers.
    public func statistics() throws -> CgroupStatistics { CgroupStatistics() }
}
