internal import LinuxSystem

/// Runs `body` and cancels it on SIGINT or SIGTERM, so that what it holds is cleaned up before the process goes. A second
/// signal ends the process at once; the machines of its boxes die with it.
///
/// - Returns: the result of `body`, and whether a signal came.
func interruptible<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> (result: Swift.Result<Result, any Error>, wasInterrupted: Bool) {
    let (signals, signalled) = AsyncStream.makeStream(of: Void.self)
    let thread = try EventLoopThread(name: "signals")
    try await Interrupts.trap(on: thread, secondExitsWith: ExitStatus.interrupted.code) { signalled.yield() }
    return await withTaskGroup(of: Outcome<Result>.self) { group in
        let work = Task {
            do {
                return Swift.Result<Result, any Error>.success(try await body())
            } catch {
                return .failure(error)
            }
        }
        group.addTask { .finished(await work.value) }
        group.addTask {
            for await _ in signals { break }
            return .signalled
        }
        var wasInterrupted = false
        for await outcome in group {
            switch outcome {
            case .signalled:
                wasInterrupted = true
                work.cancel()
            case .finished(let result):
                group.cancelAll()
                return (result, wasInterrupted)
            }
        }
        return (await work.value, wasInterrupted)
    }
}

private enum Outcome<Value: Sendable>: Sendable {
    case finished(Result<Value, any Error>)
    case signalled
}
