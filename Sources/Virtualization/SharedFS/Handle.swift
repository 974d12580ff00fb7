internal import ByteCodec
internal import LinuxSystem

/// A file or directory that the guest has open. Confined to its server's thread.
final class Handle {
    let node: Node
    let descriptor: OwnedFD
    let isReadable: Bool
    let isWritable: Bool
    /// Of a directory only.
    var stream: DirectoryStream?

    /// The node stays in memory, with its descriptor, as long as the handle does.
    init(_ node: Node, _ descriptor: consuming OwnedFD, access: UInt32) {
        self.node = node
        self.descriptor = descriptor
        isReadable = access != 1
        isWritable = access == 1 || access == 2
        stream = node.isDirectory ? DirectoryStream() : nil
        node.pins += 1
    }

    deinit {
        node.pins -= 1
    }
}

/// The handles of one server, by number. A number is never given twice.
struct HandleTable {
    /// What the guest says where it has opened nothing.
    static let none: UInt64 = 0

    private let limit: Int
    private var handles: [UInt64: Handle] = [:]
    var nextID: UInt64 = 1

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { handles.count }

    func requireRoom() throws(SyscallError) {
        if handles.count >= limit { throw SyscallError(.tooManyOpenFilesInSystem, call: "FUSE") }
    }

    mutating func insert(_ handle: Handle) -> UInt64 {
        defer { nextID += 1 }
        handles[nextID] = handle
        return nextID
    }

    /// An open file of the node.
    func file(_ id: UInt64, of node: UInt64) throws(SyscallError) -> Handle {
        guard let handle = handles[id], handle.node.id == node, handle.stream == nil else {
            throw SyscallError(.badDescriptor, call: "FUSE")
        }
        return handle
    }

    func directory(_ id: UInt64, of node: UInt64) throws(SyscallError) -> Handle {
        guard let handle = handles[id], handle.node.id == node, handle.stream != nil else {
            throw SyscallError(.badDescriptor, call: "FUSE")
        }
        return handle
    }

    mutating func remove(_ id: UInt64) {
        handles[id] = nil
    }

    mutating func removeAll() {
        handles = [:]
    }
}

/// Reads a directory in the host's order. An offset is the host's cookie, so that it holds while entries come and go.
struct DirectoryStream {
    struct Entry {
        let inode: UInt64
        /// Where the entries after this one begin.
        let offset: UInt64
        /// `DT_` of `readdir(3)`.
        let type: UInt8
        let name: [UInt8]

        var isDot: Bool { name == [UInt8(ascii: ".")] }
        var isDotDot: Bool { name == [UInt8(ascii: "."), UInt8(ascii: ".")] }
    }

    /// Enough for hundreds of entries.
    private static let bufferSize = 32768

    private var buffer: ArraySlice<UInt8> = []
    /// What the guest has to ask for to get the next entry without a seek.
    private(set) var position: UInt64 = 0

    /// The entry at `offset`, which stays where it is until it is `taken`; nil at the end.
    mutating func entry(at offset: UInt64, of directory: borrowing OwnedFD) throws(SyscallError) -> Entry? {
        if offset != position {
            try directory.seek(to: offset)
            buffer = []
            position = offset
        }
        if buffer.isEmpty { buffer = try directory.readEntries(capacity: Self.bufferSize)[...] }
        if buffer.isEmpty { return nil }
        do throws(ByteReaderOverrun) {
            var reader = ByteReader(buffer)
            let inode: UInt64 = try reader.littleEndian()
            let next: UInt64 = try reader.littleEndian()
            let length: UInt16 = try reader.littleEndian()
            let type: UInt8 = try reader.littleEndian()
            let name = try reader.slice(Int(length) - 19)
            return Entry(inode: inode, offset: next, type: type, name: Array(name.prefix { $0 != 0 }))
        } catch {
            throw SyscallError(.inputOutput, call: "getdents64")
        }
    }

    /// Moves past an entry that `entry(at:of:)` returned.
    mutating func take(_ entry: Entry) {
        // linux_dirent64: the length of the record is at 16.
        let start = buffer.startIndex
        guard buffer.count >= 19 else { return }
        buffer = buffer.dropFirst(Int(buffer[start + 16]) | Int(buffer[start + 17]) << 8)
        position = entry.offset
    }
}
