import Foundation
import LinuxSystem
import SharedFS

extension FuzzTarget {
    /// The first byte chooses the share; then come requests, each an operation, a node, the length of its arguments and these.
    /// What does not fit is taken for one request as it is.
    static let fuse = FuzzTarget("fuse") { bytes in
        guard let first = bytes.first else { return }
        let share = TemporaryShare()
        var options = FUSEOptions()
        options.isReadOnly = first & 1 != 0
        options.sharesLocks = first & 2 != 0
        options.guestOwner = first & 4 != 0 ? .init(uid: 1000, gid: 1000) : nil
        options.maxDescriptors = 3
        options.maxNodes = 20
        options.maxHandles = 8
        guard let root = try? Directory(share.path), let server = try? FUSEServer(root: root, options: options) else {
            fatalError("there is no share to serve")
        }
        var data = NoData()
        func send(_ opcode: UInt32, _ node: UInt64, _ arguments: [UInt8]) {
            // Space would be allocated for real.
            if opcode == 43 { return }
            let dataLength: UInt32 =
                opcode == 16 && arguments.count >= 40
                ? arguments[16..<20].reversed().reduce(0) { $0 << 8 | UInt32($1) } : 0
            let length = UInt32(40 + arguments.count).addingReportingOverflow(dataLength).partialValue
            let header =
                littleEndian(length) + littleEndian(opcode) + littleEndian(UInt64(7)) + littleEndian(node)
                + [UInt8](repeating: 0, count: 16)
            _ = try? server.handle(header + arguments, replyCapacity: 4096, data: &data)
        }
        // The upper half are the flags, all of them; one guest in two opens directories, without FUSE_NO_OPENDIR_SUPPORT.
        let flags = first & 8 == 0 ? UInt64.max : ~(1 << 56)
        send(26, 0, littleEndian(UInt32(7)) + littleEndian(UInt32(38)) + littleEndian(flags))
        // Nodes 2 to 4, in some order, are known from the start.
        for name in ["a", "f", "l"] { send(1, 1, Array(name.utf8) + [0]) }
        var rest = bytes.dropFirst()
        while rest.count >= 3 {
            let (opcode, node, count) = (rest[rest.startIndex], rest[rest.startIndex + 1], rest[rest.startIndex + 2])
            rest = rest.dropFirst(3)
            send(UInt32(opcode), UInt64(node), Array(rest.prefix(Int(count))))
            rest = rest.dropFirst(Int(count))
        }
        _ = try? server.handle(Array(bytes), replyCapacity: Int(first), data: &data)
        precondition(server.load.nodes <= 21 && server.load.descriptors <= 3, "the bounds hold")
    }
}

/// File data that goes nowhere: what is fuzzed is what comes before.
private struct NoData: FUSEData {
    mutating func read(from file: borrowing OwnedFD, at offset: UInt64, count: Int) -> Int { count }
    mutating func write(to file: borrowing OwnedFD, at offset: UInt64, count: Int, _ mode: WriteMode) -> Int { count }
}

/// Removed with all that requests made of it.
private final class TemporaryShare {
    let path: String

    init() {
        let memory = "/dev/shm"
        let parent = FileManager.default.fileExists(atPath: memory) ? memory : "/tmp"
        path = "\(parent)/voidbox-fuzz-\(UUID())"
        try? FileManager.default.createDirectory(atPath: "\(path)/a/b", withIntermediateDirectories: true)
        _ = FileManager.default.createFile(atPath: "\(path)/f", contents: Data([1, 2, 3]))
        try? FileManager.default.createSymbolicLink(atPath: "\(path)/l", withDestinationPath: "..")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    stride(from: 0, to: value.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
}
