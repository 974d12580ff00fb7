/// How much may pass in a second, in bytes and in operations. Without a rate there is no limit.
package struct TransferLimit: Hashable, Sendable {
    package struct Rate: Hashable, Sendable {
        /// At least 1.
        package let perSecond: UInt64
        /// What may pass at once after a pause; at least 1.
        package let burst: UInt64

        /// Without a burst what passes in a second may pass at once.
        package init(perSecond: UInt64, burst: UInt64? = nil) {
            self.perSecond = max(1, perSecond)
            self.burst = max(1, burst ?? perSecond)
        }
    }

    package var bytes: Rate?
    package var operations: Rate?

    package init(bytes: Rate? = nil, operations: Rate? = nil) {
        self.bytes = bytes
        self.operations = operations
    }

    package static let none = TransferLimit()
}

/// Lets through what a rate allows, and says how long the rest has to wait: a token bucket.
///
/// A value that knows no clock: times are durations since whatever its user counts from. What is larger than
/// a burst passes when the bucket is full, and what follows waits until that is paid for.
package struct TokenBucket: Hashable, Sendable {
    private static let nanosecondsPerSecond: Int128 = 1_000_000_000
    /// No debt is larger, whatever passed: a level that was restored is no more trusted than its source.
    private static let maxDebt: Int128 = 1 << 40

    private let rate: TransferLimit.Rate
    /// In billionths of a token, of which a nanosecond brings `perSecond`.
    private var level: Int128
    private var filledAt: UInt64

    /// Full, or with what another held.
    package init(_ rate: TransferLimit.Rate, tokens: Int64? = nil, at now: Duration) {
        self.rate = rate
        let full = Int128(rate.burst)
        var wanted = full
        if let tokens { wanted = Int128(tokens) }
        level = min(max(wanted, -Self.maxDebt), full) * Self.nanosecondsPerSecond
        filledAt = now.wholeNanoseconds
    }

    /// Whole tokens in it; below zero where something larger than a burst passed.
    package var tokens: Int64 { Int64(clamping: level / Self.nanosecondsPerSecond) }

    /// How long until `count` may pass; zero if it may now.
    package mutating func delay(for count: UInt64, at now: Duration) -> Duration {
        fill(at: now)
        let missing = Int128(min(count, rate.burst)) * Self.nanosecondsPerSecond - level
        if missing <= 0 { return .zero }
        // Rounded up, so that it may pass when the time is over.
        let nanoseconds = (missing + Int128(rate.perSecond) - 1) / Int128(rate.perSecond)
        return .nanoseconds(Int64(clamping: nanoseconds))
    }

    /// Counts what passes.
    package mutating func take(_ count: UInt64) {
        level = max(level - Int128(count) * Self.nanosecondsPerSecond, -Self.maxDebt * Self.nanosecondsPerSecond)
    }

    private mutating func fill(at now: Duration) {
        let now = now.wholeNanoseconds
        guard now > filledAt else { return }
        let full = Int128(rate.burst) * Self.nanosecondsPerSecond
        let (gained, overflow) = Int128(now - filledAt).multipliedReportingOverflow(by: Int128(rate.perSecond))
        // What is missing is below 2^96, so that the sum is the full bucket wherever the product is out of range.
        level = overflow || gained >= full - level ? full : level + gained
        filledAt = now
    }
}

/// Both rates of a limit together: what has to wait for one takes nothing of the other.
package struct TransferLimiter: Hashable, Sendable {
    package private(set) var bytes: TokenBucket?
    package private(set) var operations: TokenBucket?

    package init(_ limit: TransferLimit, at now: Duration) {
        bytes = limit.bytes.map { TokenBucket($0, at: now) }
        operations = limit.operations.map { TokenBucket($0, at: now) }
    }

    /// Goes on with what another of the same limit held.
    package init(_ limit: TransferLimit, bytes: Int64?, operations: Int64?, at now: Duration) {
        self.bytes = limit.bytes.map { TokenBucket($0, tokens: bytes, at: now) }
        self.operations = limit.operations.map { TokenBucket($0, tokens: operations, at: now) }
    }

    /// Counts one operation with its bytes if it may pass now, and returns nil; else how long it has to wait.
    package mutating func admit(bytes count: UInt64, at now: Duration) -> Duration? {
        let wait = max(bytes?.delay(for: count, at: now) ?? .zero, operations?.delay(for: 1, at: now) ?? .zero)
        if wait > .zero { return wait }
        bytes?.take(count)
        operations?.take(1)
        return nil
    }
}
