internal import Synchronization

/// Elements between two tasks; the writer waits while the reader is behind. Any thread; guarded by `state`.
final class MockChannel<Element: Sendable>: Sendable {
    private static var capacity: Int { 64 }

    private struct State {
        var elements: [Element] = []
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []

        mutating func wakeAll() {
            for waiter in waiters { waiter.resume() }
            waiters = []
        }
    }

    private let state = Mutex(State())

    init() {}

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Waits for room. What is put in after `close` is lost, as with a reader that is gone.
    func put(_ element: Element) async throws {
        while true {
            try Task.checkCancellation()
            let isDone = state.withLock { state in
                if state.isClosed { return true }
                guard state.elements.count < Self.capacity else { return false }
                state.elements.append(element)
                state.wakeAll()
                return true
            }
            if isDone { return }
            await waitForChange { $0.isClosed || $0.elements.count < Self.capacity }
        }
    }

    /// Puts in a last element, which always has room, and closes.
    func finish(with element: Element) {
        state.withLock { state in
            if !state.isClosed { state.elements.append(element) }
            state.isClosed = true
            state.wakeAll()
        }
    }

    /// What is in it can still be taken.
    func close() {
        state.withLock { state in
            state.isClosed = true
            state.wakeAll()
        }
    }

    /// The next element, nil at the end.
    func next() async throws -> Element? {
        while true {
            try Task.checkCancellation()
            let (element, isAtEnd): (Element?, Bool) = state.withLock { state in
                if state.elements.isEmpty { return (nil, state.isClosed) }
                state.wakeAll()
                return (state.elements.removeFirst(), false)
            }
            if let element { return element }
            if isAtEnd { return nil }
            await waitForChange { $0.isClosed || !$0.elements.isEmpty }
        }
    }

    /// Returns when the condition holds, something changed, or the task is cancelled.
    private func waitForChange(until condition: @escaping @Sendable (State) -> Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { state in
                    if Task.isCancelled || condition(state) {
                        continuation.resume()
                    } else {
                        state.waiters.append(continuation)
                    }
                }
            }
        } onCancel: {
            state.withLock { $0.wakeAll() }
        }
    }
}
