internal import Synchronization

/// The spans of one run while they are open. Any thread; guarded by `state`.
///
/// A span is known by a path such as `["box", "tool"]`: who ends it need not be who began it.
package final class SpanTree: Sendable {
    package typealias Path = [String]
    /// Spans that are open at a time; what a guest can make more of is not traced.
    private static let maxOpen = 10_000

    private struct Open {
        var context: TraceContext
        var parent: String?
        var name: String
        var start: UInt64
        var attributes: Attributes
        var isClient: Bool
    }

    private struct State {
        var open: [Path: Open] = [:]
        var untraced: UInt64 = 0
    }

    package let sink: any TelemetrySink
    /// Nanoseconds since 1970.
    package let now: @Sendable () -> UInt64
    private let remote: TraceContext?
    private let state = Mutex(State())

    /// - Parameter remote: The span of somebody else's trace that this run is a part of; nil for a trace of its own.
    package init(sink: any TelemetrySink, remote: TraceContext?, now: @escaping @Sendable () -> UInt64) {
        self.sink = sink
        self.remote = remote
        self.now = now
    }

    /// Begins a span in the nearest one that is open above it.
    package func begin(_ path: Path, _ name: String, _ attributes: Attributes = [:], isClient: Bool = false) {
        let start = now()
        state.withLock { state in
            guard state.open.count < Self.maxOpen else {
                state.untraced += 1
                return
            }
            let parent = Self.nearest(above: path, in: state.open)?.context ?? remote
            state.open[path] = Open(
                context: parent?.child() ?? .root(),
                parent: parent?.spanID,
                name: name,
                start: start,
                attributes: attributes,
                isClient: isClient,
            )
        }
    }

    /// Ends a span, and before it all that is open below it.
    package func end(_ path: Path, _ status: SpanRecord.Status = .unset, _ attributes: Attributes = [:]) {
        let end = now()
        let ended = state.withLock { state -> [(path: Path, span: Open)] in
            let below = state.open.filter { $0.key.starts(with: path) }
            for key in below.keys { state.open[key] = nil }
            return below.map { (path: $0.key, span: $0.value) }.sorted { $0.path.count > $1.path.count }
        }
        for (key, span) in ended {
            let isWhole = key == path
            sink.take(
                SpanRecord(
                    context: span.context,
                    parentSpanID: span.parent,
                    name: span.name,
                    startNanoseconds: span.start,
                    endNanoseconds: max(end, span.start),
                    attributes: isWhole ? span.attributes.merging(attributes) { $1 } : span.attributes,
                    status: isWhole ? status : .failed("it did not end by itself"),
                    isClient: span.isClient,
                )
            )
        }
    }

    package func isOpen(_ path: Path) -> Bool {
        state.withLock { $0.open[path] != nil }
    }

    package func log(
        _ body: String,
        _ severity: LogRecord.Severity,
        in path: Path,
        _ attributes: Attributes = [:],
    ) {
        let context = state.withLock { state in
            state.open[path]?.context ?? Self.nearest(above: path, in: state.open)?.context
        }
        sink.take(
            LogRecord(
                nanoseconds: now(),
                severity: severity,
                body: body,
                attributes: attributes,
                context: context ?? remote,
            )
        )
    }

    /// What a program in the box says that its own spans are below; nil for a span that is not open.
    package func traceparent(_ path: Path) -> String? {
        state.withLock { $0.open[path]?.context.traceparent }
    }

    private static func nearest(above path: Path, in open: [Path: Open]) -> Open? {
        var rest = path[...]
        while !rest.isEmpty {
            rest = rest.dropLast()
            if let span = open[Array(rest)] { return span }
        }
        return nil
    }
}
