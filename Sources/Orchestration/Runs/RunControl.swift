internal import Synchronization

/// Cancels single stages of a run from outside it. Any thread; guarded by `state`.
package final class RunControl: Sendable {
    private struct State {
        /// How to stop the stages that are running.
        var running: [String: @Sendable () -> Void] = [:]
        /// Why, of those that were cancelled, also before they began.
        var cancelled: [String: String] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Cancels a stage: now if it is running, else when it would start. One that has ended stays as it is.
    package func cancel(stage: String, reason: String?) {
        let stop = state.withLock { state in
            state.cancelled[stage] = reason ?? "cancelled by hand"
            return state.running[stage]
        }
        stop?()
    }

    /// Why a stage was cancelled; nil if it was not.
    func cancellation(of stage: String) -> String? {
        state.withLock { $0.cancelled[stage] }
    }

    /// Runs a stage in a task that `cancel` and the caller's own cancellation stop, and waits for it.
    func run<Value: Sendable>(_ stage: String, _ body: @escaping @Sendable () async -> Value) async -> Value {
        let task = Task { await body() }
        let isCancelled = state.withLock { state in
            state.running[stage] = { task.cancel() }
            return state.cancelled[stage] != nil
        }
        if isCancelled { task.cancel() }
        let value = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        state.withLock { $0.running[stage] = nil }
        return value
    }
}

/// Directories of the host that belong to one run.
package struct RunDirectories: Hashable, Sendable {
    /// For what nobody needs after the run.
    package var work: String
    package var artifacts: String

    package init(work: String, artifacts: String) {
        self.work = work
        self.artifacts = artifacts
    }
}
