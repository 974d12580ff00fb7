internal import Primitives
internal import Spec

/// When a service that has ended is started again. A value without I/O: whoever runs the service does the waiting.
struct RestartSchedule: Sendable {
    private let rule: RestartSpec
    /// A start that lasted longer begins a new row.
    private let settled: Duration
    private var row = 0
    /// All of them.
    private(set) var restarts = 0

    /// - Parameter settled: No shorter start begins a new row, however short the waits are.
    init(_ rule: RestartSpec, settled: Duration) {
        self.rule = rule
        self.settled = max(settled, .milliseconds(rule.delays.maxDelayMilliseconds))
    }

    /// How long to wait before the next start; nil where there is none.
    ///
    /// - Parameter lasted: From the start that is over to its end.
    mutating func next(failed: Bool, lasted: Duration) -> Duration? {
        switch rule.policy {
        case .never: return nil
        case .onFailure: guard failed else { return nil }
        case .always: break
        }
        if lasted > settled { row = 0 }
        guard row < rule.maxRestarts else { return nil }
        row += 1
        restarts += 1
        return rule.delays.delay(after: row)
    }
}

/// How long the parts of a service's supervision take.
package struct ServiceTiming: Hashable, Sendable {
    /// Between two looks at its output.
    package var lookInterval = Duration.seconds(2)
    /// One look that takes longer is given up.
    package var lookLimit = Duration.seconds(10)
    /// How long it has to end by itself once it was asked to.
    package var grace = Duration.seconds(10)
    /// How long it may take to die when it was made to. Then the box does not answer, and is given up.
    package var killLimit = Duration.seconds(5)
    /// See `RestartSchedule`.
    package var settled = Duration.seconds(10)

    package init() {}
}
