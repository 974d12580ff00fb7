internal import Primitives

/// How often something is tried, and how long to wait between.
public struct Retry: Hashable, Sendable {
    /// With the first one.
    public var attempts: Int
    /// Before the second attempt.
    public var delay: Duration
    /// Each wait is so many times the one before.
    public var factor: Double
    /// No wait is longer.
    public var maxDelay: Duration

    /// The attempts, with the first one, and the waits between them.
    public init(
        attempts: Int = 3,
        delay: Duration = .milliseconds(100),
        factor: Double = 2,
        maxDelay: Duration = .seconds(30),
    ) {
        self.attempts = attempts
        self.delay = delay
        self.factor = factor
        self.maxDelay = maxDelay
    }

    /// So many attempts, with the first one, and waits as they usually are.
    public static func attempts(_ count: Int) -> Retry { Retry(attempts: count) }

    var value: JSONValue {
        var retry = Document()
        retry.number("max_attempts", attempts)
        retry.delays(from: delay, times: factor, upTo: maxDelay)
        return retry.value
    }
}

/// Whether a service that has ended is started again.
public struct Restart: Hashable, Sendable {
    /// After which ends.
    public enum Rule: String, Hashable, Sendable {
        /// After none: its first end is the last one.
        case never
        /// After one that was no success.
        case onFailure = "on-failure"
        /// Also after a good end.
        case always
    }

    /// After which ends it is started again.
    public var rule: Rule
    /// In a row: a start that lasted longer than the longest wait, and 10 s, begins a new row.
    public var limit: Int
    /// Before the first restart of a row.
    public var delay: Duration
    /// Each wait is so many times the one before.
    public var factor: Double
    /// No wait is longer.
    public var maxDelay: Duration

    /// The rule, and the waits before each restart.
    public init(
        _ rule: Rule = .onFailure,
        limit: Int = 10,
        delay: Duration = .milliseconds(100),
        factor: Double = 2,
        maxDelay: Duration = .seconds(30),
    ) {
        self.rule = rule
        self.limit = limit
        self.delay = delay
        self.factor = factor
        self.maxDelay = maxDelay
    }

    var value: JSONValue {
        var restart = Document()
        restart.text("policy", rule.rawValue)
        restart.number("max_restarts", limit)
        restart.delays(from: delay, times: factor, upTo: maxDelay)
        return restart.value
    }
}

extension Document {
    /// The waits between attempts, and before restarts.
    fileprivate mutating func delays(from first: Duration, times factor: Double, upTo longest: Duration) {
        milliseconds("initial_delay_ms", first)
        self["backoff"] = .number(factor)
        milliseconds("max_delay_ms", longest)
    }
}

/// What a failure means for the stages after it.
public enum FailureRule: String, Hashable, Sendable {
    /// They are skipped.
    case stop
    /// They run with what there is.
    case `continue`
}
