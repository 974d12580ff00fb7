internal import Primitives
internal import Synchronization

/// Lets a sender pass while its receiver has credit for it. Any thread; guarded by `state`.
final class SendGate: Sendable {
    private struct State {
        var window: SendWindow
        var waiters: [(ticket: UInt64, continuation: CheckedContinuation<Void, any Error>)] = []
        var nextTicket: UInt64 = 0
        /// Set once nothing may be sent any more.
        var closed: (any Error)?
    }

    private let state: Mutex<State>

    init(capacity: Int) {
        state = Mutex(State(window: SendWindow(capacity: capacity)))
    }

    /// Waits until at least one byte may be sent, and takes credit for as many of `wanted` as may, at most a message's worth.
    func pass(_ wanted: Int) async throws -> Int {
        while true {
            let granted: Int = try state.withLock { state in
                if let error = state.closed { throw error }
                let count = min(wanted, state.window.available, StreamLimit.message)
                state.window.take(count)
                return count
            }
            if granted > 0 || wanted == 0 { return granted }
            try await waitForCredit()
        }
    }

    /// False if the receiver claims to have consumed more than it was sent.
    func giveBack(_ count: UInt32) -> Bool {
        state.withLockWaking { state, wakeups in
            guard state.window.giveBack(count) else { return false }
            for waiter in state.waiters { wakeups.resume(waiter.continuation, returning: ()) }
            state.waiters = []
            return true
        }
    }

    /// Fails everyone who waits and everyone who comes.
    func close(_ error: any Error) {
        state.withLockWaking { state, wakeups in
            if state.closed == nil { state.closed = error }
            for waiter in state.waiters { wakeups.resume(waiter.continuation, throwing: error) }
            state.waiters = []
        }
    }

    private func waitForCredit() async throws {
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                state.withLockWaking { state, wakeups in
                    if Task.isCancelled { return wakeups.resume(continuation, throwing: CancellationError()) }
                    if let error = state.closed { return wakeups.resume(continuation, throwing: error) }
                    if state.window.available > 0 { return wakeups.resume(continuation, returning: ()) }
                    state.waiters.append((ticket, continuation))
                }
            }
        } onCancel: {
            state.withLockWaking { state, wakeups in
                guard let index = state.waiters.firstIndex(where: { $0.ticket == ticket }) else { return }
                wakeups.resume(state.waiters.remove(at: index).continuation, throwing: CancellationError())
            }
        }
    }
}
