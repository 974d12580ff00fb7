internal import CLinux
internal import Glibc

/// An event loop with a thread of its own.
///
/// Any thread: everything that touches the loop is posted to it.
package final class EventLoopThread: Sendable {
    private let mailbox: EventLoop.Mailbox
    private let loop: Confined

    /// Carries the loop into closures that only the loop's own thread runs.
    private struct Confined: @unchecked Sendable {
        let value: EventLoop
    }

    package init(name: String) throws(SyscallError) {
        let loop = Confined(value: try EventLoop())
        self.loop = loop
        mailbox = loop.value.mailbox
        try startThread(named: name) {
            do throws(SyscallError) {
                try loop.value.run()
            } catch {
                preconditionFailure("the event loop's own descriptors failed: \(error)")
            }
        }
    }

    /// Runs `body` on the loop's thread.
    package func submit(_ body: @escaping @Sendable (EventLoop) -> Void) {
        mailbox.post { [loop] in body(loop.value) }
    }

    /// Runs `body` on the loop's thread and waits for what it returns.
    package func run<Result: Sendable>(_ body: @escaping @Sendable (EventLoop) throws -> Result) async throws -> Result
    {
        try await withCheckedThrowingContinuation { continuation in
            submit { loop in continuation.resume(with: Swift.Result { try body(loop) }) }
        }
    }

    /// Runs `body` on the loop's thread and blocks this thread until it is done: for threads that are nobody's pool.
    package func runBlocking<Result: Sendable>(_ body: @escaping @Sendable (EventLoop) throws -> Result) throws
        -> Result
    {
        let done = Handover<Swift.Result<Result, any Error>>()
        submit { loop in done.deliver(Swift.Result { try body(loop) }) }
        return try done.take().get()
    }

    /// Blocks until the loop serves nothing but what is posted to it.
    package func suspend() throws {
        try runBlocking { $0.suspend() }
    }

    package func resume() {
        submit { $0.resume() }
    }

    /// Ends the thread after the jobs that are already posted.
    package func stop() {
        submit { $0.stop() }
    }
}

/// One value from one thread to another that blocks for it. It takes no descriptor and no call but futex(2), which is all
/// that the thread of a processor may make.
@safe
private final class Handover<Value: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Guarded by `mutex`.
    private var value: Value?

    init() {
        // SAFETY: both were just allocated, and are destroyed with this object, when no thread uses it.
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe arrived.initialize(to: pthread_cond_t())
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(arrived, nil)
    }

    deinit {
        // SAFETY: as above.
        unsafe pthread_cond_destroy(arrived)
        unsafe pthread_mutex_destroy(mutex)
        unsafe arrived.deallocate()
        unsafe mutex.deallocate()
    }

    func deliver(_ value: Value) {
        // SAFETY: initialized above.
        unsafe pthread_mutex_lock(mutex)
        self.value = value
        unsafe pthread_cond_signal(arrived)
        unsafe pthread_mutex_unlock(mutex)
    }

    func take() -> Value {
        // SAFETY: initialized above, and waited on with the mutex held.
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let value { return value }
            unsafe pthread_cond_wait(arrived, mutex)
        }
    }
}

/// A value that only one loop's thread may use, carried by those who post to it.
package final class LoopConfined<Value>: @unchecked Sendable {
    private let value: Value
    private unowned let loop: EventLoop

    /// On the loop's thread.
    package init(_ value: Value, to loop: EventLoop) {
        self.value = value
        self.loop = loop
    }

    /// The loop that the caller was handed proves that it is on the right thread.
    package func get(on loop: EventLoop) -> Value {
        precondition(loop === self.loop, "the value belongs to another loop")
        return value
    }
}

/// Starts a detached thread with all signals blocked: signals belong to the main thread.
package func startThread(named name: String, _ body: @escaping @Sendable () -> Void) throws(SyscallError) {
    final class Box: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
    let box = unsafe Unmanaged.passRetained(Box(name: name, body: body))
    var thread = pthread_t()
    var all = sigset_t()
    var before = sigset_t()
    // SAFETY: both sets live on this stack; the new thread inherits the full mask.
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    // SAFETY: the retained box is released exactly once, by the thread that was started or below if none was.
    let result = unsafe pthread_create(
        &thread,
        nil,
        { argument in
            guard let argument = unsafe argument else { return nil }
            let box = unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
            unsafe clinux_name_thread(String(box.name.prefix(15)))
            box.body()
            return nil
        },
        box.toOpaque(),
    )
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    guard result == 0 else {
        unsafe box.release()
        throw SyscallError(Errno(rawValue: result), call: "pthread_create", on: name)
    }
    pthread_detach(thread)
}
