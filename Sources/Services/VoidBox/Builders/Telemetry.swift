internal import Primitives

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
