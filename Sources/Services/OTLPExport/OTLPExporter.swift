internal import JSONCoding
package import Logging
internal import Primitives
internal import Synchronization
package import Telemetry

/// Sends what happens to a collector, or writes it to a file, in batches and in the background. Whatever is wrong with the
/// collector, who emits does not notice: what waits is bounded, and what does not fit is dropped and counted.
/// Any thread; guarded by `state`.
package final class OTLPExporter: TelemetrySink {
    private static let batch = 512

    private struct State {
        var spans: [SpanRecord] = []
        var logs: [LogRecord] = []
        var totals = MetricTotals()
        var dropped: UInt64 = 0
        var haveMetricsChanged = false
    }

    private let settings: OTLPSettings
    private let encoding: OTLPEncoding
    private let destination: OTLPDestination
    private let logger: Logger
    private let start: UInt64
    private let now: @Sendable () -> UInt64
    private let state = Mutex(State())
    private let wakeup: AsyncStream<Void>.Continuation
    private let worker = Mutex<Task<Void, Never>?>(nil)

    package convenience init(
        _ settings: OTLPSettings,
        version: String,
        logger: Logger,
        now: @escaping @Sendable () -> UInt64,
    ) {
        self.init(settings, version: version, logger: logger, interval: .seconds(1), now: now)
    }

    /// - Parameter interval: How long a record waits for others to go with it.
    init(
        _ settings: OTLPSettings,
        version: String,
        logger: Logger,
        interval: Duration,
        now: @escaping @Sendable () -> UInt64,
    ) {
        self.settings = settings
        self.logger = logger
        self.now = now
        start = now()
        encoding = OTLPEncoding(resource: settings.resource, version: version)
        destination = OTLPDestination(settings, logger: logger)
        let (wakeups, wakeup) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakeup = wakeup
        let task = Task { [weak self] in
            // Ends when the exporter is shut down. What wakes it up waits for a while, for others to go with it.
            for await _ in wakeups {
                guard (try? await Task.sleep(for: interval)) != nil else { return }
                await self?.export(all: false)
            }
        }
        worker.withLock { $0 = task }
    }

    deinit {
        worker.withLock { $0 }?.cancel()
    }

    // MARK: TelemetrySink

    package func take(_ span: SpanRecord) {
        guard settings.signals.contains(.traces) else { return }
        keep { $0.spans.append(span) }
    }

    package func take(_ log: LogRecord) {
        guard settings.signals.contains(.logs) else { return }
        keep { $0.logs.append(log) }
    }

    package func take(_ value: Double, of metric: Metric, _ attributes: Attributes) {
        guard settings.signals.contains(.metrics) else { return }
        state.withLock { state in
            state.totals.observe(value, of: metric, attributes)
            state.haveMetricsChanged = true
        }
        wakeup.yield()
    }

    private func keep(_ append: (inout State) -> Void) {
        state.withLock { state in
            guard state.spans.count + state.logs.count < settings.queueLimit else {
                state.dropped += 1
                return
            }
            append(&state)
        }
        wakeup.yield()
    }

    /// Records that were dropped so far.
    package var dropped: UInt64 { state.withLock { $0.dropped } }

    // MARK: Exporting

    /// - Parameter all: True where nothing comes after: nothing may be left.
    private func export(all: Bool) async {
        repeat {
            let (spans, logs) = state.withLock { state in
                let spans = Array(state.spans.prefix(Self.batch))
                let logs = Array(state.logs.prefix(Self.batch))
                state.spans.removeFirst(spans.count)
                state.logs.removeFirst(logs.count)
                return (spans, logs)
            }
            if spans.isEmpty, logs.isEmpty { break }
            if !spans.isEmpty { await send(.traces, encoding.traces(spans), spans.count) }
            if !logs.isEmpty { await send(.logs, encoding.logs(logs), logs.count) }
        } while !Task.isCancelled
        let totals = state.withLock { state -> MetricTotals? in
            if all, state.dropped > 0 { state.totals.observe(Double(state.dropped), of: .dropped, [:]) }
            defer { state.haveMetricsChanged = false }
            return state.haveMetricsChanged || all && !state.totals.points.isEmpty ? state.totals : nil
        }
        guard let totals, settings.signals.contains(.metrics), !Task.isCancelled else { return }
        await send(.metrics, encoding.metrics(totals, start: start, now: now()), 0)
    }

    private func send(_ signal: OTLPSettings.Signal, _ document: JSONValue, _ count: Int) async {
        guard await !destination.send(document.encoded, signal) else { return }
        state.withLock { $0.dropped += UInt64(count) }
    }

    /// Exports what is left, within the time, and ends. To be called once.
    package func shutdown(within limit: Duration) async {
        wakeup.finish()
        let worker = worker.withLock { $0 }
        let flushing = Task {
            worker?.cancel()
            await worker?.value
            await export(all: true)
        }
        let timer = Task {
            try await Task.sleep(for: limit)
            flushing.cancel()
        }
        await flushing.value
        timer.cancel()
        // What a flush that was cut short has left is lost.
        let lost = state.withLock { state in
            let lost = state.dropped + UInt64(state.spans.count + state.logs.count)
            state.dropped = lost
            return lost
        }
        if lost > 0 {
            logger.warning("telemetry was lost: the collector did not take it", metadata: ["records": "\(lost)"])
        }
        await destination.close()
    }
}
