/// How much a stream may hold in flight, and how much one message may carry.
package enum StreamLimit {
    package static let execOutput = 1 << 20
    package static let execInput = 1 << 20
    package static let fileRead = 1 << 20
    package static let fileWrite = 4 << 20
    package static let tunnel = 256 << 10
    /// Of data in one message.
    package static let message = 256 << 10
}

/// The sender's side of a stream under credit: what may still be sent.
package struct SendWindow: Equatable {
    package let capacity: Int
    package private(set) var available: Int

    package init(capacity: Int) {
        self.capacity = capacity
        available = capacity
    }

    package mutating func take(_ count: Int) {
        precondition(count <= available, "a sender asks before it sends")
        available -= count
    }

    /// The receiver consumed bytes. False if it claims more than it was sent: the protocol is broken.
    package mutating func giveBack(_ count: UInt32) -> Bool {
        guard Int(count) <= capacity - available else { return false }
        available += Int(count)
        return true
    }
}

/// The receiver's side of a stream under credit: what the peer may still send, and what it is owed.
package struct ReceiveWindow: Equatable {
    package let capacity: Int
    /// Received and not yet credited.
    package private(set) var outstanding = 0
    private var owed = 0

    package init(capacity: Int) {
        self.capacity = capacity
    }

    /// Bytes arrived. False if they exceed the credit: the protocol is broken.
    package mutating func accept(_ count: Int) -> Bool {
        guard count <= capacity - outstanding else { return false }
        outstanding += count
        return true
    }

    /// The consumer took bytes. Returns the credit to send now, 0 for none: small amounts are collected, so that credit
    /// costs one message for each eighth of the window.
    package mutating func consume(_ count: Int) -> UInt32 {
        owed += count
        guard owed >= capacity / 8 || owed == outstanding else { return 0 }
        defer { owed = 0 }
        outstanding -= owed
        return UInt32(owed)
    }
}
