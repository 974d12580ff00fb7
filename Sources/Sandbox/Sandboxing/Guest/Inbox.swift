internal import Primitives
internal import Synchronization

/// Elements on their way to one consumer. Unbounded by itself: credits bound what the producer may put in.
/// Any thread; guarded by `state`.
final class Inbox<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var head = 0
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<Element?, any Error>?
    }

    private let state = Mutex(State())

    func put(_ element: Element) {
        state.withLockWaking { state, wakeups in
            guard state.end == nil else { return }
            if let waiter = state.waiter.take() { return wakeups.resume(waiter, returning: element) }
            state.elements.append(element)
        }
    }

    /// After what is in it, the consumer gets nil or the error.
    func finish(_ result: Result<Void, any Error> = .success(())) {
        state.withLockWaking { state, wakeups in
            guard state.end == nil else { return }
            state.end = result
            if let waiter = state.waiter.take() { wakeups.resume(waiter, with: result.map { nil }) }
        }
    }

    /// The next element, or nil at the end. One consumer at a time.
    func next() async throws -> Element? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLockWaking { state, wakeups in
                    if Task.isCancelled { return wakeups.resume(continuation, throwing: CancellationError()) }
                    if state.head < state.elements.count {
                        let element = state.elements[state.head]
                        state.head += 1
                        if state.head == state.elements.count {
                            state.elements.removeAll(keepingCapacity: true)
                            state.head = 0
                        }
                        return wakeups.resume(continuation, returning: element)
                    }
                    if let end = state.end { return wakeups.resume(continuation, with: end.map { nil }) }
                    precondition(state.waiter == nil, "an inbox has one consumer")
                    state.waiter = continuation
                }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiter.take() }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
