internal import ByteCodec

/// Tells a kernel without ACPI its processors and interrupt lines (Intel MultiProcessor Specification 1.4, chapter 4).
struct MPTable {
    private static let localAPIC: UInt32 = 0xFEE0_0000
    private static let ioAPIC: UInt32 = 0xFEC0_0000
    private static let version: UInt8 = 4
    private static let interruptLines: UInt8 = 24

    /// The structure that the kernel looks for, 16 bytes.
    let pointer: [UInt8]
    let table: [UInt8]

    /// The table is to be put at `address`.
    init(processors: Int, at address: UInt32) {
        var pointer = Array("_MP_".utf8)
        pointer.append(littleEndian: address)
        // Its length in units of 16 bytes, version, checksum, and no default configuration.
        pointer += [1, Self.version, 0, 0, 0, 0, 0, 0]
        pointer[10] = Self.checksum(pointer)
        self.pointer = pointer
        table = Self.table(processors)
    }

    private static func table(_ processors: Int) -> [UInt8] {
        let ioAPICID = UInt8(truncatingIfNeeded: processors)
        var entries: [[UInt8]] = (0..<processors).map { index in
            // Type, local APIC id and version, flags (enabled, and the first one boots), signature, features.
            [0, UInt8(truncatingIfNeeded: index), 0x14, index == 0 ? 3 : 1, 0, 6, 0, 0, 0x01, 0x02, 0, 0]
                + [UInt8](repeating: 0, count: 8)
        }
        entries.append([1, 0] + Array("ISA   ".utf8))
        var ioAPICEntry: [UInt8] = [2, ioAPICID, 0x11, 1]
        ioAPICEntry.append(littleEndian: ioAPIC)
        entries.append(ioAPICEntry)
        entries += (0..<interruptLines).map { line in
            // An interrupt of bus 0 to the pin of the same number, with the bus's polarity and trigger.
            [3, 0, 0, 0, 0, line, ioAPICID, line]
        }
        entries.append([4, 3, 0, 0, 0, 0, 0xFF, 0])  // ExtINT to LINT0 of all,
        entries.append([4, 1, 0, 0, 0, 0, 0xFF, 1])  // NMI to LINT1 of all.
        let body = entries.flatMap { $0 }

        var table = Array("PCMP".utf8)
        table.append(littleEndian: UInt16(44 + body.count))
        table += [version, 0]
        table += Array("VOIDBOX ".utf8) + Array("MICROVM     ".utf8)
        table.append(littleEndian: UInt32(0))
        table.append(littleEndian: UInt16(0))
        table.append(littleEndian: UInt16(entries.count))
        table.append(littleEndian: localAPIC)
        table.append(littleEndian: UInt32(0))
        table += body
        table[7] = checksum(table)
        return table
    }

    /// What makes all bytes add up to zero.
    private static func checksum(_ bytes: [UInt8]) -> UInt8 {
        0 &- bytes.reduce(0, &+)
    }
}
