package import LinuxSystem

/// Serves one directory of the host to a guest's kernel, in the FUSE protocol as virtio-fs carries it.
///
/// Every file the guest knows is held by a descriptor, and names are resolved one at a time below a descriptor, by
/// `openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`: the host never follows a link, whoever made it and whenever.
/// Files are opened through the descriptor that holds them. File systems that are mounted below the directory are served too.
///
/// What a user of the guest may do is for the guest's kernel to decide (virtio-fs implies `default_permissions`); the host
/// sees one user, the one this process runs as. The process must ignore `SIGXFSZ` if it limits the size of files.
///
/// Confined to the thread that owns it. Calls block as long as the host's file system does, but never on a FIFO, a device or
/// a lock.
package final class FUSEServer {
    let options: FUSEOptions
    let opener: InodeOpener
    var nodes: NodeTable
    var handles: HandleTable
    var listings = ListingTable()
    var locks = LockTable()
    var session: FUSESession?

    /// The longest read or write, as told to the guest.
    static let maxTransfer = 1 << 20
    /// How much one `FUSE_COPY_FILE_RANGE` copies, so that other requests do not wait for long.
    static let maxCopy = 16 << 20

    /// Made in the process that serves, while /proc is in sight; the directory may be out of sight afterwards.
    package convenience init(
        root: consuming Directory,
        options: FUSEOptions = FUSEOptions(),
    ) throws(SyscallError) {
        try self.init(root: root, opener: try InodeOpener(), options: options)
    }

    /// With an opener that was made while /proc was in sight.
    package init(
        root: consuming Directory,
        opener: consuming InodeOpener,
        options: FUSEOptions,
    ) throws(SyscallError) {
        self.options = options
        self.opener = opener
        nodes = try NodeTable(
            root: try self.opener.reference(to: root.descriptor),
            maxNodes: options.maxNodes,
            maxReferences: options.maxDescriptors,
        )
        handles = HandleTable(limit: options.maxHandles)
    }

    /// Forgets everything the guest has, as after a reset of the device: the next request is `FUSE_INIT`.
    package func reset() {
        handles.removeAll()
        listings.removeAll()
        locks.removeAll()
        nodes.removeAll()
        session = nil
    }

    /// Files the guest knows, descriptors that hold them, and files it has open or directories it reads.
    package var load: (nodes: Int, descriptors: Int, handles: Int) {
        (nodes.count, nodes.referenceCount, handles.count + listings.count + locks.count)
    }

    /// Performs one request.
    ///
    /// - Parameters:
    ///   - bytes: header and arguments (`FUSERequest.controlLength`), without the data of `FUSE_WRITE`.
    ///   - replyCapacity: how many bytes the guest has room for, header included.
    ///   - data: where the data of a read or write is.
    /// - Returns: The reply; nil where the request has none. For `FUSE_READ` only the header: its length includes the data,
    ///   which is in the guest already.
    package func handle(
        _ bytes: [UInt8],
        replyCapacity: Int,
        data: inout some FUSEData,
    ) throws(FUSEViolation) -> [UInt8]? {
        var request = try FUSERequest(bytes)
        let opcode = FUSE.Opcode(rawValue: request.operation)
        if let opcode, opcode.hasNoReply {
            forget(opcode, &request)
            return nil
        }
        let room = replyCapacity - FUSEReply.headerLength
        if room < 0 { throw .replyCapacity(replyCapacity) }
        do throws(SyscallError) {
            guard let opcode else { throw refusal(.notImplemented) }
            guard room >= opcode.replyLength else { throw refusal(.inputOutput) }
            let reply = try perform(opcode, &request, room: room, &data)
            guard reply.payloadCount + reply.dataCount <= room else { throw refusal(.inputOutput) }
            return reply.finished(unique: request.unique)
        } catch {
            return FUSEReply().finished(unique: request.unique, error: error.errno)
        }
    }

    private func perform(
        _ opcode: FUSE.Opcode,
        _ request: inout FUSERequest,
        room: Int,
        _ data: inout some FUSEData,
    ) throws(SyscallError) -> FUSEReply {
        switch opcode {
        case .initialize: return try initialize(&request)
        case .destroy:
            reset()
            return FUSEReply()
        default: break
        }
        guard session != nil else { throw refusal(.inputOutput) }
        if options.isReadOnly, opcode.isMutation { throw refusal(.readOnlyFileSystem) }
        switch opcode {
        case .initialize, .destroy, .forget, .batchForget, .interrupt: throw refusal(.invalidArgument)
        case .lookup: return try lookup(&request)
        case .getattr: return try getattr(&request)
        case .setattr: return try setattr(&request)
        case .readlink: return try readlink(request)
        case .symlink: return try symlink(&request)
        case .mknod: return try mknod(&request)
        case .mkdir: return try mkdir(&request)
        case .unlink: return try unlink(&request)
        case .rmdir: return try rmdir(&request)
        case .rename: return try rename(&request, hasFlags: false)
        case .rename2: return try rename(&request, hasFlags: true)
        case .link: return try link(&request)
        case .open: return try open(&request)
        case .create: return try create(&request)
        case .read: return try read(&request, room: room, &data)
        case .write: return try write(&request, &data)
        case .flush: return try flush(&request)
        case .release: return try release(&request)
        case .fsync: return try fsync(&request)
        case .opendir: return try opendir(request)
        case .readdir: return try readdir(&request, room: room, plus: false)
        case .readdirplus: return try readdir(&request, room: room, plus: true)
        case .releasedir: return try releasedir(&request)
        case .fsyncdir: return try fsyncdir(&request)
        case .statfs: return try statfs(request)
        case .access: return try access(&request)
        case .getxattr: return try getxattr(&request)
        case .setxattr: return try setxattr(&request)
        case .listxattr: return try listxattr(&request)
        case .removexattr: return try removexattr(&request)
        case .fallocate: return try fallocate(&request)
        case .lseek: return try lseek(&request)
        case .copyFileRange: return try copyFileRange(&request)
        case .getlk: return try getlk(&request)
        case .setlk, .setlkw: return try setlk(&request)
        case .syncfs: return try syncfs()
        }
    }

    // MARK: Shared by the operations

    func refusal(_ errno: Errno) -> SyscallError { SyscallError(errno, call: "FUSE") }

    /// Opens the file itself, making room where the process is out of descriptors.
    func open(_ node: Node, _ flags: UInt32) throws(SyscallError) -> OwnedFD {
        let reference = try nodes.reference(of: node)
        do throws(SyscallError) {
            return try open(node, reference, flags)
        } catch {
            guard error.errno == .tooManyOpenFiles, nodes.closeOne() else { throw error }
            return try open(node, reference, flags)
        }
    }

    private func open(_ node: Node, _ reference: InodeReference, _ flags: UInt32) throws(SyscallError) -> OwnedFD {
        if node.isDirectory, flags == LinuxABI.readOnly {
            do throws(SyscallError) {
                return try reference.openDirectory()
            } catch {
                // One that may be read but not searched opens by its descriptor, which costs a walk through /proc.
                guard error.errno == .accessDenied else { throw error }
            }
        }
        return try opener.open(reference.descriptor, Int32(bitPattern: flags))
    }

    private func forget(_ node: UInt64, count: UInt64) {
        nodes.forget(node, count: count)
        if !nodes.knows(node) { listings.removeAll(of: node) }
    }

    private func forget(_ opcode: FUSE.Opcode, _ request: inout FUSERequest) {
        // There is nobody to tell of a request that is cut short.
        switch opcode {
        case .forget:
            if let count = try? request.integer(UInt64.self) { forget(request.node, count: count) }
        case .batchForget:
            guard let count = try? request.integer(UInt32.self), (try? request.skip(4)) != nil else { return }
            for _ in 0..<min(Int(count), request.remaining / 16) {
                guard let node = try? request.integer(UInt64.self), let lookups = try? request.integer(UInt64.self)
                else { return }
                forget(node, count: lookups)
            }
        default:
            // FUSE_INTERRUPT: no request is under way while the next one is read.
            break
        }
    }
}
