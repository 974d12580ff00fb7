internal import Primitives
internal import Synchronization

/// Elements between two tasks; the writer waits while the reader is behind. Any thread; guarded by `state`.
final class MockChannel<Element: Sendable>: Sendable {
    private static var capacity: Int { 64 }

    private struct State {
        var elements: [Element] = []
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []

        mutating func wakeAll(_ wakeups: inout Wakeups) {
            for waiter in waiters { wakeups.resume(waiter, returning: ()) }
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
            let isDone = state.withLockWaking { state, wakeups in
                if state.isClosed { return true }
                guard state.elements.count < Self.capacity else { return false }
                state.elements.append(element)
                state.wakeAll(&wakeups)
                return true
            }
            if isDone { return }
            await waitForChange { $0.isClosed || $0.elements.count < Self.capacity }
        }
    }

    /// Puts in a last element, which always has room, and closes.
    func finish(with element: Element) {
        state.withLockWaking { state, wakeups in
            if !state.isClosed { state.elements.append(element) }
            state.isClosed = true
            state.wakeAll(&wakeups)
        }
    }

    /// What is in it can still be taken.
    func close() {
        state.withLockWaking { state, wakeups in
            state.isClosed = true
            state.wakeAll(&wakeups)
        }
    }

    /// The next element, nil at the end.
    func next() async throws -> Element? {
        while true {
            try Task.checkCancellation()
            let (element, isAtEnd): (Element?, Bool) = state.withLockWaking { state, wakeups in
                if state.elements.isEmpty { return (nil, state.isClosed) }
                state.wakeAll(&wakeups)
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
                state.withLockWaking { state, wakeups in
                    if Task.isCancelled || condition(state) {
                        wakeups.resume(continuation, returning: ())
                    } else {
                        state.waiters.append(continuation)
                    }
                }
            }
        } onCancel: {
            state.withLockWaking { state, wakeups in state.wakeAll(&wakeups) }
        }
    }
}
