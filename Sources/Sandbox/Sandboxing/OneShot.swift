internal import Synchronization

/// A value that comes once, and any number of tasks that wait for it. Any thread; guarded by `state`.
package final class OneShot<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiters: [UInt64: CheckedContinuation<Value, any Error>] = [:]
        var nextTicket: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// The first value counts.
    package func fulfil(_ value: Value) {
        state.withLock { state in
            guard state.value == nil else { return }
            state.value = value
            for waiter in state.waiters.values { waiter.resume(returning: value) }
            state.waiters = [:]
        }
    }

    /// Throws `CancellationError` when the waiting task is cancelled.
    package func wait() async throws -> Value {
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLock { state in
                    if let value = state.value { return continuation.resume(returning: value) }
                    if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
                    state.waiters[ticket] = continuation
                }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: ticket) }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
