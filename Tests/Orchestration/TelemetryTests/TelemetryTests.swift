import Synchronization
import Testing

@testable import Telemetry

/// Remembers what it gets.
final class Recorder: TelemetrySink {
    private let kept = Mutex<(spans: [SpanRecord], logs: [LogRecord], totals: MetricTotals)>(([], [], MetricTotals()))

    var spans: [SpanRecord] { kept.withLock { $0.spans } }
    var logs: [LogRecord] { kept.withLock { $0.logs } }

    func take(_ span: SpanRecord) { kept.withLock { $0.spans.append(span) } }
    func take(_ log: LogRecord) { kept.withLock { $0.logs.append(log) } }
    func take(_ value: Double, of metric: Metric, _ attributes: Attributes) {
        kept.withLock { $0.totals.observe(value, of: metric, attributes) }
    }
}

@Suite("Trace context") struct TraceContextTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    @Test func `a header is read and written`() throws {
        let context = try #require(TraceContext(traceparent: "00-\(Self.trace)-00f067aa0ba902b7-01"))
        #expect(context.traceID == Self.trace && context.spanID == "00f067aa0ba902b7")
        #expect(context.traceparent == "00-\(Self.trace)-00f067aa0ba902b7-01")
        #expect(context.child().traceID == Self.trace && context.child().spanID != context.spanID)
    }

    @Test func `a later version may say more`() {
        #expect(TraceContext(traceparent: "01-\(Self.trace)-00f067aa0ba902b7-01-more") != nil)
    }

    @Test(arguments: [
        "", "x", "00-\(trace)-00f067aa0ba902b7", "00-\(trace)-00f067aa0ba902b7-01-more",
        "ff-\(trace)-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-\(trace)-0000000000000000-01", "00-\(trace.uppercased())-00f067aa0ba902b7-01",
        "00-\(trace)-00f067aa0ba902b-01",
    ])
    func `what is no header is not read`(_ text: String) {
        #expect(TraceContext(traceparent: text) == nil)
    }
}

@Suite("Span tree") struct SpanTreeTests {
    private func tree(_ recorder: Recorder, remote: TraceContext? = nil) -> SpanTree {
        let clock = Mutex<UInt64>(0)
        return SpanTree(sink: recorder, remote: remote) {
            clock.withLock { time in
                time += 10
                return time
            }
        }
    }

    @Test func `a span is in the nearest one above it`() throws {
        let recorder = Recorder()
        let tree = tree(recorder)
        tree.begin(["run"], "run")
        tree.begin(["run", "box", "agent"], "agent", ["a": .integer(1)])
        tree.begin(["run", "box", "agent", "tool"], "tool")
        tree.end(["run", "box", "agent", "tool"], .succeeded)
        tree.end(["run", "box", "agent"], .failed("no"), ["b": .integer(2)])
        tree.end(["run"])
        let spans = recorder.spans
        #expect(spans.map(\.name) == ["tool", "agent", "run"])
        #expect(Set(spans.map(\.context.traceID)).count == 1)
        #expect(spans[2].parentSpanID == nil)
        #expect(spans[1].parentSpanID == spans[2].context.spanID)
        #expect(spans[0].parentSpanID == spans[1].context.spanID)
        #expect(spans[1].attributes == ["a": .integer(1), "b": .integer(2)])
        #expect(spans[1].status == .failed("no"))
        #expect(spans.allSatisfy { $0.endNanoseconds > $0.startNanoseconds })
    }

    @Test func `what is open below ends with it, marked`() {
        let recorder = Recorder()
        let tree = tree(recorder)
        tree.begin(["run"], "run")
        tree.begin(["run", "tool"], "tool")
        tree.end(["run"], .succeeded)
        tree.end(["run", "tool"])
        #expect(recorder.spans.map(\.name) == ["tool", "run"])
        #expect(recorder.spans[0].status == .failed("it did not end by itself"))
    }

    @Test func `a trace of somebody else's goes on`() throws {
        let recorder = Recorder()
        let remote = TraceContext.root()
        let tree = tree(recorder, remote: remote)
        tree.begin(["run"], "run")
        let inside = try #require(tree.traceparent(["run"]).flatMap { TraceContext(traceparent: $0) })
        #expect(inside.traceID == remote.traceID)
        tree.log("hello", .warning, in: ["run", "agent"])
        tree.end(["run"])
        #expect(recorder.spans[0].parentSpanID == remote.spanID && recorder.spans[0].context == inside)
        #expect(recorder.logs[0].context == inside)
        #expect(tree.traceparent(["run"]) == nil)
    }

    @Test func `more than are allowed are not traced, and do no harm`() {
        let recorder = Recorder()
        let tree = tree(recorder)
        for index in 0..<20_000 { tree.begin(["\(index)"], "s") }
        for index in 0..<20_000 { tree.end(["\(index)"]) }
        #expect(recorder.spans.count == 10_000)
    }
}

@Suite("Metric totals") struct MetricTotalsTests {
    @Test func `observations are summed and put into buckets`() throws {
        var totals = MetricTotals()
        for value in [0.05, 0.1, 7, 1e9] { totals.observe(value, of: .runDuration, ["k": .text("v")]) }
        totals.observe(.nan, of: .runDuration, ["k": .text("v")])
        let point = try #require(totals.points.values.first)
        #expect(point.count == 4 && point.minimum == 0.05 && point.maximum == 1e9 && point.newest == 1e9)
        #expect(point.buckets.first == 2 && point.buckets.last == 1 && point.buckets.reduce(0, +) == 4)
    }

    @Test func `combinations are bounded`() {
        var totals = MetricTotals()
        for index in 0..<3000 { totals.observe(1, of: .toolCalls, ["k": .integer(Int64(index))]) }
        #expect(totals.points.count == 2000 && totals.unkept == 1000)
    }

    @Test func `names are unique`() {
        #expect(Set(Metric.all.map(\.name)).count == Metric.all.count)
    }
}
