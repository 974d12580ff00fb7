internal import Primitives
internal import Telemetry

/// [OTLP](https://opentelemetry.io/docs/specs/otlp/) as JSON: what is sent to a collector and what is written to a file.
struct OTLPEncoding: Sendable {
    /// Of this program: `service.name` and what `OTEL_RESOURCE_ATTRIBUTES` says.
    let resource: Attributes
    let version: String

    func traces(_ spans: [SpanRecord]) -> JSONValue {
        envelope("resourceSpans", "scopeSpans", "spans", spans.map(span))
    }

    func logs(_ logs: [LogRecord]) -> JSONValue {
        envelope("resourceLogs", "scopeLogs", "logRecords", logs.map(log))
    }

    /// - Parameter start: When counting began, in nanoseconds since 1970.
    func metrics(_ totals: MetricTotals, start: UInt64, now: UInt64) -> JSONValue {
        let byMetric = Dictionary(grouping: totals.points) { $0.key.metric }
        let metrics = byMetric.sorted { $0.key.name < $1.key.name }.map { metric, points in
            self.metric(metric, points.map { ($0.key.attributes, $0.value) }, start: start, now: now)
        }
        return envelope("resourceMetrics", "scopeMetrics", "metrics", metrics)
    }

    private func envelope(_ resources: String, _ scopes: String, _ items: String, _ values: [JSONValue]) -> JSONValue {
        let scope: JSONValue = .object(["name": "voidbox", "version": .string(version)])
        let inner: JSONValue = .object(["scope": scope, items: .array(values)])
        let outer: JSONValue = .object([
            "resource": .object(["attributes": Self.attributes(resource)]), scopes: .array([inner]),
        ])
        return .object([resources: .array([outer])])
    }

    // MARK: Records

    private func span(_ span: SpanRecord) -> JSONValue {
        var members: [String: JSONValue] = [
            "traceId": .string(span.context.traceID), "spanId": .string(span.context.spanID),
            "name": .string(span.name), "kind": .integer(span.isClient ? 3 : 1),
            "startTimeUnixNano": Self.nanoseconds(span.startNanoseconds),
            "endTimeUnixNano": Self.nanoseconds(span.endNanoseconds),
            "attributes": Self.attributes(span.attributes),
        ]
        if let parent = span.parentSpanID { members["parentSpanId"] = .string(parent) }
        switch span.status {
        case .unset: break
        case .succeeded: members["status"] = .object(["code": 1])
        case .failed(let message): members["status"] = .object(["code": 2, "message": .string(message)])
        }
        return .object(members)
    }

    private func log(_ log: LogRecord) -> JSONValue {
        var members: [String: JSONValue] = [
            "timeUnixNano": Self.nanoseconds(log.nanoseconds),
            "observedTimeUnixNano": Self.nanoseconds(log.nanoseconds),
            "severityNumber": .integer(Int64(log.severity.rawValue)), "severityText": .string(log.severity.name),
            "body": .object(["stringValue": .string(log.body)]), "attributes": Self.attributes(log.attributes),
        ]
        if let context = log.context {
            members["traceId"] = .string(context.traceID)
            members["spanId"] = .string(context.spanID)
        }
        return .object(members)
    }

    private func metric(
        _ metric: Metric,
        _ points: [(Attributes, MetricTotals.Point)],
        start: UInt64,
        now: UInt64,
    ) -> JSONValue {
        func point(_ attributes: Attributes, _ members: [String: JSONValue]) -> JSONValue {
            let common: [String: JSONValue] = [
                "attributes": Self.attributes(attributes), "startTimeUnixNano": Self.nanoseconds(start),
                "timeUnixNano": Self.nanoseconds(now),
            ]
            return .object(common.merging(members) { $1 })
        }
        var members: [String: JSONValue] = [
            "name": .string(metric.name), "unit": .string(metric.unit), "description": .string(metric.about),
        ]
        // 2: cumulative
        switch metric.kind {
        case .gauge:
            let values = points.map { point($0, ["asDouble": .number($1.newest)]) }
            members["gauge"] = .object(["dataPoints": .array(values)])
        case .sum:
            let values = points.map { point($0, ["asDouble": .number($1.sum)]) }
            members["sum"] = .object([
                "dataPoints": .array(values), "aggregationTemporality": 2, "isMonotonic": true,
            ])
        case .histogram(let bounds):
            let values = points.map { attributes, value in
                point(
                    attributes,
                    [
                        "count": Self.nanoseconds(value.count), "sum": .number(value.sum),
                        "min": .number(value.minimum), "max": .number(value.maximum),
                        "explicitBounds": .array(bounds.map { .number($0) }),
                        "bucketCounts": .array(value.buckets.map(Self.nanoseconds)),
                    ],
                )
            }
            members["histogram"] = .object(["dataPoints": .array(values), "aggregationTemporality": 2])
        }
        return .object(members)
    }

    // MARK: Values

    /// Numbers of 64 bits are texts in OTLP's JSON.
    private static func nanoseconds(_ value: UInt64) -> JSONValue { .string(String(value)) }

    private static func attributes(_ attributes: Attributes) -> JSONValue {
        .array(
            attributes.sorted { $0.key < $1.key }.map { name, value in
                .object(["key": .string(name), "value": Self.value(value)])
            }
        )
    }

    private static func value(_ value: AttributeValue) -> JSONValue {
        switch value {
        case .text(let text): .object(["stringValue": .string(text)])
        case .integer(let number): .object(["intValue": .string(String(number))])
        case .number(let number): .object(["doubleValue": .number(number.isFinite ? number : 0)])
        case .truth(let truth): .object(["boolValue": .bool(truth)])
        case .texts(let texts):
            .object(["arrayValue": .object(["values": .array(texts.map { .object(["stringValue": .string($0)]) })])])
        }
    }
}
