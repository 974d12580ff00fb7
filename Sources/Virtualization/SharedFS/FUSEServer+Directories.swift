internal import LinuxSystem

extension FUSEServer {
    func opendir(_ request: FUSERequest) throws(SyscallError) -> FUSEReply {
        guard session?.opensDirectories == true else { throw refusal(.notImplemented) }
        try handles.requireRoom()
        let handle = try openDirectory(request.node)
        var reply = FUSEReply()
        reply.append(handles.insert(handle))
        reply.appendZeros(8)
        return reply
    }

    private func openDirectory(_ id: UInt64) throws(SyscallError) -> Handle {
        let node = try nodes.node(id)
        guard node.isDirectory else { throw refusal(.notADirectory) }
        return Handle(node, try open(node, LinuxABI.readOnly), access: LinuxABI.readOnly)
    }

    /// The directory that a handle names or, where it is none, one that the guest reads without opening it. From the beginning
    /// it is read anew, as it is now.
    private func directory(_ id: UInt64, of node: UInt64, from offset: UInt64) throws(SyscallError) -> Handle {
        guard id == HandleTable.none else { return try handles.directory(id, of: node) }
        if offset > 0, let listing = listings.listing(of: node, at: offset) { return listing }
        let listing = try openDirectory(node)
        listings.insert(listing)
        return listing
    }

    /// `FUSE_READDIR` and, with the attributes of each entry, `FUSE_READDIRPLUS`.
    func readdir(_ request: inout FUSERequest, room: Int, plus: Bool) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        var offset: UInt64 = try request.integer()
        let size: UInt32 = try request.integer()
        let handle = try directory(id, of: request.node, from: offset)
        let room = min(Int(size), room, Self.maxTransfer)
        var reply = FUSEReply(capacity: room)
        while true {
            let entry: DirectoryStream.Entry?
            do throws(SyscallError) {
                entry = try handle.stream?.entry(at: offset, of: handle.descriptor)
            } catch {
                // The guest gets what there is; the error will be there again when it asks for more.
                if reply.payloadCount > 0 { return reply }
                throw error
            }
            guard let entry else {
                if id == HandleTable.none, reply.payloadCount == 0 { listings.remove(handle) }
                return reply
            }
            let length = ((plus ? 128 : 0) + 24 + entry.name.count + 7) & ~7
            if length > room - reply.payloadCount {
                if reply.payloadCount == 0 { throw refusal(.invalidArgument) }
                return reply
            }
            if !plus {
                append(entry, of: handle, to: &reply)
            } else if let found = look(at: entry, of: handle) {
                if let (node, status) = found.known {
                    node.lookups += 1
                    reply.append(entry: node, status, for: self)
                } else {
                    reply.appendZeros(128)
                }
                append(entry, of: handle, to: &reply)
            }
            handle.stream?.take(entry)
            offset = entry.offset
        }
    }

    /// What `FUSE_READDIRPLUS` tells about an entry: nothing where it is "." or "..", or cannot be held; nil where it is gone.
    private func look(
        at entry: DirectoryStream.Entry,
        of handle: Handle,
    ) -> (known: (node: Node, status: FileStatus)?, Void)? {
        guard !entry.isDot, !entry.isDotDot, let name = try? PathComponent(entry.name) else { return (nil, ()) }
        do throws(SyscallError) {
            return (try nodes.lookUp(name, in: handle.node, inode: entry.inode), ())
        } catch {
            return error.errno == .notFound ? nil : (nil, ())
        }
    }

    /// `fuse_dirent`
    private func append(_ entry: DirectoryStream.Entry, of handle: Handle, to reply: inout FUSEReply) {
        let node = handle.node
        // What is above the share is not the guest's to know.
        let inode = entry.isDotDot && node === nodes.root ? node.key.inode : entry.inode
        reply.append(nodes.guestInode(inode, on: node.key.device))
        reply.append(entry.offset)
        reply.append(UInt32(entry.name.count))
        reply.append(UInt32(entry.type))
        reply.append(entry.name)
        reply.appendZeros((8 - entry.name.count % 8) % 8)
    }

    func releasedir(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        _ = try handles.directory(id, of: request.node)
        handles.remove(id)
        return FUSEReply()
    }

    func fsyncdir(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let id: UInt64 = try request.integer()
        let flags: UInt32 = try request.integer()
        let handle = try id == HandleTable.none ? openDirectory(request.node) : handles.directory(id, of: request.node)
        try handle.descriptor.synchronize(dataOnly: flags & FUSE.syncDataOnly != 0)
        return FUSEReply()
    }
}
