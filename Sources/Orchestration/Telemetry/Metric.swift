/// The metrics of a run. All there are stand here.
package struct Metric: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The sum of what was observed.
        case sum
        /// The newest that was observed.
        case gauge
        /// How often what was observed.
        case histogram(bounds: [Double])
    }

    package let name: String
    package let unit: String
    package let kind: Kind
    package let about: String

    private static let seconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]
    private static let tokens: [Double] = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262_144, 1_048_576, 4_194_304]

    package static let tokenUsage = Metric(
        name: "gen_ai.client.token.usage",
        unit: "{token}",
        kind: .histogram(bounds: tokens),
        about: "Tokens of an agent's run, by type and model"
    )
    package static let agentDuration = Metric(
        name: "gen_ai.client.operation.duration",
        unit: "s",
        kind: .histogram(bounds: seconds),
        about: "How long agents work"
    )
    package static let cost = Metric(
        name: "voidbox.cost",
        unit: "USD",
        kind: .sum,
        about: "What the model has cost, where its price is known"
    )
    package static let toolCalls = Metric(
        name: "voidbox.tool.calls",
        unit: "{call}",
        kind: .sum,
        about: "Calls of tools by agents"
    )
    package static let runDuration = Metric(
        name: "voidbox.run.duration",
        unit: "s",
        kind: .histogram(bounds: seconds),
        about: "How long runs take"
    )
    package static let bootDuration = Metric(
        name: "voidbox.boot.duration",
        unit: "s",
        kind: .histogram(bounds: seconds),
        about: "From the start of a box to its first answer"
    )
    package static let execDuration = Metric(
        name: "voidbox.exec.duration",
        unit: "s",
        kind: .histogram(bounds: seconds),
        about: "How long steps of workflows run"
    )
    package static let guestCPU = Metric(
        name: "voidbox.guest.cpu.utilization",
        unit: "1",
        kind: .gauge,
        about: "Of all processors of a box, 0 to 1"
    )
    package static let guestMemory = Metric(
        name: "voidbox.guest.memory.usage",
        unit: "By",
        kind: .gauge,
        about: "Memory that a box uses"
    )
    package static let dropped = Metric(
        name: "voidbox.telemetry.dropped",
        unit: "{record}",
        kind: .sum,
        about: "Spans and log lines that could not be exported"
    )

    package static let all: [Metric] = [
        .tokenUsage, .agentDuration, .cost, .toolCalls, .runDuration, .bootDuration, .execDuration, .guestCPU,
        .guestMemory, .dropped,
    ]
}

/// What was observed so far, by metric and attributes.
package struct MetricTotals: Sendable {
    package struct Key: Hashable, Sendable {
        package var metric: Metric
        package var attributes: Attributes
    }

    package struct Point: Hashable, Sendable {
        package var sum = 0.0
        package var newest = 0.0
        package var count: UInt64 = 0
        /// Of a histogram: how many were at most each bound, not counting the ones below; the last one is above all.
        package var buckets: [UInt64] = []
        package var minimum = Double.infinity
        package var maximum = -Double.infinity
    }

    /// Attributes come from names in specifications and models; a run has a few dozen of them.
    private static let maxPoints = 2000

    package private(set) var points: [Key: Point] = [:]
    /// Observations of combinations beyond the limit.
    package private(set) var unkept: UInt64 = 0

    package init() {}

    package mutating func observe(_ value: Double, of metric: Metric, _ attributes: Attributes) {
        guard value.isFinite else { return }
        let key = Key(metric: metric, attributes: attributes)
        guard points[key] != nil || points.count < Self.maxPoints else {
            unkept += 1
            return
        }
        var point = points[key] ?? Point()
        point.sum += value
        point.newest = value
        point.count += 1
        point.minimum = min(point.minimum, value)
        point.maximum = max(point.maximum, value)
        if case .histogram(let bounds) = metric.kind {
            if point.buckets.isEmpty { point.buckets = Array(repeating: 0, count: bounds.count + 1) }
            point.buckets[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        }
        points[key] = point
    }
}
