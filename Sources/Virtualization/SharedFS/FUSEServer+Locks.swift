internal import LinuxSystem

/// The record locks of the guest's processes, each owner's of each file on an open file description of its own: the host has
/// one process for all of them, and its locks would not get in each other's way.
struct LockTable {
    struct Owner: Hashable {
        let node: UInt64
        let id: UInt64
    }

    final class File {
        let descriptor: OwnedFD

        init(_ descriptor: consuming OwnedFD) {
            self.descriptor = descriptor
        }
    }

    private var files: [Owner: File] = [:]

    var count: Int { files.count }

    subscript(owner: Owner) -> File? { files[owner] }

    mutating func insert(_ file: File, for owner: Owner) { files[owner] = file }

    /// Closing the file lets go of its locks.
    mutating func remove(_ owner: Owner) { files[owner] = nil }

    mutating func removeAll(of node: UInt64) {
        for owner in files.keys where owner.node == node { files[owner] = nil }
    }

    mutating func removeAll() { files = [:] }
}

extension FUSEServer {
    /// `fuse_lk_in`
    private struct LockRequest {
        let handle: Handle
        let owner: LockTable.Owner
        let lock: RecordLock
        let isWholeFile: Bool
    }

    private func lockRequest(_ request: inout FUSERequest) throws(SyscallError) -> LockRequest {
        let handle = try handles.file(try request.integer(), of: request.node)
        let owner: UInt64 = try request.integer()
        let start: UInt64 = try request.integer()
        let end: UInt64 = try request.integer()
        let type: UInt32 = try request.integer()
        try request.skip(4)
        let flags: UInt32 = try request.integer()
        guard let kind = RecordLock.Kind(rawValue: Int32(bitPattern: type)), start <= end, end <= Int64.max else {
            throw refusal(.invalidArgument)
        }
        // The largest offset means "to the end", which is the length 0.
        let length = end == Int64.max ? 0 : Int64(end - start) + 1
        return LockRequest(
            handle: handle,
            owner: LockTable.Owner(node: handle.node.id, id: owner),
            lock: RecordLock(kind, start: Int64(start), length: length),
            isWholeFile: flags & FUSE.lockIsFlock != 0,
        )
    }

    func getlk(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let asked = try lockRequest(&request)
        // The owner's own locks are not in its way; a handle has none itself.
        let found =
            if let file = locks[asked.owner] {
                try file.descriptor.conflict(with: asked.lock)
            } else {
                try asked.handle.descriptor.conflict(with: asked.lock)
            }
        let last = found.length == 0 ? Int64.max : found.start &+ found.length &- 1
        var reply = FUSEReply()
        reply.append(found.start)
        reply.append(last)
        reply.append(found.kind.rawValue)
        // The process is the host's or another guest's: it has no number here.
        reply.append(UInt32(0))
        return reply
    }

    /// `FUSE_SETLK` and `FUSE_SETLKW`, which does not wait either: see `FUSEOptions.sharesLocks`.
    func setlk(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let asked = try lockRequest(&request)
        if asked.isWholeFile {
            try asked.handle.descriptor.setWholeFileLock(asked.lock.kind)
            return FUSEReply()
        }
        if let file = locks[asked.owner] {
            try file.descriptor.setLock(asked.lock)
            return FUSEReply()
        }
        if asked.lock.kind == .none { return FUSEReply() }
        if locks.count + handles.count >= options.maxHandles { throw refusal(.noLocks) }
        // A lock to write wants a descriptor that can.
        let access = asked.handle.isWritable ? LinuxABI.readWrite : LinuxABI.readOnly
        let file = LockTable.File(try open(asked.handle.node, access))
        try file.descriptor.setLock(asked.lock)
        locks.insert(file, for: asked.owner)
        return FUSEReply()
    }
}
