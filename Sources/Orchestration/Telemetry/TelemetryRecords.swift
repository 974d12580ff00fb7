/// A value that describes a span, a metric or a log line.
package enum AttributeValue: Hashable, Sendable {
    case text(String)
    case integer(Int64)
    case number(Double)
    case truth(Bool)
    case texts([String])
}

package typealias Attributes = [String: AttributeValue]

/// Something that took time.
package struct SpanRecord: Hashable, Sendable {
    package enum Status: Hashable, Sendable {
        case unset
        case succeeded
        case failed(String)
    }

    package var context: TraceContext
    /// The span that it happened in; nil for the first of a trace.
    package var parentSpanID: String?
    package var name: String
    package var startNanoseconds: UInt64
    package var endNanoseconds: UInt64
    package var attributes: Attributes
    package var status: Status
    /// True where another program does the work, such as the model's side of an agent.
    package var isClient: Bool
}

/// Something that was said.
package struct LogRecord: Hashable, Sendable {
    package enum Severity: Int, Hashable, Sendable {
        case information = 9
        case warning = 13
        case error = 17

        package var name: String {
            switch self {
            case .information: "INFO"
            case .warning: "WARN"
            case .error: "ERROR"
            }
        }
    }

    package var nanoseconds: UInt64
    package var severity: Severity
    package var body: String
    package var attributes: Attributes
    package var context: TraceContext?
}

/// Gets what happens. Never waits and never fails: whoever watches must not change what is watched.
package protocol TelemetrySink: Sendable {
    func take(_ span: SpanRecord)
    func take(_ log: LogRecord)
    /// One observation of a metric.
    func take(_ value: Double, of metric: Metric, _ attributes: Attributes)
}
