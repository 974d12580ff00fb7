/// The two ports of a connection, which are its name as long as it lives.
package struct VsockRoute: Hashable, Sendable {
    package var hostPort: UInt32
    package var guestPort: UInt32

    package init(hostPort: UInt32, guestPort: UInt32) {
        self.hostPort = hostPort
        self.guestPort = guestPort
    }
}

/// One connection, as far as packets tell: how far it is, and how many bytes each side may still send (virtio 1.2, section
/// 5.10.6.3). A value without I/O; the bytes themselves are elsewhere.
struct VsockConnection: Hashable, Sendable {
    /// Of the host, for what the guest sends: so much is buffered for a host that does not read.
    static let window: UInt32 = 256 << 10
    /// The guest is told of room when there is so much that it does not know of.
    private static let updateThreshold = window / 4
    /// Of the data of one packet to the guest.
    static let maxPacketData: UInt32 = 64 << 10

    enum Phase: Hashable, Sendable {
        /// The guest asked, and the host's stream is being opened.
        case dialling
        /// The host asked, and the guest has not answered.
        case requested
        case established
        /// Over for the guest; the host has not taken all that the guest sent before.
        case draining
    }

    /// Packets that the guest is to get as soon as it has room for them. What is owed twice is sent once.
    struct Debts: OptionSet, Hashable, Sendable {
        let rawValue: UInt8
        static let request = Debts(rawValue: 1)
        static let response = Debts(rawValue: 2)
        static let creditUpdate = Debts(rawValue: 4)
        static let creditRequest = Debts(rawValue: 8)
        static let shutdown = Debts(rawValue: 16)
    }

    /// What the guest may not do on a connection; it costs the connection.
    enum Violation: Error, Hashable, Sendable {
        case outOfPhase
        case beyondWindow
        case dataAfterShutdown
    }

    let route: VsockRoute
    let isFromGuest: Bool
    private(set) var phase: Phase
    private(set) var debts: Debts = []
    /// What each side does no more.
    private(set) var guestShutdown: VsockPacket.Shutdown = []
    private(set) var hostShutdown: VsockPacket.Shutdown = []
    /// The host's stream has something, or its end.
    private(set) var isHostReadable = false
    /// Among those whose turn comes.
    var isQueued = false

    // Counts of bytes since the connection began, modulo 2^32.
    private var received: UInt32 = 0
    private var forwarded: UInt32 = 0
    private var toldForwarded: UInt32 = 0
    private var sent: UInt32 = 0
    private var guestTaken: UInt32 = 0
    private var guestWindow: UInt32 = 0
    /// The guest was asked for credit and has given none since.
    private var hasAsked = false

    init(_ route: VsockRoute, isFromGuest: Bool) {
        self.route = route
        self.isFromGuest = isFromGuest
        phase = isFromGuest ? .dialling : .requested
        if !isFromGuest { debts = .request }
    }

    /// Bytes of the guest that the host has not taken yet.
    var buffered: UInt32 { received &- forwarded }

    /// Bytes that the guest has room for. A guest that counts wrongly has none.
    var credit: UInt32 {
        let underway = sent &- guestTaken
        return underway < guestWindow ? guestWindow - underway : 0
    }

    /// Whether there is a packet for the guest.
    var hasTurn: Bool {
        !debts.isEmpty || maySendData
    }

    private var maySendData: Bool {
        isHostReadable && phase == .established && credit > 0 && !guestShutdown.contains(.receive)
            && !hostShutdown.contains(.send)
    }

    // MARK: From the guest

    /// Every packet says how much room its sender has.
    mutating func takeCredit(_ packet: VsockPacket) {
        guestWindow = packet.window
        guestTaken = packet.taken
        // Only room ends the wait for it: an answer that there is none would else be asked for again, without end.
        if credit > 0 { hasAsked = false }
        oweCreditRequest()
    }

    mutating func takeResponse() throws(Violation) {
        guard phase == .requested, debts.isDisjoint(with: .request) else { throw .outOfPhase }
        phase = .established
    }

    /// `count` bytes came. False where nobody is left to get them.
    mutating func takeData(_ count: UInt32) throws(Violation) -> Bool {
        guard phase == .established else { throw .outOfPhase }
        guard !guestShutdown.contains(.send) else { throw .dataAfterShutdown }
        guard count <= Self.window - buffered else { throw .beyondWindow }
        received &+= count
        guard !hostShutdown.contains(.receive) else {
            forward(count)
            return false
        }
        return true
    }

    /// What the guest says it does no more.
    mutating func takeShutdown(_ flags: VsockPacket.Shutdown) {
        guestShutdown.formUnion(flags)
    }

    mutating func takeCreditRequest() {
        debts.insert(.creditUpdate)
    }

    /// The guest is through with it; what it sent still goes to the host.
    mutating func drain() {
        phase = .draining
        debts = []
        isHostReadable = false
    }

    // MARK: From the host

    mutating func connected() {
        phase = .established
        debts.insert(.response)
    }

    mutating func hostIsReadable(_ isReadable: Bool) {
        isHostReadable = isReadable
        oweCreditRequest()
    }

    /// The host took bytes of the guest.
    mutating func forward(_ count: UInt32) {
        forwarded &+= min(count, buffered)
        if phase == .established, forwarded &- toldForwarded >= Self.updateThreshold { debts.insert(.creditUpdate) }
    }

    /// What the host does no more. What it has not taken by then, it never will.
    mutating func hostShutDown(_ flags: VsockPacket.Shutdown) {
        guard phase == .established, !hostShutdown.isSuperset(of: flags) else { return }
        hostShutdown.formUnion(flags)
        if flags.contains(.receive) { forward(buffered) }
        if flags.contains(.send) {
            isHostReadable = false
            debts.remove(.creditRequest)
        }
        debts.insert(.shutdown)
    }

    /// There is something to send and no credit: asked for once.
    private mutating func oweCreditRequest() {
        guard phase == .established, isHostReadable, credit == 0, !hasAsked, !guestShutdown.contains(.receive),
            !hostShutdown.contains(.send)
        else { return }
        hasAsked = true
        debts.insert(.creditRequest)
    }

    // MARK: To the guest

    enum Turn: Hashable, Sendable {
        case packet(VsockPacket.Operation, flags: UInt32)
        case data(limit: UInt32)
    }

    /// What the guest is to get next. A shutdown comes after all else: it is owed when there is no more data.
    mutating func nextTurn() -> Turn? {
        let order: [(Debts, VsockPacket.Operation)] = [
            (.request, .request), (.response, .response), (.creditUpdate, .creditUpdate),
            (.creditRequest, .creditRequest), (.shutdown, .shutdown),
        ]
        for (debt, operation) in order where debts.contains(debt) {
            debts.remove(debt)
            return .packet(operation, flags: operation == .shutdown ? hostShutdown.rawValue : 0)
        }
        return maySendData ? .data(limit: min(credit, Self.maxPacketData)) : nil
    }

    mutating func dataSent(_ count: UInt32) {
        sent &+= count
        oweCreditRequest()
    }

    /// The header of a packet that is sent now; it tells of all credit.
    mutating func header(
        _ operation: VsockPacket.Operation,
        to guestCID: UInt64,
        length: UInt32 = 0,
        flags: UInt32 = 0,
    ) -> VsockPacket {
        toldForwarded = forwarded
        debts.remove(.creditUpdate)
        return VsockPacket(
            sourceCID: VsockPacket.hostCID,
            destinationCID: guestCID,
            sourcePort: route.hostPort,
            destinationPort: route.guestPort,
            length: length,
            rawOperation: operation.rawValue,
            flags: flags,
            window: Self.window,
            taken: forwarded,
        )
    }
}
