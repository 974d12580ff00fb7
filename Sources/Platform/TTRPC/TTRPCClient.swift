internal import ByteCodec
package import LinuxSystem
internal import Primitives
internal import Synchronization

/// A client on one connection. Any thread; guarded by `state`.
///
/// A call is written by the thread that makes it and completed by the loop's thread.
package final class TTRPCClient: Sendable {
    /// Unread bytes that a stream may hold. Our application protocol has credits well below this.
    static let maxUnreadBytes = 8 << 20
    private static let readSize = 256 << 10

    private let descriptor: OwnedFD
    private let thread: EventLoopThread
    private let state = Mutex(State())

    fileprivate struct State {
        var machine = ClientMachine()
        var outgoing = ByteQueue()
        var calls: [UInt32: CallState] = [:]
        var streams: [UInt32: StreamState] = [:]
        var watch: EventLoop.Watch?
        var wantsWrite = false
        var end: TTRPCConnectionEnd?
        var endWaiters: [CheckedContinuation<TTRPCConnectionEnd, Never>] = []
    }

    /// A unary call, from its request on the wire until its task has the outcome.
    fileprivate enum CallState {
        /// Sent; the task does not wait yet.
        case sent
        case awaited(CheckedContinuation<[UInt8], any Error>)
        /// Over before the task waited.
        case over(Result<[UInt8], any Error>)
    }

    fileprivate struct StreamState {
        var inbox: [[UInt8]] = []
        var head = 0
        var unreadBytes = 0
        var waiter: CheckedContinuation<[UInt8]?, any Error>?
        /// Set once nothing more will arrive: nil inside for a good end.
        var end: Result<Void, TTRPCError>?
    }

    /// Takes over a connected descriptor.
    package init(adopting descriptor: consuming OwnedFD, on thread: EventLoopThread) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        self.thread = thread
        thread.submit { [self] loop in
            do throws(SyscallError) {
                let watch = try loop.watch(self.descriptor, for: .readable) { [self] in serve($0, loop) }
                state.withLock { $0.watch = watch }
            } catch {
                end(TTRPCConnectionEnd(error))
            }
        }
    }

    // MARK: Calls

    /// Makes a unary call and returns its response. Throws `TTRPCError`, or `CancellationError` when the task is cancelled;
    /// the server may then still carry it out.
    package func call(
        _ method: TTRPCMethod,
        _ payload: [UInt8],
        timeout: Duration? = nil,
        metadata: [(key: String, value: String)] = [],
    ) async throws -> [UInt8] {
        try Task.checkCancellation()
        let id = try open(method, payload, kind: .unary, timeout: timeout, metadata: metadata) { $0.calls[$1] = .sent }
        if let timeout { expire(id, after: timeout) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLockWaking { state, wakeups in
                    if case .over(let result) = state.calls[id] {
                        state.calls[id] = nil
                        wakeups.resume(continuation, with: result)
                    } else {
                        state.calls[id] = .awaited(continuation)
                    }
                }
            }
        } onCancel: {
            state.withLockWaking { $0.finish(id, .failure(CancellationError()), &$1) }
        }
    }

    /// Opens a stream; its request carries `payload`. With `sends: false` the client sends nothing beyond it.
    package func openStream(
        _ method: TTRPCMethod,
        _ payload: [UInt8],
        sends: Bool = true,
    ) throws(TTRPCError) -> TTRPCClientStream {
        let kind: ClientMachine.Kind = sends ? .stream : .serverStream
        let id = try open(method, payload, kind: kind, timeout: nil, metadata: []) { $0.streams[$1] = StreamState() }
        return TTRPCClientStream(id: id, client: self)
    }

    /// Fails everything outstanding. Idempotent.
    package func close() {
        end(.closedHere)
    }

    package func waitUntilClosed() async -> TTRPCConnectionEnd {
        await withCheckedContinuation { continuation in
            state.withLockWaking { state, wakeups in
                if let end = state.end {
                    wakeups.resume(continuation, returning: end)
                } else {
                    state.endWaiters.append(continuation)
                }
            }
        }
    }

    /// Sends a request and has it registered, all under one lock: a server refuses an identifier below one that it has
    /// seen, so requests must leave in the order of their identifiers.
    private func open(
        _ method: TTRPCMethod,
        _ payload: [UInt8],
        kind: ClientMachine.Kind,
        timeout: Duration?,
        metadata: [(key: String, value: String)],
        _ register: (inout State, UInt32) -> Void,
    ) throws(TTRPCError) -> UInt32 {
        try state.withLock { state throws(TTRPCError) in
            if let end = state.end { throw .closed(end) }
            let (id, bytes) = try state.machine.open(
                method,
                payload,
                kind: kind,
                timeout: timeout,
                metadata: metadata,
            )
            register(&state, id)
            send(bytes, &state)
            return id
        }
    }

    private func expire(_ id: UInt32, after timeout: Duration) {
        thread.submit { [weak self] loop in
            _ = loop.schedule(after: timeout) {
                self?.state.withLockWaking { $0.finish(id, .failure(TTRPCError.deadlineExceeded), &$1) }
            }
        }
    }

    // MARK: Streams

    fileprivate func send(_ message: [UInt8], on id: UInt32) throws(TTRPCError) {
        try state.withLock { state throws(TTRPCError) in
            if let end = state.end { throw .closed(end) }
            if let bytes = try state.machine.data(message, on: id) { send(bytes, &state) }
        }
    }

    fileprivate func closeSending(on id: UInt32) {
        state.withLock { state in
            if state.end == nil, let bytes = state.machine.closeSending(on: id) { send(bytes, &state) }
        }
    }

    fileprivate func receive(on id: UInt32) async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLockWaking { state, wakeups in
                    if Task.isCancelled { return wakeups.resume(continuation, throwing: CancellationError()) }
                    guard state.streams[id] != nil else { return wakeups.resume(continuation, returning: nil) }
                    if let message = state.streams[id]?.takeMessage() {
                        return wakeups.resume(continuation, returning: message)
                    }
                    if let end = state.streams[id]?.end {
                        return wakeups.resume(continuation, with: end.map { nil }.mapError { $0 as any Error })
                    }
                    precondition(state.streams[id]?.waiter == nil, "a stream has one consumer")
                    state.streams[id]?.waiter = continuation
                }
            }
        } onCancel: {
            let waiter = state.withLock { $0.streams[id]?.waiter.take() }
            waiter?.resume(throwing: CancellationError())
        }
    }

    /// Sends no more and drops whatever still comes.
    fileprivate func abandon(_ id: UInt32) {
        closeSending(on: id)
        let waiter = state.withLock { $0.streams.removeValue(forKey: id)?.waiter }
        waiter?.resume(returning: nil)
    }

    // MARK: The connection

    private func serve(_ readiness: EventLoop.Readiness, _ loop: EventLoop) {
        if readiness.contains(.writable) { state.withLock { flush(&$0) } }
        if readiness.isDisjoint(with: [.readable, .hangUp, .error]) { return }
        do throws(SyscallError) {
            switch try descriptor.read(upTo: Self.readSize) {
            case .wouldBlock: return
            case .endOfFile: end(.closedByPeer)
            case .bytes(let bytes):
                do throws(TTRPCViolation) {
                    try state.withLockWaking { state, wakeups throws(TTRPCViolation) in
                        try accept(bytes, &state, &wakeups)
                    }
                } catch {
                    end(.violation(error))
                }
            }
        } catch {
            end(TTRPCConnectionEnd(error))
        }
    }

    private func accept(_ bytes: [UInt8], _ state: inout State, _ wakeups: inout Wakeups) throws(TTRPCViolation) {
        for event in try state.machine.receive(bytes) {
            switch event {
            case .response(let id, let result):
                if state.calls[id] != nil {
                    state.finish(id, result.mapError { TTRPCError.status($0) }, &wakeups)
                    continue
                }
                if case .success(let payload) = result, !payload.isEmpty {
                    try state.streams[id]?.deliver(payload, id, &wakeups)
                }
                state.streams[id]?.finish(result.map { _ in }.mapError { .status($0) }, &wakeups)
            case .message(let id, let message): try state.streams[id]?.deliver(message, id, &wakeups)
            case .ended(let id): state.streams[id]?.finish(.success(()), &wakeups)
            }
        }
    }

    private func send(_ bytes: [UInt8], _ state: inout State) {
        state.outgoing.append(bytes)
        if !state.wantsWrite { flush(&state) }
    }

    private func flush(_ state: inout State) {
        guard state.end == nil else { return }
        do throws(SyscallError) {
            while !state.outgoing.isEmpty {
                guard case .wrote(let count) = try descriptor.write(state.outgoing.contents) else { break }
                state.outgoing.removeFirst(count)
            }
        } catch {
            let reason = TTRPCConnectionEnd(error)
            thread.submit { [self] _ in end(reason) }  // Not here: the lock is held.
            return
        }
        guard state.wantsWrite == state.outgoing.isEmpty else { return }
        state.wantsWrite.toggle()
        let interest: EventLoop.Interest = state.wantsWrite ? [.readable, .writable] : .readable
        thread.submit { [weak self] loop in
            guard let self, let watch = self.state.withLock({ $0.watch }) else { return }
            loop.change(watch, to: interest)
        }
    }

    private func end(_ reason: TTRPCConnectionEnd) {
        state.withLockWaking { state, wakeups in
            guard state.end == nil else { return }
            state.end = reason
            for id in state.calls.keys { state.finish(id, .failure(TTRPCError.closed(reason)), &wakeups) }
            for id in state.streams.keys { state.streams[id]?.finish(.failure(.closed(reason)), &wakeups) }
            for waiter in state.endWaiters { wakeups.resume(waiter, returning: reason) }
            state.endWaiters = []
        }
        thread.submit { [self] loop in
            if let watch = state.withLock({ $0.watch.take() }) { loop.remove(watch) }
        }
    }
}

extension TTRPCClient.State {
    /// The outcome of a unary call, unless it has one.
    fileprivate mutating func finish(_ id: UInt32, _ result: Result<[UInt8], any Error>, _ wakeups: inout Wakeups) {
        switch calls[id] {
        case .sent: calls[id] = .over(result)
        case .awaited(let continuation):
            calls[id] = nil
            wakeups.resume(continuation, with: result)
        case .over, nil: break
        }
    }
}

extension TTRPCClient.StreamState {
    fileprivate mutating func takeMessage() -> [UInt8]? {
        guard head < inbox.count else { return nil }
        let message = inbox[head]
        head += 1
        unreadBytes -= message.count
        if head == inbox.count {
            inbox.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 64, head > inbox.count / 2 {
            inbox.removeFirst(head)
            head = 0
        }
        return message
    }

    fileprivate mutating func deliver(
        _ message: [UInt8],
        _ id: UInt32,
        _ wakeups: inout Wakeups,
    ) throws(TTRPCViolation) {
        if let waiter = waiter.take() { return wakeups.resume(waiter, returning: message) }
        guard unreadBytes + message.count <= TTRPCClient.maxUnreadBytes else {
            throw .streamOverrun(id, bytes: unreadBytes + message.count)
        }
        inbox.append(message)
        unreadBytes += message.count
    }

    fileprivate mutating func finish(_ result: Result<Void, TTRPCError>, _ wakeups: inout Wakeups) {
        guard end == nil else { return }
        end = result
        if let waiter = waiter.take() {
            wakeups.resume(waiter, with: result.map { nil }.mapError { $0 as any Error })
        }
    }
}

/// A stream that this side opened. One task receives; any task may send.
package final class TTRPCClientStream: Sendable {
    private let id: UInt32
    private let client: TTRPCClient

    fileprivate init(id: UInt32, client: TTRPCClient) {
        self.id = id
        self.client = client
    }

    deinit {
        client.abandon(id)
    }

    /// Sends a message; ignored once the server has ended the stream.
    package func send(_ message: [UInt8]) throws(TTRPCError) {
        try client.send(message, on: id)
    }

    package func closeSending() {
        client.closeSending(on: id)
    }

    /// The next message; nil once the stream ended well. Throws `TTRPCError` or `CancellationError`.
    package func receive() async throws -> [UInt8]? {
        try await client.receive(on: id)
    }

    /// Sends no more and drops whatever still comes. Idempotent.
    package func cancel() {
        client.abandon(id)
    }
}
