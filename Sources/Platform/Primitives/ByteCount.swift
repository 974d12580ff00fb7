/// A number of bytes.
package struct ByteCount: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let bytes: UInt64

    package init(bytes: UInt64) {
        self.bytes = bytes
    }

    package static func kibibytes(_ count: UInt64) -> ByteCount { scaled(count, by: 1 << 10) }
    package static func mebibytes(_ count: UInt64) -> ByteCount { scaled(count, by: 1 << 20) }
    package static func gibibytes(_ count: UInt64) -> ByteCount { scaled(count, by: 1 << 30) }

    /// Saturates: a size beyond 2^64 is as absurd as 2^64 and no reason to trap.
    private static func scaled(_ count: UInt64, by unit: UInt64) -> ByteCount {
        let product = count.multipliedReportingOverflow(by: unit)
        return ByteCount(bytes: product.overflow ? .max : product.partialValue)
    }

    package static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }

    /// In the largest binary unit that divides into a readable number: "512 B", "1.5 MiB".
    package var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var tenths = bytes.multipliedReportingOverflow(by: 10).partialValue
        if bytes > UInt64.max / 10 { return "\(bytes) B" }
        var unit = 0
        while tenths >= 10240, unit < units.count - 1 {
            tenths /= 1024
            unit += 1
        }
        return tenths % 10 == 0 ? "\(tenths / 10) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
