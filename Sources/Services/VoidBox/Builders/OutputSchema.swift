internal import FoundationEssentials
internal import JSONCoding
internal import Primitives

/// The JSON Schema that an agent's output must fit. The agent is told what does not fit, and goes on.
public struct OutputSchema: Hashable, Sendable {
    let document: JSONValue

    /// A file of this host with the schema.
    public static func file(_ path: String) -> OutputSchema { OutputSchema(document: .string(path)) }

    /// The schema itself, as JSON text. Throws `VoidBoxError` for text that is none.
    public static func json(_ text: String) throws(VoidBoxError) -> OutputSchema {
        guard let document = try? JSONValue(decoding: Array(text.utf8)), document.stringValue == nil else {
            throw VoidBoxError(.invalid, "the output schema is not JSON")
        }
        return OutputSchema(document: document)
    }
}

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

/// What a failure means for the stages after it.
public enum FailureRule: String, Hashable, Sendable {
    case stop, `continue`
}

/// Where a run's telemetry goes. The variables `OTEL_*` and `VOIDBOX_OTLP_*` work without it.
public struct Telemetry: Hashable, Sendable {
    public var endpoint: String?
    public var serviceName: String?
    public var traces = true
    public var metrics = true
    public var logs = true

    public init(endpoint: String? = nil, serviceName: String? = nil) {
        self.endpoint = endpoint
        self.serviceName = serviceName
    }

    var value: JSONValue {
        var observe = Document()
        observe.text("otlp_endpoint", endpoint)
        observe.text("service_name", serviceName)
        observe["traces"] = .bool(traces)
        observe["metrics"] = .bool(metrics)
        observe["logs"] = .bool(logs)
        return observe.value
    }
}
