internal import LinuxSystem

/// The wish that something ends, which comes once. Any thread.
package final class StopRequest: Sendable {
    private let made = StopFlag()
    private let wish = OneShot<Bool>()

    package init() {}

    package var isMade: Bool { made.isSet }

    package func make() {
        made.set()
        wish.fulfil(true)
    }

    /// Returns once the request is made. Throws only `CancellationError`.
    package func wait() async throws {
        _ = try await wish.wait()
    }

    /// The same for so long at most. True if the request was made.
    package func wait(atMost limit: Duration) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await self.wait()
                return true
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? true
        }
    }

    /// Cancels a task that goes on for so long after the request: what it waits for may never come. Cancel what this returns
    /// once the task has ended.
    package func cancels<Value, Failure>(_ task: Task<Value, Failure>, after limit: Duration) -> Task<Void, Never> {
        Task {
            guard (try? await wait()) != nil, (try? await Task.sleep(for: limit)) != nil else { return }
            task.cancel()
        }
    }
}

extension ExecSession {
    /// Follows the program with `body`. Once the request is made, the program is asked to end, and killed if it has not after
    /// `grace`: `body` sees it end.
    package func ending<Result: Sendable>(
        on request: StopRequest,
        grace: Duration,
        _ body: () async throws -> Result,
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await request.wait()
                // One that has ended meanwhile says so by its exit.
                try? await signal(Signal.terminate)
                try await Task.sleep(for: grace)
                try? await signal(Signal.kill)
            }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}
