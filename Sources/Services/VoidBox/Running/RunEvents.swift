internal import AsyncAlgorithms

/// The events of a run. Asking for an iterator starts the run; it goes on as fast as events are taken.
///
/// Ends after ``RunEvent/finished(_:)``. Throws what ``Runnable/run(input:artifactsIn:)`` throws. When the task that takes the events is
/// cancelled, the run is stopped before the error arrives; a loop that is left early stops its run, too.
public struct RunEvents: AsyncSequence, Sendable {
    private let run: Run

    init(of run: Run) {
        self.run = run
    }

    public func makeAsyncIterator() -> Iterator { Iterator(RunUnderWay(run)) }

    public struct Iterator: AsyncIteratorProtocol {
        private let run: RunUnderWay

        init(_ run: RunUnderWay) {
            self.run = run
        }

        public func next() async throws -> RunEvent? { try await run.next() }
    }
}

/// Stops its run with itself.
final class RunUnderWay: Sendable {
    private let events = AsyncChannel<RunEvent>()
    private let task: Task<Void, any Error>

    init(_ run: Run) {
        task = Task { [events] in
            defer { events.finish() }
            let result = try await run.run { await events.send($0) }
            await events.send(.finished(result))
        }
    }

    deinit {
        stop()
    }

    func next() async throws -> RunEvent? {
        let event = await withTaskCancellationHandler {
            var iterator = events.makeAsyncIterator()
            return await iterator.next()
        } onCancel: {
            stop()
        }
        if let event, !Task.isCancelled { return event }
        try await task.value
        try Task.checkCancellation()
        return nil
    }

    private func stop() {
        task.cancel()
        // Whoever has something to tell must not wait for one who does not listen any more.
        events.finish()
    }
}
