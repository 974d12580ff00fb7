package import Synchronization

/// Continuations that a holder of a lock decided to resume, kept until it has let go of it.
///
/// Resuming a task takes the task's own lock, and cancelling one calls its handler under that lock. Whoever resumes under a
/// lock of its own that the handler takes too waits for the canceller, which waits for it. So nobody resumes under a lock:
/// `Mutex.withLockWaking` resumes when it has been given back.
package struct Wakeups {
    private var actions: [() -> Void] = []

    package mutating func resume<Value: Sendable, Failure: Error>(
        _ continuation: CheckedContinuation<Value, Failure>,
        with result: Result<Value, Failure>,
    ) {
        actions.append { continuation.resume(with: result) }
    }

    package mutating func resume<Value: Sendable, Failure: Error>(
        _ continuation: CheckedContinuation<Value, Failure>,
        returning value: Value,
    ) {
        resume(continuation, with: .success(value))
    }

    package mutating func resume<Value: Sendable>(
        _ continuation: CheckedContinuation<Value, any Error>,
        throwing error: any Error,
    ) {
        resume(continuation, with: .failure(error))
    }

    fileprivate func perform() {
        for action in actions { action() }
    }
}

extension Mutex {
    /// As `withLock`; what `body` asks to resume is resumed once the lock is free, also when `body` throws.
    package borrowing func withLockWaking<Result: Sendable, Failure: Error>(
        _ body: (inout sending Value, inout Wakeups) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var wakeups = Wakeups()
        defer { wakeups.perform() }
        return try withLock { value throws(Failure) in try body(&value, &wakeups) }
    }
}
