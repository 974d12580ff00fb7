import ByteCodec
import Foundation
import LinuxSystem

@testable import SharedFS

/// File data in an array instead of a guest's memory.
struct ArrayData: FUSEData {
    var bytes: [UInt8] = []

    mutating func read(
        from file: borrowing OwnedFD,
        at offset: UInt64,
        count: Int,
    ) throws(SyscallError) -> Int {
        bytes = try file.read(at: offset, count: count)
        return bytes.count
    }

    mutating func write(
        to file: borrowing OwnedFD,
        at offset: UInt64,
        count: Int,
        _ mode: WriteMode,
    ) throws(SyscallError) -> Int {
        try file.write(bytes.prefix(count), at: offset, mode)
    }
}

/// What a test expected of the server and did not get.
struct UnexpectedReply: Error, CustomStringConvertible {
    let description: String
}

/// `fuse_attr`, of which the tests look at these.
struct Attributes: Equatable {
    let inode: UInt64
    let size: UInt64
    let blocks: UInt64
    let accessed: FileTime
    let modified: FileTime
    let changed: FileTime
    let mode: UInt32
    let links: UInt32
    let uid: UInt32
    let gid: UInt32
    let device: UInt32

    init(_ reader: inout ByteReader) throws {
        inode = try reader.littleEndian()
        size = try reader.littleEndian()
        blocks = try reader.littleEndian()
        let seconds: [Int64] = [
            try reader.littleEndian(), try reader.littleEndian(), try reader.littleEndian(),
        ]
        let nanoseconds: [UInt32] = [
            try reader.littleEndian(), try reader.littleEndian(), try reader.littleEndian(),
        ]
        accessed = FileTime(seconds: seconds[0], nanoseconds: nanoseconds[0])
        modified = FileTime(seconds: seconds[1], nanoseconds: nanoseconds[1])
        changed = FileTime(seconds: seconds[2], nanoseconds: nanoseconds[2])
        mode = try reader.littleEndian()
        links = try reader.littleEndian()
        uid = try reader.littleEndian()
        gid = try reader.littleEndian()
        device = try reader.littleEndian()
        _ = try reader.slice(8)
    }
}

/// `fuse_entry_out`
struct Entry {
    let node: UInt64
    let attributes: Attributes

    init(_ reader: inout ByteReader) throws {
        node = try reader.littleEndian()
        _ = try reader.slice(32)
        attributes = try Attributes(&reader)
    }
}

struct ListedEntry: Equatable {
    let name: String
    let inode: UInt64
    let offset: UInt64
    let type: UInt32
    /// Of READDIRPLUS; 0 where the server did not look the entry up.
    var node: UInt64 = 0
}

/// The kernel of a guest, as far as it talks to its file server, and the server with a directory of its own.
final class GuestKernel {
    static let root: UInt64 = 1

    let path: String
    let server: FUSEServer
    /// Whether it would open directories even where the server needs no opening, as an old one does.
    private let opensDirectories: Bool
    private var unique: UInt64 = 0

    /// - Parameter fill: makes files in the directory before it is served.
    init(
        initialize: Bool = true,
        opensDirectories: Bool = true,
        _ change: (inout FUSEOptions) -> Void = { _ in },
        fill: (_ path: String) throws -> Void = { _ in },
    ) throws {
        self.opensDirectories = opensDirectories
        path = "/tmp/sharedfs-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: "\(path)/share", withIntermediateDirectories: true)
        try fill("\(path)/share")
        var options = FUSEOptions()
        change(&options)
        server = try FUSEServer(root: try Directory("\(path)/share"), options: options)
        if initialize { _ = try self.initialize() }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path on the host of a file in the share.
    func host(_ name: String) -> String { "\(path)/share/\(name)" }

    // MARK: Requests

    struct Reply {
        let error: Int32
        let payload: [UInt8]
    }

    static func request(_ opcode: UInt32, node: UInt64, unique: UInt64, _ arguments: [UInt8], data: Int = 0) -> [UInt8]
    {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(40 + arguments.count + data))
        bytes.append(littleEndian: opcode)
        bytes.append(littleEndian: unique)
        bytes.append(littleEndian: node)
        // uid, gid and pid of the caller, no extensions.
        bytes.append(littleEndian: UInt32(1000))
        bytes.append(littleEndian: UInt32(1000))
        bytes.append(littleEndian: UInt32(42))
        bytes.append(littleEndian: UInt32(0))
        return bytes + arguments
    }

    /// Sends a request and checks the frame of the reply.
    func send(
        _ opcode: FUSE.Opcode,
        _ node: UInt64 = root,
        _ arguments: [UInt8] = [],
        capacity: Int = 1 << 20 + 16,
        data: inout ArrayData,
        dataCount: Int = 0,
    ) throws -> Reply {
        unique += 1
        let request = Self.request(opcode.rawValue, node: node, unique: unique, arguments, data: dataCount)
        guard let reply = try server.handle(request, replyCapacity: capacity, data: &data) else {
            throw UnexpectedReply(description: "\(opcode) got no reply")
        }
        var reader = ByteReader(reply)
        let length: UInt32 = try reader.littleEndian()
        let error: Int32 = try reader.littleEndian()
        let echoed: UInt64 = try reader.littleEndian()
        let dataLength = opcode == .read && error == 0 ? data.bytes.count : 0
        guard Int(length) == reply.count + dataLength, Int(length) <= capacity, echoed == unique else {
            throw UnexpectedReply(description: "the reply to \(opcode) is framed wrongly")
        }
        return Reply(error: -error, payload: Array(reply[16...]))
    }

    func send(_ opcode: FUSE.Opcode, _ node: UInt64 = root, _ arguments: [UInt8] = []) throws -> Reply {
        var data = ArrayData()
        return try send(opcode, node, arguments, data: &data)
    }

    /// Sends a request that has to succeed.
    @discardableResult
    func call(_ opcode: FUSE.Opcode, _ node: UInt64 = root, _ arguments: [UInt8] = []) throws -> [UInt8] {
        let reply = try send(opcode, node, arguments)
        if reply.error != 0 { throw Errno(rawValue: reply.error) }
        return reply.payload
    }

    /// Sends one that has no reply.
    func post(_ opcode: FUSE.Opcode, _ node: UInt64 = root, _ arguments: [UInt8] = []) throws {
        unique += 1
        var data = ArrayData()
        let request = Self.request(opcode.rawValue, node: node, unique: unique, arguments)
        let reply = try server.handle(request, replyCapacity: 0, data: &data)
        if reply != nil { throw UnexpectedReply(description: "\(opcode) got a reply") }
    }

    @discardableResult
    func initialize(flags: UInt32? = nil, major: UInt32 = 7, minor: UInt32 = 38) throws -> [UInt8] {
        let all = opensDirectories ? ~FUSE.InitFlags.noOpendirSupport.rawValue : .max
        // major, minor, max_readahead, flags, flags2, unused
        return try call(
            .initialize,
            0,
            arguments(major, minor, UInt32(131072), flags ?? all, UInt32(0)) + [UInt8](repeating: 0, count: 44)
        )
    }

    func arguments(_ values: any FixedWidthInteger...) -> [UInt8] {
        var bytes: [UInt8] = []
        for value in values { bytes.append(littleEndian: value) }
        return bytes
    }

    func name(_ name: String) -> [UInt8] { Array(name.utf8) + [0] }

    // MARK: Names

    func entry(_ payload: [UInt8]) throws -> Entry {
        var reader = ByteReader(payload)
        return try Entry(&reader)
    }

    func lookup(_ name: String, in parent: UInt64 = root) throws -> Entry {
        try entry(try call(.lookup, parent, self.name(name)))
    }

    /// Looks up a path component by component.
    func walk(_ path: String) throws -> Entry {
        var found: Entry?
        for component in path.split(separator: "/") {
            found = try lookup(String(component), in: found?.node ?? Self.root)
        }
        guard let found else { throw UnexpectedReply(description: "an empty path") }
        return found
    }

    @discardableResult
    func mkdir(_ name: String, in parent: UInt64 = root, mode: UInt32 = 0o755) throws -> Entry {
        try entry(try call(.mkdir, parent, arguments(mode, UInt32(0o022)) + self.name(name)))
    }

    @discardableResult
    func mknod(_ name: String, in parent: UInt64 = root, mode: UInt32, device: UInt32 = 0) throws -> Entry {
        try entry(try call(.mknod, parent, arguments(mode, device, UInt32(0), UInt32(0)) + self.name(name)))
    }

    @discardableResult
    func symlink(_ name: String, to target: String, in parent: UInt64 = root) throws -> Entry {
        try entry(try call(.symlink, parent, self.name(name) + self.name(target)))
    }

    @discardableResult
    func link(_ node: UInt64, as name: String, in parent: UInt64 = root) throws -> Entry {
        try entry(try call(.link, parent, arguments(node) + self.name(name)))
    }

    func unlink(_ name: String, in parent: UInt64 = root) throws { try call(.unlink, parent, self.name(name)) }
    func rmdir(_ name: String, in parent: UInt64 = root) throws { try call(.rmdir, parent, self.name(name)) }

    func rename(
        _ old: String,
        in parent: UInt64 = root,
        to new: String,
        inside newParent: UInt64 = root,
        flags: UInt32 = 0,
    ) throws {
        try call(.rename2, parent, arguments(newParent, flags, UInt32(0)) + name(old) + name(new))
    }

    func forget(_ node: UInt64, _ count: UInt64 = 1) throws { try post(.forget, node, arguments(count)) }

    // MARK: Files

    func open(_ node: UInt64, _ flags: Int32 = O_RDWR, openFlags: UInt32 = 0) throws -> UInt64 {
        let payload = try call(.open, node, arguments(UInt32(bitPattern: flags), openFlags))
        var reader = ByteReader(payload)
        return try reader.littleEndian()
    }

    /// The node and an open handle.
    func create(
        _ name: String,
        in parent: UInt64 = root,
        flags: Int32 = O_RDWR,
        mode: UInt32 = 0o644,
    ) throws -> (entry: Entry, handle: UInt64) {
        let values = arguments(UInt32(bitPattern: flags | O_CREAT), mode, UInt32(0o022), UInt32(0))
        var reader = ByteReader(try call(.create, parent, values + self.name(name)))
        let entry = try Entry(&reader)
        return (entry, try reader.littleEndian())
    }

    /// A file with contents, closed again.
    @discardableResult
    func write(_ text: String, to name: String, in parent: UInt64 = root) throws -> UInt64 {
        let (entry, handle) = try create(name, in: parent)
        try write(Array(text.utf8), entry.node, handle)
        try release(entry.node, handle)
        return entry.node
    }

    @discardableResult
    func write(
        _ bytes: [UInt8],
        _ node: UInt64,
        _ handle: UInt64,
        at offset: UInt64 = 0,
        flags: Int32 = 0,
        writeFlags: UInt32 = 0,
    ) throws -> Int {
        var data = ArrayData(bytes: bytes)
        let values = arguments(
            handle,
            offset,
            UInt32(bytes.count),
            writeFlags,
            UInt64(0),
            UInt32(bitPattern: flags),
            UInt32(0),
        )
        let reply = try send(.write, node, values, data: &data, dataCount: bytes.count)
        if reply.error != 0 { throw Errno(rawValue: reply.error) }
        var reader = ByteReader(reply.payload)
        return Int(try reader.littleEndian(UInt32.self))
    }

    func read(
        _ node: UInt64,
        _ handle: UInt64,
        at offset: UInt64 = 0,
        count: UInt32 = 4096,
        capacity: Int = 1 << 20 + 16,
    ) throws -> [UInt8] {
        var data = ArrayData()
        let values = arguments(handle, offset, count, UInt32(0), UInt64(0), UInt32(0), UInt32(0))
        let reply = try send(.read, node, values, capacity: capacity, data: &data)
        if reply.error != 0 { throw Errno(rawValue: reply.error) }
        return data.bytes
    }

    func text(_ node: UInt64, _ handle: UInt64) throws -> String {
        String(decoding: try read(node, handle), as: UTF8.self)
    }

    func release(_ node: UInt64, _ handle: UInt64) throws {
        try call(.release, node, arguments(handle, UInt32(0), UInt32(0), UInt64(0)))
    }

    // MARK: Attributes

    func attributes(_ node: UInt64, handle: UInt64? = nil) throws -> Attributes {
        let values = arguments(UInt32(handle == nil ? 0 : 1), UInt32(0), handle ?? 0)
        var reader = ByteReader(try call(.getattr, node, values))
        _ = try reader.slice(16)
        return try Attributes(&reader)
    }

    struct Change {
        var valid: UInt32 = 0
        var handle: UInt64 = 0
        var size: UInt64 = 0
        var accessed = FileTime(seconds: 0, nanoseconds: 0)
        var modified = FileTime(seconds: 0, nanoseconds: 0)
        var mode: UInt32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0

        static func mode(_ mode: UInt32) -> Change { Change(valid: 1, mode: mode) }
        static func size(_ size: UInt64) -> Change { Change(valid: 8, size: size) }
        static func owner(_ uid: UInt32, _ gid: UInt32) -> Change { Change(valid: 6, uid: uid, gid: gid) }
    }

    @discardableResult
    func setattr(_ node: UInt64, _ change: Change) throws -> Attributes {
        let values = arguments(
            change.valid,
            UInt32(0),
            change.handle,
            change.size,
            UInt64(0),
            change.accessed.seconds,
            change.modified.seconds,
            UInt64(0),
            change.accessed.nanoseconds,
            change.modified.nanoseconds,
            UInt32(0),
            change.mode,
            UInt32(0),
            change.uid,
            change.gid,
            UInt32(0),
        )
        var reader = ByteReader(try call(.setattr, node, values))
        _ = try reader.slice(16)
        return try Attributes(&reader)
    }

    // MARK: Directories

    /// What to read it by: 0, which is no handle, where the server needs no opening.
    func opendir(_ node: UInt64 = root) throws -> UInt64 {
        let reply = try send(.opendir, node, arguments(UInt32(0), UInt32(0)))
        if !opensDirectories, reply.error == ENOSYS { return 0 }
        if reply.error != 0 { throw Errno(rawValue: reply.error) }
        var reader = ByteReader(reply.payload)
        return try reader.littleEndian()
    }

    /// One page of a directory; empty at the end.
    func readdir(
        _ node: UInt64,
        _ handle: UInt64,
        from offset: UInt64 = 0,
        size: UInt32 = 4096,
        plus: Bool = false,
    ) throws -> [ListedEntry] {
        let values = arguments(handle, offset, size, UInt32(0), UInt64(0), UInt32(0), UInt32(0))
        var reader = ByteReader(try call(plus ? .readdirplus : .readdir, node, values))
        var entries: [ListedEntry] = []
        while reader.remaining > 0 {
            var found: UInt64 = 0
            if plus { found = try Entry(&reader).node }
            let inode: UInt64 = try reader.littleEndian()
            let offset: UInt64 = try reader.littleEndian()
            let length: UInt32 = try reader.littleEndian()
            let type: UInt32 = try reader.littleEndian()
            let name = try reader.slice(Int(length))
            _ = try reader.slice((8 - Int(length) % 8) % 8)
            entries.append(
                ListedEntry(
                    name: String(decoding: name, as: UTF8.self),
                    inode: inode,
                    offset: offset,
                    type: type,
                    node: found,
                )
            )
        }
        return entries
    }

    /// All entries but "." and "..", page by page.
    func list(_ node: UInt64 = root, plus: Bool = false, size: UInt32 = 4096) throws -> [ListedEntry] {
        let handle = try opendir(node)
        var entries: [ListedEntry] = []
        while true {
            let page = try readdir(node, handle, from: entries.last?.offset ?? 0, size: size, plus: plus)
            if page.isEmpty { break }
            entries += page
        }
        if handle != 0 { try call(.releasedir, node, arguments(handle, UInt32(0), UInt32(0), UInt64(0))) }
        return entries.filter { $0.name != "." && $0.name != ".." }
    }
}

/// So that a test can expect one.
extension Errno: Error {}
