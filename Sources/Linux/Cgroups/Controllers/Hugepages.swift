// The hugetlb controller (cgroup-v1/hugetlb.rst) and the rdma controller (cgroup-v1/rdma.rst).
extension CgroupResources.Hugepage {
    /// Limits pages in use and, where the kernel can (5.7), pages reserved.
    func apply(to directory: CgroupDirectory) throws {
        let setting = "hugepageLimits.\(pageSize)"
        guard pageSize.hasSuffix("KB") || pageSize.hasSuffix("MB") || pageSize.hasSuffix("GB"), let number = UInt64(pageSize.dropLast(2)),
            number > 0
        else { throw CgroupError.invalid(setting: setting, reason: "a page size is a number with KB, MB or GB") }
        let suffix = directory.isUnified ? "max" : "limit_in_bytes"
        try directory.set("hugetlb.\(pageSize).\(suffix)", "\(limit)", for: setting)
        let reserved = "hugetlb.\(pageSize).rsvd.\(suffix)"
        if directory.has(reserved) { try directory.set(reserved, "\(limit)", for: setting) }
    }
}

extension CgroupResources.RDMA {
    func apply(to directory: CgroupDirectory, device: String) throws {
        var line = device
        if let handles { line += " hca_handle=\(handles)" }
        if let objects { line += " hca_object=\(objects)" }
        if handles != nil || objects != nil { try directory.set("rdma.max", line, for: "rdma.\(device)") }
    }
}
