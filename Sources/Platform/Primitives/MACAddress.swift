/// An Ethernet address.
package struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    /// The first byte is the highest of six.
    private let value: UInt64

    package static let byteCount = 6

    /// Nil unless there are six.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        value = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private init(value: UInt64) {
        self.value = value
    }

    /// What a box's only interface is called by default. Each box has a network of its own, so it need not be another.
    package static let ofGuest = MACAddress(value: 0x5254_0012_3456)

    package var bytes: [UInt8] {
        (0..<Self.byteCount).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64(Self.byteCount - 1 - $0))) }
    }

    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
