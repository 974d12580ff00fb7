internal import Primitives

/// Where a run's telemetry goes. The variables `OTEL_*` and `VOIDBOX_OTLP_*` work without it.
public struct Telemetry: Hashable, Sendable {
    /// A collector's address by OTLP/HTTP, such as `http://127.0.0.1:4318`; nil for the environment's.
    public var endpoint: String?
    /// What the collector calls the runs.
    public var serviceName: String?
    /// Whether spans are sent.
    public var traces = true
    /// Whether figures are sent.
    public var metrics = true
    /// Whether lines are sent.
    public var logs = true

    /// Where it goes, and under which name.
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
