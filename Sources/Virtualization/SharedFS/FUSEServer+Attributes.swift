internal import LinuxSystem

extension Duration {
    /// Seconds and nanoseconds of a time that is not negative.
    fileprivate var validity: (seconds: UInt64, nanoseconds: UInt32) {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return (0, 0) }
        return (UInt64(seconds), UInt32(clamping: attoseconds / 1_000_000_000))
    }
}

extension FUSEReply {
    /// `fuse_entry_out`
    mutating func append(entry node: Node, _ status: FileStatus, for server: FUSEServer) {
        let (entry, attributes) = (server.options.entryTimeout.validity, server.options.attributeTimeout.validity)
        append(node.id)
        // A number is never given twice, so one generation is enough.
        append(UInt64(0))
        append(entry.seconds)
        append(attributes.seconds)
        append(entry.nanoseconds)
        append(attributes.nanoseconds)
        append(attributes: status, for: server)
    }

    /// `fuse_attr`
    mutating func append(attributes status: FileStatus, for server: FUSEServer) {
        append(server.nodes.guestInode(status.inode, on: status.device))
        append(status.size)
        append(status.blocks)
        for time in [status.accessed, status.modified, status.changed] { append(time.seconds) }
        for time in [status.accessed, status.modified, status.changed] { append(time.nanoseconds) }
        append(status.type | status.mode)
        append(status.links)
        let owner = server.guestOwner(of: status)
        append(owner.uid)
        append(owner.gid)
        append(UInt32(truncatingIfNeeded: status.representedDevice))
        append(status.preferredBlockSize)
        append(UInt32(0))
    }
}

extension NodeTable {
    /// The number a program in the guest sees: it takes the share for one file system.
    func guestInode(_ inode: UInt64, on device: UInt64) -> UInt64 {
        device == rootDevice ? inode : inode ^ (device &* 0x9E37_79B9_7F4A_7C15)
    }
}

extension FUSEServer {
    func guestOwner(of status: FileStatus) -> FUSEOptions.Owner {
        guard let session, let owner = options.guestOwner else {
            return FUSEOptions.Owner(uid: status.uid, gid: status.gid)
        }
        return FUSEOptions.Owner(
            uid: status.uid == session.servingUID ? owner.uid : status.uid,
            gid: status.gid == session.servingGID ? owner.gid : status.gid,
        )
    }

    /// The mode a new or changed file gets of the one asked for.
    func allowed(_ mode: UInt32, isDirectory: Bool) -> UInt32 {
        let mode = mode & 0o7777
        return options.allowsSetID || isDirectory ? mode : mode & ~(LinuxABI.setUserID | LinuxABI.setGroupID)
    }

    /// `fuse_attr_out`
    func attributeReply(_ status: FileStatus) -> FUSEReply {
        let validity = options.attributeTimeout.validity
        var reply = FUSEReply()
        reply.append(validity.seconds)
        reply.append(validity.nanoseconds)
        reply.append(UInt32(0))
        reply.append(attributes: status, for: self)
        return reply
    }

    func getattr(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let flags: UInt32 = try request.integer()
        try request.skip(4)
        let id: UInt64 = try request.integer()
        if flags & FUSE.getattrUsesHandle != 0 {
            return attributeReply(try handles.file(id, of: request.node).descriptor.status())
        }
        return attributeReply(try nodes.reference(of: try nodes.node(request.node)).status())
    }

    func setattr(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let change = try AttributeChange(&request)
        let node = try nodes.node(request.node)
        let handle = change.valid.contains(.handle) ? try handles.file(change.handle, of: node.id) : nil
        let reference = try nodes.reference(of: node)
        if !change.valid.isDisjoint(with: [.uid, .gid]) {
            let owner = guestOwner(of: try reference.status())
            // Files belong to the one user the host sees; only what is so already can be asked for.
            if change.valid.contains(.uid), change.uid != owner.uid { throw refusal(.notPermitted) }
            if change.valid.contains(.gid), change.gid != owner.gid { throw refusal(.notPermitted) }
        }
        if change.valid.contains(.killSetID) { try removeSetID(reference) }
        if change.valid.contains(.mode) {
            if node.type == LinuxABI.symbolicLink { throw refusal(.notSupported) }
            try opener.setMode(of: reference, allowed(change.mode, isDirectory: node.isDirectory))
        }
        if change.valid.contains(.size) {
            guard node.isRegular else { throw refusal(node.isDirectory ? .isADirectory : .invalidArgument) }
            if let handle, handle.isWritable {
                try handle.descriptor.truncate(to: change.size)
            } else {
                try open(node, 1 /* O_WRONLY */).truncate(to: change.size)
            }
        }
        if change.accessed != .keep || change.modified != .keep {
            try reference.setTimes(accessed: change.accessed, modified: change.modified)
        }
        return attributeReply(try reference.status())
    }

    /// What the kernel does on a write, a truncation or a change of owner by a user without `CAP_FSETID`. The host's kernel
    /// does it by itself unless this process has the capability.
    func removeSetID(_ reference: InodeReference) throws(SyscallError) {
        let status = try reference.status()
        guard status.kind == .regular else { return }
        var mode = status.mode & ~LinuxABI.setUserID
        // Without the group's execute bit it once meant mandatory locking, and is kept.
        if mode & LinuxABI.groupExecute != 0 { mode &= ~LinuxABI.setGroupID }
        if mode != status.mode { try opener.setMode(of: reference, mode) }
    }

    func access(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let mask: UInt32 = try request.integer()
        _ = try nodes.node(request.node)
        // Permissions are the guest kernel's to check; the share's own is ours.
        if options.isReadOnly, mask & 2 /* W_OK */ != 0 { throw refusal(.readOnlyFileSystem) }
        return FUSEReply()
    }
}

/// `fuse_setattr_in`
private struct AttributeChange {
    let valid: FUSE.AttributeFlags
    let handle: UInt64
    let size: UInt64
    let accessed: InodeReference.TimeChange
    let modified: InodeReference.TimeChange
    let mode: UInt32
    let uid: UInt32
    let gid: UInt32

    init(_ request: inout FUSERequest) throws(SyscallError) {
        valid = FUSE.AttributeFlags(rawValue: try request.integer())
        try request.skip(4)
        handle = try request.integer()
        size = try request.integer()
        try request.skip(8)
        let accessedSeconds: Int64 = try request.integer()
        let modifiedSeconds: Int64 = try request.integer()
        try request.skip(8)
        let accessedTime = FileTime(seconds: accessedSeconds, nanoseconds: try request.integer())
        let modifiedTime = FileTime(seconds: modifiedSeconds, nanoseconds: try request.integer())
        try request.skip(4)
        mode = try request.integer()
        try request.skip(4)
        uid = try request.integer()
        gid = try request.integer()
        accessed =
            valid.contains(.accessedNow) ? .now : valid.contains(.accessed) ? .to(accessedTime) : .keep
        modified =
            valid.contains(.modifiedNow) ? .now : valid.contains(.modified) ? .to(modifiedTime) : .keep
    }
}
