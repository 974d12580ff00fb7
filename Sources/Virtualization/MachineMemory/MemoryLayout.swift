/// Where a machine's memory is in its address space: from 0 to the gap for devices, and the rest from 4 GiB.
package struct MachineMemoryLayout: Hashable, Sendable {
    /// Devices, interrupt controllers and firmware live here.
    package static let gap: Range<UInt64> = 0xD000_0000..<0x1_0000_0000

    package struct Region: Hashable, Sendable {
        package let base: GuestAddress
        package let count: UInt64

        package var end: UInt64 { base.rawValue + count }
    }

    package let regions: [Region]

    /// `size` is rounded up to whole pages.
    package init(size: UInt64) {
        let size = (size + 4095) & ~4095
        let low = min(size, Self.gap.lowerBound)
        var regions = [Region(base: GuestAddress(0), count: low)]
        if size > low { regions.append(Region(base: GuestAddress(Self.gap.upperBound), count: size - low)) }
        self.regions = regions
    }
}
