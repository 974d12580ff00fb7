internal import LinuxSystem

/// What `FUSE_INIT` settled.
struct FUSESession {
    /// The user that files of this process's own belong to. Asked for when the guest begins, because a new user namespace
    /// changes the numbers.
    let servingUID: UInt32
    let servingGID: UInt32
    /// Whether the guest opens directories before it reads them. One that went on from another server may, and need not.
    var opensDirectories = true

    static var ofThisProcess: FUSESession {
        FUSESession(servingUID: HostFacts.userID, servingGID: HostFacts.groupID)
    }
}

/// What of a server a guest's kernel cannot do without when it goes on with another.
extension FUSEServer {
    package struct Progress: Hashable, Sendable {
        package var isInitialized: Bool
        /// Numbers from here on were never given.
        package var nextNode: UInt64
        package var nextHandle: UInt64

        package init(isInitialized: Bool, nextNode: UInt64, nextHandle: UInt64) {
            self.isInitialized = isInitialized
            self.nextNode = nextNode
            self.nextHandle = nextHandle
        }
    }

    package enum ProgressViolation: Error, Hashable, Sendable {
        case node(UInt64)
        case handle(UInt64)
    }

    /// Far more than a server gives in its life, and far from where counting ends.
    private static let maxNumber: UInt64 = 1 << 62

    package var progress: Progress {
        Progress(isInitialized: session != nil, nextNode: nodes.nextID, nextHandle: handles.nextID)
    }

    /// Goes on after another server of the same directory. All files but the root have to be looked up again.
    package func resume(_ progress: Progress) throws(ProgressViolation) {
        guard (FUSE.rootID + 1...Self.maxNumber).contains(progress.nextNode) else { throw .node(progress.nextNode) }
        guard (1...Self.maxNumber).contains(progress.nextHandle) else { throw .handle(progress.nextHandle) }
        reset()
        nodes.nextID = max(nodes.nextID, progress.nextNode)
        handles.nextID = max(handles.nextID, progress.nextHandle)
        if progress.isInitialized { session = .ofThisProcess }
    }
}

extension FUSEServer {
    func initialize(_ request: inout FUSERequest) throws(SyscallError) -> FUSEReply {
        let major: UInt32 = try request.integer()
        let minor: UInt32 = try request.integer()
        reset()
        var reply = FUSEReply()
        if major > FUSE.major {
            // The guest asks again, in our version.
            reply.append(FUSE.major)
            reply.append(FUSE.newestMinor)
            reply.appendZeros(FUSE.Opcode.initialize.replyLength - 8)
            return reply
        }
        guard major == FUSE.major, minor >= FUSE.oldestMinor else { throw refusal(.protocolError) }
        let readAhead: UInt32 = try request.integer()
        let offered = FUSE.InitFlags(rawValue: try request.integer())
        var session = FUSESession.ofThisProcess
        // To open and to close it costs the guest as much as to read it.
        session.opensDirectories = !offered.contains(.noOpendirSupport)
        self.session = session
        // Attributes with every name, whether or not they are asked for soon: a look at one file costs the guest more.
        var wanted: FUSE.InitFlags = [
            .asyncRead, .atomicTruncate, .bigWrites, .autoInvalidateData, .doReaddirplus,
            .asyncDirectIO, .parallelDirectoryOperations, .maxPages, .handleKillPrivileges2,
        ]
        if options.sharesLocks { wanted.formUnion([.posixLocks, .flockLocks]) }
        reply.append(FUSE.major)
        reply.append(min(minor, FUSE.newestMinor))
        reply.append(min(readAhead, UInt32(Self.maxTransfer)))
        reply.append(wanted.intersection(offered).rawValue)
        // How many requests may be under way without a process waiting for them, and when to hold back.
        reply.append(UInt16(64))
        reply.append(UInt16(48))
        reply.append(UInt32(Self.maxTransfer))
        // Times are kept to the nanosecond.
        reply.append(UInt32(1))
        reply.append(UInt16(Self.maxTransfer / 4096))
        reply.appendZeros(2 + 4 + 28)
        return reply
    }

    func statfs(_ request: FUSERequest) throws(SyscallError) -> FUSEReply {
        let reference = try nodes.reference(of: try nodes.node(request.node))
        let status = try reference.descriptor.fileSystemStatus()
        var reply = FUSEReply()
        for value in [
            status.blocks, status.freeBlocks, status.availableBlocks, status.files, status.freeFiles,
        ] {
            reply.append(value)
        }
        for value in [status.blockSize, status.maxNameLength, status.fragmentSize] { reply.append(value) }
        reply.appendZeros(4 + 24)
        return reply
    }

    func syncfs() throws(SyscallError) -> FUSEReply {
        if options.isReadOnly { return FUSEReply() }
        try open(nodes.root, LinuxABI.readOnly).synchronizeFileSystem()
        return FUSEReply()
    }
}
