/// All connections of a machine, as packets and events of the host make them. A value without I/O: what is to be done comes
/// back as a command, and packets for the guest are asked for one at a time when there is room for one.
struct VsockMultiplexer: Sendable {
    typealias ID = UInt32

    /// Of the connections that one side opens: each may cost the window as memory, and a descriptor. Neither side can take the
    /// other's share.
    static let maxConnections = 128
    /// Of refusals that wait for room. Beyond it the guest's packets wait too.
    static let maxRefusals = 256
    /// Ports that the host's ends get, as Firecracker numbers them.
    private static let hostPorts: Range<UInt32> = 1 << 30..<1 << 31

    /// What the caller does next.
    enum Command: Hashable, Sendable {
        case none
        /// Open a stream to the host's port, and say how it went.
        case dial(ID, port: UInt32)
        /// The guest accepted the host's connection.
        case connected(ID)
        /// Hand the packet's data to the host.
        case deliver(ID, count: Int)
        /// The guest does no more of this.
        case shutDown(ID, VsockPacket.Shutdown)
        /// Close the stream: at once, or when all that was delivered is written, and say so.
        case close(ID, afterFlush: Bool)
    }

    /// The next packet for the guest.
    enum Turn: Hashable, Sendable {
        case packet(VsockPacket)
        /// At most `limit` bytes of the host's stream; how many were read is said with `dataSent`.
        case data(ID, limit: Int)
    }

    let guestCID: UInt64
    private var connections: [ID: VsockConnection] = [:]
    private var routes: [VsockRoute: ID] = [:]
    private var refusals: [VsockPacket] = []
    private var queue: [ID] = []
    private var nextID: ID = 1
    private(set) var nextHostPort = hostPorts.lowerBound

    init(guestCID: UInt64) {
        self.guestCID = guestCID
    }

    /// Forgets all connections. Numbers are not given again, so that what is late for an old one meets no new one.
    mutating func removeAll() {
        connections = [:]
        routes = [:]
        refusals = []
        queue = []
    }

    // MARK: Saving

    /// What outlives the process. The host's streams do not, so after it the guest is told that the connections are gone.
    var state: VsockDevice.State {
        let refused = refusals.map { VsockRoute(hostPort: $0.sourcePort, guestPort: $0.destinationPort) }
        let order = routes.keys.sorted { ($0.hostPort, $0.guestPort) < ($1.hostPort, $1.guestPort) }
        return VsockDevice.State(routes: refused + order, nextHostPort: nextHostPort)
    }

    mutating func restore(_ state: VsockDevice.State) {
        refusals = state.routes.map(reset)
        nextHostPort = Self.hostPorts.contains(state.nextHostPort) ? state.nextHostPort : Self.hostPorts.lowerBound
    }

    // MARK: From the guest

    /// Whether the guest's next packet can be taken: its refusal has a place.
    var mayReceive: Bool { refusals.count < Self.maxRefusals }

    /// Takes a packet of the guest. Of its data, as many bytes as its header says are there.
    mutating func receive(_ packet: VsockPacket) -> Command {
        // Another's name is no name to answer to.
        guard packet.sourceCID == guestCID else { return .none }
        let route = VsockRoute(hostPort: packet.destinationPort, guestPort: packet.sourcePort)
        guard packet.destinationCID == VsockPacket.hostCID, packet.type == VsockPacket.streamType,
            let operation = packet.operation
        else {
            if packet.operation != .reset { refusals.append(packet.refusal) }
            // A connection whose packets make no sense is over.
            if packet.destinationCID == VsockPacket.hostCID, packet.type == VsockPacket.streamType,
                let id = routes[route]
            {
                return remove(id)
            }
            return .none
        }
        guard let id = routes[route] else {
            if operation == .request { return request(route, packet) }
            if operation != .reset { refusals.append(packet.refusal) }
            return .none
        }
        connections[id]?.takeCredit(packet)
        let command = receive(operation, packet, on: id)
        enqueue(id)
        return command
    }

    private mutating func request(_ route: VsockRoute, _ packet: VsockPacket) -> Command {
        guard let id = insert(VsockConnection(route, isFromGuest: true)) else {
            refusals.append(packet.refusal)
            return .none
        }
        connections[id]?.takeCredit(packet)
        return .dial(id, port: route.hostPort)
    }

    private mutating func receive(_ operation: VsockPacket.Operation, _ packet: VsockPacket, on id: ID) -> Command {
        do throws(VsockConnection.Violation) {
            switch operation {
            case .request: throw .outOfPhase
            case .response:
                try connections[id]?.takeResponse()
                return .connected(id)
            case .reset: return end(id)
            case .shutdown: return shutDown(id, packet.shutdown)
            case .readWrite:
                let isWanted = try connections[id]?.takeData(packet.length) == true
                return isWanted && packet.length > 0 ? .deliver(id, count: Int(packet.length)) : .none
            case .creditUpdate: return .none
            case .creditRequest:
                connections[id]?.takeCreditRequest()
                return .none
            }
        } catch {
            refuse(id)
            return remove(id)
        }
    }

    private mutating func shutDown(_ id: ID, _ flags: VsockPacket.Shutdown) -> Command {
        connections[id]?.takeShutdown(flags)
        guard let connection = connections[id] else { return .none }
        guard connection.phase == .established, connection.guestShutdown != .both else {
            // Section 5.10.6.5: the answer to the end of both directions is a reset.
            refuse(id)
            return end(id)
        }
        return flags.isEmpty ? .none : .shutDown(id, flags)
    }

    /// The guest is through with a connection. What it had sent by then is still delivered, if it had said that it was all.
    private mutating func end(_ id: ID) -> Command {
        guard let connection = connections[id], connection.guestShutdown.contains(.send), connection.buffered > 0 else {
            return remove(id)
        }
        routes[connection.route] = nil
        connections[id]?.drain()
        return .close(id, afterFlush: true)
    }

    // MARK: From the host

    /// Opens a connection to a port of the guest; nil while there are too many.
    mutating func connect(to guestPort: UInt32) -> ID? {
        var route = VsockRoute(hostPort: nextHostPort, guestPort: guestPort)
        // Fewer are taken than there are, so this ends.
        while routes[route] != nil { route.hostPort = Self.port(after: route.hostPort) }
        guard let id = insert(VsockConnection(route, isFromGuest: false)) else { return nil }
        nextHostPort = Self.port(after: route.hostPort)
        enqueue(id)
        return id
    }

    private static func port(after port: UInt32) -> UInt32 {
        hostPorts.contains(port + 1) ? port + 1 : hostPorts.lowerBound
    }

    func hostPort(of id: ID) -> UInt32? { connections[id]?.route.hostPort }

    /// The stream that the guest asked for is open. False where the guest has thought better of it.
    mutating func dialled(_ id: ID) -> Bool {
        guard connections[id]?.phase == .dialling else { return false }
        connections[id]?.connected()
        enqueue(id)
        return true
    }

    /// There is no such stream, or the one there was is of no more use: the guest is told, if it does not know.
    mutating func abandon(_ id: ID) {
        if connections[id]?.phase != .draining { refuse(id) }
        _ = remove(id)
    }

    /// The host's stream has something to read, or its end.
    mutating func hostIsReadable(_ id: ID) {
        connections[id]?.hostIsReadable(true)
        enqueue(id)
    }

    /// The host's stream has nothing more for now.
    mutating func hostIsDry(_ id: ID) {
        connections[id]?.hostIsReadable(false)
    }

    /// The host took bytes that were delivered.
    mutating func forwarded(_ id: ID, _ count: Int) {
        connections[id]?.forward(UInt32(clamping: count))
        enqueue(id)
    }

    /// The host does no more of this. True if it does nothing any more: then the guest gets a while to close.
    mutating func hostShutDown(_ id: ID, _ flags: VsockPacket.Shutdown) -> Bool {
        connections[id]?.hostShutDown(flags)
        enqueue(id)
        return connections[id]?.hostShutdown == .both
    }

    /// The while is over. True if the connection is, too: nobody has answered, or the guest has not closed.
    mutating func expire(_ id: ID) -> Bool {
        guard let connection = connections[id] else { return false }
        switch connection.phase {
        case .dialling, .requested: break
        case .established where connection.hostShutdown == .both: break
        case .established, .draining: return false
        }
        abandon(id)
        return true
    }

    // MARK: To the guest

    /// Whether `next()` may have something.
    var hasTurns: Bool { !refusals.isEmpty || !queue.isEmpty }

    /// The next packet for the guest: refusals first, then every connection in turn.
    mutating func next() -> Turn? {
        if !refusals.isEmpty { return .packet(refusals.removeFirst()) }
        while !queue.isEmpty {
            let id = queue.removeFirst()
            connections[id]?.isQueued = false
            switch connections[id]?.nextTurn() {
            case .packet(let operation, let flags):
                let packet = connections[id]?.header(operation, to: guestCID, flags: flags)
                enqueue(id)
                if let packet { return .packet(packet) }
            case .data(let limit): return .data(id, limit: Int(limit))
            case nil: continue
            }
        }
        return nil
    }

    /// The header for data that was read for the guest, at most as much as `next()` allowed.
    mutating func dataSent(_ id: ID, _ count: Int) -> VsockPacket? {
        let count = UInt32(clamping: count)
        connections[id]?.dataSent(count)
        let packet = connections[id]?.header(.readWrite, to: guestCID, length: count)
        enqueue(id)
        return packet
    }

    // MARK: Connections

    private mutating func insert(_ connection: VsockConnection) -> ID? {
        guard connections.values.count(where: { $0.isFromGuest == connection.isFromGuest }) < Self.maxConnections else {
            return nil
        }
        // After 2^32 connections the numbers begin anew.
        while connections[nextID] != nil { nextID &+= 1 }
        let id = nextID
        nextID &+= 1
        connections[id] = connection
        routes[connection.route] = id
        return id
    }

    private mutating func enqueue(_ id: ID) {
        guard let connection = connections[id], connection.hasTurn, !connection.isQueued else { return }
        connections[id]?.isQueued = true
        queue.append(id)
    }

    /// Beyond the bound on the guest's packets there is at most one for each connection.
    private mutating func refuse(_ id: ID) {
        guard let connection = connections[id] else { return }
        refusals.append(reset(connection.route))
    }

    private func reset(_ route: VsockRoute) -> VsockPacket {
        VsockPacket(
            sourceCID: VsockPacket.hostCID,
            destinationCID: guestCID,
            sourcePort: route.hostPort,
            destinationPort: route.guestPort,
            rawOperation: VsockPacket.Operation.reset.rawValue,
        )
    }

    private mutating func remove(_ id: ID) -> Command {
        guard let connection = connections.removeValue(forKey: id) else { return .none }
        if routes[connection.route] == id { routes[connection.route] = nil }
        if connection.isQueued { queue.removeAll { $0 == id } }
        return .close(id, afterFlush: false)
    }
}

/// What tests hold against the bounds.
extension VsockMultiplexer {
    struct Load: Hashable, Sendable {
        var connections: Int
        var refusals: Int
        /// Bytes that the caller may have to keep.
        var buffered: Int
    }

    var load: Load {
        Load(
            connections: connections.count,
            refusals: refusals.count,
            buffered: connections.values.reduce(0) { $0 + Int($1.buffered) },
        )
    }
}
