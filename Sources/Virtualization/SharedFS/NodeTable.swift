internal import LinuxSystem

/// The files that the guest knows, and the descriptors that hold them.
///
/// A guest may know more files than the host has descriptors: those not used for a while are closed, and found again by
/// parent and name. One that cannot be found as the same file is stale, upon which a Linux guest looks the path up anew.
struct NodeTable {
    private let maxNodes: Int
    private let maxReferences: Int
    private var nodes: [UInt64: Node] = [:]
    private var ids: [Node.Key: UInt64] = [:]
    /// The nodes with a reference. The hand of the clock spares each that was used since it last came by.
    private var clock: [Node] = []
    private var hand = 0
    var nextID = FUSE.rootID + 1

    /// How deep a file may be below the nearest directory that is held.
    private static let maxDepth = 4096

    let root: Node
    /// Numbers of other file systems below the root may repeat those of its own.
    let rootDevice: UInt64

    init(root reference: InodeReference, maxNodes: Int, maxReferences: Int) throws(SyscallError) {
        let status = try reference.status()
        guard status.kind == .directory else { throw SyscallError(.notADirectory, call: "FUSE", on: "the share") }
        self.maxNodes = maxNodes
        self.maxReferences = maxReferences
        rootDevice = status.device
        root = Node(id: FUSE.rootID, status: status, parent: FUSE.rootID, name: nil)
        root.reference = reference
        // Never in the clock, and so never closed.
        nodes[root.id] = root
        ids[root.key] = root.id
    }

    var count: Int { nodes.count }
    var referenceCount: Int { clock.count }

    mutating func removeAll() {
        for node in clock { node.reference = nil }
        nodes = [root.id: root]
        ids = [root.key: root.id]
        clock = []
        hand = 0
    }

    // MARK: Lookup

    func node(_ id: UInt64) throws(SyscallError) -> Node {
        guard let node = nodes[id] else { throw SyscallError(.staleHandle, call: "FUSE") }
        return node
    }

    func knows(_ id: UInt64) -> Bool { nodes[id] != nil }

    func requireRoom() throws(SyscallError) {
        if nodes.count > maxNodes { throw SyscallError(.tooManyOpenFilesInSystem, call: "FUSE") }
    }

    /// What holds the file, found again where it was closed.
    mutating func reference(of node: Node) throws(SyscallError) -> InodeReference {
        if let reference = node.reference {
            node.wasUsed = true
            return reference
        }
        // Upwards to a directory that is held, then down again.
        var closed: [Node] = []
        var next = node
        while next.reference == nil {
            guard closed.count < Self.maxDepth, let parent = nodes[next.parent], parent !== next else {
                throw SyscallError(.staleHandle, call: "FUSE")
            }
            closed.append(next)
            next = parent
        }
        guard var reference = next.reference else { throw SyscallError(.staleHandle, call: "FUSE") }
        for node in closed.reversed() {
            guard let name = node.name else { throw SyscallError(.staleHandle, call: "FUSE") }
            let entry: InodeReference
            do throws(SyscallError) {
                entry = try open(name, in: reference)
            } catch {
                throw [.notFound, .notADirectory, .tooManySymbolicLinks].contains(error.errno)
                    ? SyscallError(.staleHandle, call: "FUSE") : error
            }
            guard node.matches(try entry.status()) else { throw SyscallError(.staleHandle, call: "FUSE") }
            try hold(entry, by: node)
            reference = entry
        }
        return reference
    }

    /// Looks one name up. The caller adds to the node's lookups once the guest is told.
    ///
    /// - Parameter inode: What the directory says is the name's number, where it was read: a file that is held already is then
    ///   not opened again.
    mutating func lookUp(
        _ name: PathComponent,
        in parent: Node,
        inode: UInt64? = nil,
    ) throws(SyscallError) -> (node: Node, status: FileStatus) {
        let directory = try reference(of: parent)
        if let inode, let known = held(Node.Key(device: parent.key.device, inode: inode)) {
            let status = try directory.status(of: name)
            // Nobody else gets the number of a file that is held.
            if known.matches(status) {
                known.parent = parent.id
                known.name = name
                known.wasUsed = true
                return (known, status)
            }
        }
        let entry = try open(name, in: directory)
        let status = try entry.status()
        return (try node(for: entry, status, parent: parent, name: name), status)
    }

    private func held(_ key: Node.Key) -> Node? {
        guard let id = ids[key], let node = nodes[id], node !== root, node.reference != nil else { return nil }
        return node
    }

    /// The node of a file, a new one if the guest does not know it.
    mutating func node(
        for entry: InodeReference,
        _ status: FileStatus,
        parent: Node,
        name: PathComponent,
    ) throws(SyscallError) -> Node {
        let key = Node.Key(device: status.device, inode: status.inode)
        if let id = ids[key], let known = nodes[id], known.matches(status) {
            if known !== root {
                known.parent = parent.id
                known.name = name
                if known.reference == nil { try hold(entry, by: known) }
            }
            known.wasUsed = true
            return known
        }
        // A number whose file changed its type is another file: the old one went while it was closed.
        try requireRoom()
        let node = Node(id: nextID, status: status, parent: parent.id, name: name)
        try hold(entry, by: node)
        nextID += 1
        nodes[node.id] = node
        ids[key] = node.id
        return node
    }

    /// Notes where the files under a name are now, after a rename.
    mutating func moved(to name: PathComponent, in parent: Node) {
        // A file that cannot be seen any more was moved or removed by the host: it is found again or stale, like any other.
        guard let directory = try? reference(of: parent), let status = try? directory.status(of: name),
            let id = ids[Node.Key(device: status.device, inode: status.inode)], id != FUSE.rootID,
            let node = nodes[id], node.matches(status)
        else { return }
        node.parent = parent.id
        node.name = name
    }

    mutating func forget(_ id: UInt64, count: UInt64) {
        guard id != FUSE.rootID, let node = nodes[id] else { return }
        node.lookups = node.lookups > count ? node.lookups - count : 0
        if node.lookups > 0 { return }
        nodes[id] = nil
        if ids[node.key] == id { ids[node.key] = nil }
        // A node that is pinned keeps its reference as long as its handles live.
        if node.reference != nil { removeFromClock(node) }
        if node.pins == 0 { node.reference = nil }
    }

    /// Forgets a node that the guest was not told of after all.
    mutating func discardIfUnknown(_ node: Node) {
        if node.lookups == 0 { forget(node.id, count: 0) }
    }

    // MARK: Descriptors

    private mutating func open(
        _ name: PathComponent,
        in directory: InodeReference,
    ) throws(SyscallError) -> InodeReference {
        do throws(SyscallError) {
            return try directory.entry(name)
        } catch {
            // The process is out of descriptors, by whatever else it opened.
            guard error.errno == .tooManyOpenFiles, closeOne() else { throw error }
            return try directory.entry(name)
        }
    }

    private mutating func hold(_ entry: InodeReference, by node: Node) throws(SyscallError) {
        while clock.count >= maxReferences {
            guard closeOne() else { throw SyscallError(.tooManyOpenFilesInSystem, call: "FUSE") }
        }
        node.reference = entry
        node.wasUsed = true
        node.clockIndex = clock.count
        clock.append(node)
    }

    /// Closes the reference of a node that was not used for a while; false where all are in use.
    mutating func closeOne() -> Bool {
        // Twice around: the first time may only take the marks away.
        for _ in 0..<clock.count * 2 {
            if hand >= clock.count { hand = 0 }
            let node = clock[hand]
            if node.pins == 0, !node.wasUsed {
                removeFromClock(node)
                node.reference = nil
                return true
            }
            node.wasUsed = false
            hand += 1
        }
        return false
    }

    private mutating func removeFromClock(_ node: Node) {
        guard clock.indices.contains(node.clockIndex), clock[node.clockIndex] === node, let last = clock.popLast()
        else { return }
        if last !== node {
            clock[node.clockIndex] = last
            last.clockIndex = node.clockIndex
        }
    }
}
