internal import ByteCodec

/// A compressed kernel as distributions ship it (Documentation/arch/x86/boot.rst). It unpacks itself in the guest.
package struct BzImage: Hashable, Sendable {
    package enum Violation: Error, Hashable, Sendable {
        case noSetupHeader
        /// The boot protocol is older than 2.12, which has the 64-bit entry.
        case protocolTooOld(UInt16)
        case no64BitEntry
        case notRelocatable
        case setupOutOfFile(sectors: Int)
    }

    /// Where the header starts in the file and in `boot_params`.
    static let setupHeaderOffset = 0x1F1
    /// The 64-bit entry, from the start of the protected-mode code.
    private static let entryOffset: UInt64 = 0x200
    private static let minimumProtocol: UInt16 = 0x020C

    /// Copied into `boot_params`; its length tells how much the kernel knows.
    let setupHeader: [UInt8]
    /// Of the protected-mode code in the file.
    package let codeOffset: UInt64
    package let codeSize: UInt64
    /// What the code takes in memory while it unpacks.
    package let memorySize: UInt64
    package let loadAddress: UInt64

    package var entry: UInt64 { loadAddress + Self.entryOffset }

    package init(front: [UInt8], fileSize: UInt64) throws(Violation) {
        guard front.count > 0x268, Array(front[0x202..<0x206]) == Array("HdrS".utf8) else { throw .noSetupHeader }
        func load<Value: FixedWidthInteger>(_ offset: Int, _: Value.Type = Value.self) -> Value {
            (0..<Value.bitWidth / 8).reversed().reduce(0) { $0 << 8 | Value(truncatingIfNeeded: front[offset + $1]) }
        }
        let version = load(0x206, UInt16.self)
        guard version >= Self.minimumProtocol else { throw .protocolTooOld(version) }
        guard load(0x236, UInt16.self) & 1 != 0 else { throw .no64BitEntry }
        guard front[0x234] != 0 else { throw .notRelocatable }
        // The end of the header is in the jump at its start.
        let end = min(0x202 + Int(front[0x201]), front.count)
        guard end > 0x268 - 8 else { throw .noSetupHeader }
        setupHeader = Array(front[Self.setupHeaderOffset..<end])
        let sectors = front[0x1F1] == 0 ? 4 : Int(front[0x1F1])
        codeOffset = UInt64(sectors + 1) * 512
        guard codeOffset < fileSize else { throw .setupOutOfFile(sectors: sectors) }
        codeSize = fileSize - codeOffset
        loadAddress = max(load(0x258, UInt64.self), 0x10_0000)
        memorySize = max(UInt64(load(0x260, UInt32.self)), codeSize)
    }
}
