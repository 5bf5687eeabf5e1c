extension CgroupResources {
    /// Whether anything is limited that needs a controller. Rules for devices do not count.
    public var hasLimits: Bool { !needed.isEmpty }
}
