internal import LinuxSystem

/// Operations on names in directories.
extension FUSEServer {
    /// A reply that makes the guest know a node once more.
    func entryReply(_ node: Node, _ status: FileStatus) -> FUSEReply {
        node.lookups += 1
        var reply = FUSEReply(capacity: FUSE.Opcode.create.replyLength)
        reply.append(entry: node, status, for: self)
        return reply
    }

    private func parent(_ request: FUSERequest) throws(SyscallError) -> (node: Node, reference: InodeReference) {
        let node = try nodes.node(request.node)
        guard node.isDirectory else { throw refusal(.notADirectory) }
        return (node, try nodes.reference(of: node))
    }

    func lookup(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let name = try request.name()
        try request.end()
        let parent = try nodes.node(request.node)
        guard parent.isDirectory else { throw refusal(.notADirectory) }
        let (node, status) = try nodes.lookUp(name, in: parent)
        return entryReply(node, status)
    }

    func readlink(_ request: FUSERequest) throws(SyscallError) -> FUSEReply {
        let node = try nodes.node(request.node)
        guard node.type == LinuxABI.symbolicLink else { throw refusal(.invalidArgument) }
        return FUSEReply(try nodes.reference(of: node).linkTarget())
    }

    // MARK: New names

    /// Looks up what was just made, and gives it the permissions that the process's own umask took away: the guest's kernel has
    /// applied the umask that counts.
    private func made(
        _ name: PathComponent,
        in parent: Node,
        mode: UInt32?,
    ) throws(SyscallError) -> FUSEReply {
        var (node, status) = try nodes.lookUp(name, in: parent)
        if let mode, status.mode & mode & 0o777 != mode & 0o777 {
            let reference = try nodes.reference(of: node)
            try opener.setMode(of: reference, status.mode | (mode & 0o777))
            status = try reference.status()
        }
        return entryReply(node, status)
    }

    func symlink(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let name = try request.name()
        let target = try request.string()
        try request.end()
        // The kernel's limit of a path, with its zero byte.
        if target.count > 4095 { throw refusal(.nameTooLong) }
        if target.isEmpty { throw refusal(.notFound) }
        let (node, reference) = try parent(request)
        try nodes.requireRoom()
        try reference.makeSymbolicLink(name, to: target)
        return try made(name, in: node, mode: nil)
    }

    func mknod(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let mode: UInt32 = try request.integer()
        // The device, the umask, which is in the mode already, and padding.
        try request.skip(12)
        let name = try request.name()
        try request.end()
        let kind: InodeReference.NodeKind
        switch mode & LinuxABI.typeMask {
        case LinuxABI.regular, 0: kind = .regular
        case LinuxABI.fifo: kind = .fifo
        case LinuxABI.socket: kind = .socket
        // A device node would reach the host's devices.
        default: throw refusal(.notPermitted)
        }
        let (node, reference) = try parent(request)
        try nodes.requireRoom()
        let permissions = allowed(mode, isDirectory: false)
        try reference.makeNode(name, kind, mode: permissions)
        return try made(name, in: node, mode: permissions)
    }

    func mkdir(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let mode: UInt32 = try request.integer()
        try request.skip(4)
        let name = try request.name()
        try request.end()
        let (node, reference) = try parent(request)
        try nodes.requireRoom()
        let permissions = allowed(mode, isDirectory: true)
        try reference.makeDirectory(name, mode: permissions)
        return try made(name, in: node, mode: permissions)
    }

    func link(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let source = try nodes.node(try request.integer())
        let name = try request.name()
        try request.end()
        let (node, directory) = try parent(request)
        let reference = try nodes.reference(of: source)
        try opener.link(reference, into: directory, name)
        source.parent = node.id
        source.name = name
        return entryReply(source, try reference.status())
    }

    // MARK: Names that go or move

    func unlink(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let name = try request.name()
        try request.end()
        try parent(request).reference.unlink(name)
        return FUSEReply()
    }

    func rmdir(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let name = try request.name()
        try request.end()
        try parent(request).reference.removeDirectory(name)
        return FUSEReply()
    }

    /// `FUSE_RENAME` and, with flags, `FUSE_RENAME2`.
    func rename(_ request: inout FUSERequest, hasFlags: Bool) throws(SyscallError) -> FUSEReply {
        let target: UInt64 = try request.integer()
        var flags: UInt32 = 0
        if hasFlags {
            flags = try request.integer()
            try request.skip(4)
        }
        // RENAME_WHITEOUT leaves a device node behind.
        guard let replacement = InodeReference.Replacement(rawValue: flags) else { throw refusal(.invalidArgument) }
        let oldName = try request.name()
        let newName = try request.name()
        try request.end()
        let (oldParent, source) = try parent(request)
        let newParent = try nodes.node(target)
        guard newParent.isDirectory else { throw refusal(.notADirectory) }
        try source.rename(oldName, to: try nodes.reference(of: newParent), newName, replacement)
        nodes.moved(to: newName, in: newParent)
        if replacement == .exchange { nodes.moved(to: oldName, in: oldParent) }
        return FUSEReply()
    }
}
