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

    public static func attempts(_ count: Int) -> Retry { Retry(attempts: count) }

    var value: JSONValue {
        var retry = Document()
        retry.number("max_attempts", attempts)
        retry.milliseconds("initial_delay_ms", delay)
        retry["backoff"] = .number(factor)
        retry.milliseconds("max_delay_ms", maxDelay)
        return retry.value
    }
}

/// Whether a service that has ended is started again.
public struct Restart: Hashable, Sendable {
    public enum Rule: String, Hashable, Sendable {
        case never
        case onFailure = "on-failure"
        /// Also after a good end.
        case always
    }

    public var rule: Rule
    /// In a row: a start that lasted longer than the longest wait begins a new row.
    public var limit: Int
    /// Before the first restart of a row.
    public var delay: Duration
    /// Each wait is so many times the one before.
    public var factor: Double
    /// No wait is longer.
    public var maxDelay: Duration

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
        restart.milliseconds("initial_delay_ms", delay)
        restart["backoff"] = .number(factor)
        restart.milliseconds("max_delay_ms", maxDelay)
        return restart.value
    }
}

/// What a failure means for the stages after it.
public enum FailureRule: String, Hashable, Sendable {
    case stop, `continue`
}
