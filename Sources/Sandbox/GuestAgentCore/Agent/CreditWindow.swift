/// How much a stream may hold in flight, and how much one message may carry.
enum StreamLimit {
    static let execOutput = 1 << 20
    static let execInput = 1 << 20
    static let fileRead = 1 << 20
    static let fileWrite = 4 << 20
    static let tunnel = 256 << 10
    /// Of data in one message.
    static let message = 256 << 10
}

/// The sender's side of a stream under credit: what may still be sent.
struct SendWindow: Equatable {
    let capacity: Int
    private(set) var available: Int

    init(capacity: Int) {
        self.capacity = capacity
        available = capacity
    }

    mutating func take(_ count: Int) {
        precondition(count <= available, "a sender asks before it sends")
        available -= count
    }

    /// The receiver consumed bytes. False if it claims more than it was sent: the protocol is broken.
    mutating func giveBack(_ count: UInt32) -> Bool {
        guard Int(count) <= capacity - available else { return false }
        available += Int(count)
        return true
    }
}

/// The receiver's side of a stream under credit: what the peer may still send, and what it is owed.
struct ReceiveWindow: Equatable {
    let capacity: Int
    /// Received and not yet credited.
    private(set) var outstanding = 0
    private var owed = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Bytes arrived. False if they exceed the credit: the protocol is broken.
    mutating func accept(_ count: Int) -> Bool {
        guard count <= capacity - outstanding else { return false }
        outstanding += count
        return true
    }

    /// The consumer took bytes. Returns the credit to send now, 0 for none: small amounts are collected, so that credit
    /// costs one message for each eighth of the window.
    mutating func consume(_ count: Int) -> UInt32 {
        owed += count
        guard owed >= capacity / 8 || owed == outstanding else { return 0 }
        defer { owed = 0 }
        outstanding -= owed
        return UInt32(owed)
    }
}
