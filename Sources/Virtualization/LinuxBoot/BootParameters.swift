internal import ByteCodec

/// The "zero page" that a kernel gets from its loader: `struct boot_params` (Documentation/arch/x86/zero-page.rst).
struct BootParameters {
    static let size = 4096

    /// Kinds of memory in the map.
    enum MemoryKind: UInt32 {
        case usable = 1
        case reserved = 2
    }

    private(set) var bytes = [UInt8](repeating: 0, count: size)

    init(setupHeader: [UInt8]?) {
        if let setupHeader {
            bytes.replaceSubrange(
                BzImage.setupHeaderOffset..<BzImage.setupHeaderOffset + setupHeader.count,
                with: setupHeader,
            )
        } else {
            set(0x1FE, UInt16(0xAA55))
            bytes.replaceSubrange(0x202..<0x206, with: "HdrS".utf8)
            set(0x206, UInt16(0x020F))  // Version of the protocol.
            set(0x230, UInt32(0x100_0000))  // Alignment.
        }
        bytes[0x210] = 0xFF  // Type of loader: none that is registered.
        bytes[0x211] |= 1  // LOADED_HIGH
    }

    mutating func setCommandLine(at address: UInt32, count: Int) {
        set(0x228, address)
        set(0x238, UInt32(count))
    }

    mutating func setInitramfs(at address: UInt32, count: UInt32) {
        set(0x218, address)
        set(0x21C, count)
    }

    mutating func setMemoryMap(_ entries: [(range: Range<UInt64>, kind: MemoryKind)]) {
        bytes[0x1E8] = UInt8(entries.count)
        for (index, entry) in entries.enumerated() {
            let offset = 0x2D0 + index * 20
            set(offset, entry.range.lowerBound)
            set(offset + 8, UInt64(entry.range.count))
            set(offset + 16, entry.kind.rawValue)
        }
    }

    private mutating func set(_ offset: Int, _ value: some FixedWidthInteger) {
        var encoded: [UInt8] = []
        encoded.append(littleEndian: value)
        bytes.replaceSubrange(offset..<offset + encoded.count, with: encoded)
    }
}
