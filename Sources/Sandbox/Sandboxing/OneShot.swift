internal import Primitives
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
        state.withLockWaking { state, wakeups in
            guard state.value == nil else { return }
            state.value = value
            for waiter in state.waiters.values { wakeups.resume(waiter, returning: value) }
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
                state.withLockWaking { state, wakeups in
                    if let value = state.value { return wakeups.resume(continuation, returning: value) }
                    if Task.isCancelled { return wakeups.resume(continuation, throwing: CancellationError()) }
                    state.waiters[ticket] = continuation
                }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: ticket) }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
