internal import LinuxSystem

/// Operations on open files.
extension FUSEServer {
    /// `fuse_open_out`
    private func append(_ handle: Handle, to reply: inout FUSEReply) {
        reply.append(handles.insert(handle))
        reply.appendZeros(8)
    }

    func open(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let flags: UInt32 = try request.integer()
        let openFlags: UInt32 = try request.integer()
        let handle = try openFile(try nodes.node(request.node), flags, openFlags)
        var reply = FUSEReply()
        append(handle, to: &reply)
        return reply
    }

    /// Opens a regular file. Anything else is opened by the guest's kernel, not here: a FIFO could block, a device could do
    /// anything.
    private func openFile(_ node: Node, _ flags: UInt32, _ openFlags: UInt32) throws(SyscallError) -> Handle {
        let access = flags & LinuxABI.accessMode
        let truncation = flags & LinuxABI.truncate
        if access > LinuxABI.readWrite { throw refusal(.invalidArgument) }
        if options.isReadOnly, access != LinuxABI.readOnly || truncation != 0 { throw refusal(.readOnlyFileSystem) }
        guard node.isRegular else { throw refusal(node.isDirectory ? .isADirectory : .noSuchDeviceOrAddress) }
        try handles.requireRoom()
        if truncation != 0, openFlags & FUSE.openKillsSetID != 0 {
            try removeSetID(try nodes.reference(of: node))
        }
        // O_APPEND and O_SYNC come with each write, O_DIRECT is for the guest's own cache.
        return Handle(node, try open(node, access | truncation), access: access)
    }

    func create(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let flags: UInt32 = try request.integer()
        let mode = allowed(try request.integer(), isDirectory: false)
        try request.skip(4)
        let openFlags: UInt32 = try request.integer()
        let name = try request.name()
        try request.end()
        let access = flags & LinuxABI.accessMode
        if access > LinuxABI.readWrite { throw refusal(.invalidArgument) }
        let parent = try nodes.node(request.node)
        guard parent.isDirectory else { throw refusal(.notADirectory) }
        try handles.requireRoom()
        try nodes.requireRoom()
        let directory = try nodes.reference(of: parent)
        let file: OwnedFD
        do throws(SyscallError) {
            file = try directory.createFile(name, Int32(bitPattern: access), mode: mode)
        } catch {
            guard error.errno == .exists, flags & LinuxABI.exclusive == 0 else { throw error }
            return try openExisting(name, in: parent, flags, openFlags)
        }
        var status = try file.status()
        if status.mode & mode & 0o777 != mode & 0o777 {
            // As for directories: the process's own umask must not count.
            try file.setMode(status.mode | (mode & 0o777))
            status = try file.status()
        }
        // By the descriptor and not by the name, which may be another file's by now.
        let entry = try opener.reference(to: file)
        let node = try nodes.node(for: entry, status, parent: parent, name: name)
        let handle = Handle(node, file, access: access)
        var reply = entryReply(node, status)
        append(handle, to: &reply)
        return reply
    }

    /// The host was faster than the guest's own look at the name.
    private func openExisting(
        _ name: PathComponent,
        in parent: Node,
        _ flags: UInt32,
        _ openFlags: UInt32,
    ) throws(SyscallError) -> FUSEReply {
        let (node, _) = try nodes.lookUp(name, in: parent)
        do throws(SyscallError) {
            // Whatever else it is, the guest has to see it first; stale makes it look again.
            guard node.isRegular else { throw refusal(.staleHandle) }
            let handle = try openFile(node, flags, openFlags)
            var reply = entryReply(node, try handle.descriptor.status())
            append(handle, to: &reply)
            return reply
        } catch {
            nodes.discardIfUnknown(node)
            throw error
        }
    }

    // MARK: Data

    func read(
        _ request: inout FUSERequest,
        room: Int,
        _ data: inout some FUSEData,
    ) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let offset: UInt64 = try request.integer()
        let size: UInt32 = try request.integer()
        let handle = try handles.file(id, of: request.node)
        guard handle.isReadable else { throw refusal(.badDescriptor) }
        guard offset <= Int64.max else { throw refusal(.invalidArgument) }
        let count = min(Int(size), Self.maxTransfer, room)
        var reply = FUSEReply(capacity: 0)
        if count > 0 { reply.dataCount = try data.read(from: handle.descriptor, at: offset, count: count) }
        return reply
    }

    func write(_ request: inout FUSERequest, _ data: inout some FUSEData) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let offset: UInt64 = try request.integer()
        let size: UInt32 = try request.integer()
        let writeFlags: UInt32 = try request.integer()
        try request.skip(8)
        let flags: UInt32 = try request.integer()
        try request.skip(4)
        try request.end()
        let handle = try handles.file(id, of: request.node)
        guard handle.isWritable else { throw refusal(.badDescriptor) }
        guard Int(size) <= Self.maxTransfer else { throw refusal(.invalidArgument) }
        guard offset <= Int64.max, UInt64(Int64.max) - offset >= UInt64(size) else { throw refusal(.fileTooLarge) }
        var mode: WriteMode = []
        // A page of a mapping has its place, even if the handle at hand is one that appends.
        if flags & LinuxABI.append != 0, writeFlags & FUSE.writeFromCache == 0 { mode.insert(.append) }
        if flags & LinuxABI.sync == LinuxABI.sync {
            mode.insert(.sync)
        } else if flags & LinuxABI.dataSync != 0 {
            mode.insert(.dataSync)
        }
        if writeFlags & FUSE.writeKillsSetID != 0, let reference = handle.node.reference {
            try removeSetID(reference)
        }
        var count = 0
        if size > 0 { count = try data.write(to: handle.descriptor, at: offset, count: Int(size), mode) }
        var reply = FUSEReply()
        reply.append(UInt32(clamping: count))
        reply.append(UInt32(0))
        return reply
    }

    func fallocate(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let offset: UInt64 = try request.integer()
        let count: UInt64 = try request.integer()
        let mode = OwnedFD.AllocationMode(rawValue: try request.integer())
        let handle = try handles.file(id, of: request.node)
        guard handle.isWritable else { throw refusal(.badDescriptor) }
        guard mode.isSubset(of: [.keepSize, .punchHole, .zeroRange]) else { throw refusal(.notSupported) }
        try handle.descriptor.allocate(mode, at: offset, count: count)
        return FUSEReply()
    }

    func lseek(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let offset: UInt64 = try request.integer()
        let whence: UInt32 = try request.integer()
        let handle = try handles.file(id, of: request.node)
        guard let extent = OwnedFD.Extent(rawValue: Int32(bitPattern: whence)) else {
            throw refusal(.invalidArgument)
        }
        var reply = FUSEReply()
        reply.append(try handle.descriptor.next(extent, from: offset))
        return reply
    }

    func copyFileRange(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let sourceID: UInt64 = try request.integer()
        let offset: UInt64 = try request.integer()
        let targetNode: UInt64 = try request.integer()
        let targetID: UInt64 = try request.integer()
        let targetOffset: UInt64 = try request.integer()
        let count: UInt64 = try request.integer()
        let flags: UInt64 = try request.integer()
        let source = try handles.file(sourceID, of: request.node)
        let target = try handles.file(targetID, of: targetNode)
        guard source.isReadable, target.isWritable else { throw refusal(.badDescriptor) }
        guard flags == 0 else { throw refusal(.invalidArgument) }
        let copied = try source.descriptor.copy(
            from: offset,
            to: target.descriptor,
            at: targetOffset,
            count: Int(min(count, UInt64(Self.maxCopy))),
        )
        var reply = FUSEReply()
        reply.append(UInt32(clamping: copied))
        reply.append(UInt32(0))
        return reply
    }

    // MARK: The end

    func fsync(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let flags: UInt32 = try request.integer()
        let handle = try handles.file(id, of: request.node)
        try handle.descriptor.synchronize(dataOnly: flags & FUSE.syncDataOnly != 0)
        return FUSEReply()
    }

    /// A process closed a descriptor of the file, and with it loses its record locks.
    func flush(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        // The guest's kernel takes this for success and saves itself the question from then on.
        guard options.sharesLocks else { throw refusal(.notImplemented) }
        let id: UInt64 = try request.integer()
        try request.skip(8)
        let owner: UInt64 = try request.integer()
        let handle = try handles.file(id, of: request.node)
        locks.remove(LockTable.Owner(node: handle.node.id, id: owner))
        return FUSEReply()
    }

    func release(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let handle = try handles.file(id, of: request.node)
        handles.remove(id)
        // Ours is the last hold on the handle.
        if handle.node.pins == 1 { locks.removeAll(of: handle.node.id) }
        return FUSEReply()
    }
}
