/// A physical address of the guest.
package struct GuestAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Nil where it would wrap around.
    package func advanced(by count: UInt64) -> GuestAddress? {
        let (sum, overflow) = rawValue.addingReportingOverflow(count)
        return overflow ? nil : GuestAddress(sum)
    }

    package static func < (left: GuestAddress, right: GuestAddress) -> Bool { left.rawValue < right.rawValue }

    package var description: String { "0x" + String(rawValue, radix: 16) }
}

/// A guest named memory that it does not have.
package struct MemoryViolation: Error, Hashable, Sendable, CustomStringConvertible {
    package let address: GuestAddress
    package let count: UInt64

    package init(address: GuestAddress, count: UInt64) {
        self.address = address
        self.count = count
    }

    package var description: String { "\(count) bytes at \(address) are not all in one piece of the guest's memory" }
}
