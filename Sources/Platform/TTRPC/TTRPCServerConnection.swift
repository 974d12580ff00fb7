internal import ByteCodec
package import LinuxSystem

/// One client's connection, served on an event loop. Confined to the loop.
package final class TTRPCServerConnection {
    private static let readSize = 256 << 10

    private let descriptor: OwnedFD
    private let loop: EventLoop
    private let handler: (TTRPCServerCall) -> Void
    private let onClose: (TTRPCConnectionEnd) -> Void
    private var machine = ServerMachine()
    private var outgoing = ByteQueue()
    private var calls: [UInt32: TTRPCServerCall] = [:]
    private var watch: EventLoop.Watch?
    private var wantsWrite = false

    /// Serves a non-blocking descriptor: a socket or a character device. `handler` gets each call when it arrives;
    /// `onClose` is told once why the connection ended, after every open call was told that it is abandoned.
    package init(
        adopting descriptor: consuming OwnedFD,
        on loop: EventLoop,
        handler: @escaping (TTRPCServerCall) -> Void,
        onClose: @escaping (TTRPCConnectionEnd) -> Void,
    ) throws(SyscallError) {
        try descriptor.setNonBlocking()
        self.descriptor = descriptor
        self.loop = loop
        self.handler = handler
        self.onClose = onClose
        watch = try loop.watch(self.descriptor, for: .readable) { [weak self] readiness in self?.serve(readiness) }
    }

    /// Bytes that the peer has not taken yet.
    package var queuedByteCount: Int { outgoing.count }

    package func close() {
        end(.closedHere)
    }

    private func serve(_ readiness: EventLoop.Readiness) {
        if readiness.contains(.writable) { flush() }
        if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) { receive() }
    }

    private func receive() {
        guard watch != nil else { return }
        do throws(SyscallError) {
            switch try descriptor.read(upTo: Self.readSize) {
            case .wouldBlock: return
            case .endOfFile: return end(.closedByPeer)
            case .bytes(let bytes): try accept(bytes)
            }
        } catch {
            end(TTRPCConnectionEnd(error))
        }
    }

    private func accept(_ bytes: [UInt8]) throws(SyscallError) {
        let events: [ServerMachine.Event]
        do throws(TTRPCViolation) {
            events = try machine.receive(bytes)
        } catch {
            return end(.violation(error))
        }
        for event in events {
            switch event {
            case .request(let id, let request): open(id, request)
            case .message(let id, let message): calls[id]?.deliver(message)
            case .inputClosed(let id): calls[id]?.closeInput()
            case .refused(let response): send(response)
            }
        }
    }

    private func open(_ id: UInt32, _ request: ServerMachine.Request) {
        let call = TTRPCServerCall(id: id, request: request, connection: self)
        calls[id] = call
        if let timeout = request.timeout {
            call.deadline = loop.schedule(after: timeout) { [weak self] in self?.expire(id) }
        }
        handler(call)
    }

    private func expire(_ id: UInt32) {
        guard let call = calls[id] else { return }
        respond(to: id) { $0.fail(TTRPCStatus(.deadlineExceeded, "deadline exceeded"), on: id) }
        call.abandon()
    }

    // MARK: What calls ask for

    fileprivate func sendMessage(_ message: [UInt8], on id: UInt32) {
        precondition(message.count <= FrameHeader.maxLength, "a message of ours is below the limit")
        if let bytes = machine.data(message, on: id) { send(bytes) }
    }

    fileprivate func respond(to id: UInt32, _ make: (inout ServerMachine) -> [UInt8]?) {
        guard let call = calls.removeValue(forKey: id) else { return }
        if let deadline = call.deadline { loop.cancel(deadline) }
        if let bytes = make(&machine) { send(bytes) }
    }

    // MARK: Output

    private func send(_ bytes: [UInt8]) {
        outgoing.append(bytes)
        if !wantsWrite { flush() }
    }

    private func flush() {
        guard let watch else { return }
        do throws(SyscallError) {
            while !outgoing.isEmpty {
                guard case .wrote(let count) = try descriptor.write(outgoing.contents) else { break }
                outgoing.removeFirst(count)
            }
        } catch {
            return end(TTRPCConnectionEnd(error))
        }
        if wantsWrite == outgoing.isEmpty {
            wantsWrite.toggle()
            loop.change(watch, to: wantsWrite ? [.readable, .writable] : .readable)
        }
    }

    private func end(_ reason: TTRPCConnectionEnd) {
        guard let watch = watch.take() else { return }
        loop.remove(watch)
        let abandoned = calls.values.sorted { $0.id < $1.id }
        calls = [:]
        for call in abandoned {
            if let deadline = call.deadline { loop.cancel(deadline) }
            call.abandon()
        }
        onClose(reason)
    }
}

/// A call that a client made. Confined to the loop of its connection.
package final class TTRPCServerCall {
    package let method: TTRPCMethod
    package let payload: [UInt8]
    package let timeout: Duration?
    package let metadata: [(key: String, value: String)]
    /// The client announced messages beyond the request.
    package let isOpenForMessages: Bool

    fileprivate let id: UInt32
    fileprivate var deadline: EventLoop.Timer?
    private weak var connection: TTRPCServerConnection?
    private var undelivered: [[UInt8]] = []
    private var inputIsClosed: Bool
    private var inputCloseIsUndelivered = false

    fileprivate init(id: UInt32, request: ServerMachine.Request, connection: TTRPCServerConnection) {
        self.id = id
        self.connection = connection
        method = request.method
        payload = request.payload
        timeout = request.timeout
        metadata = request.metadata
        isOpenForMessages = request.isOpenForMessages
        inputIsClosed = !request.isOpenForMessages
    }

    /// Gets each message in order; those that came before it was set, at once.
    package var onMessage: (([UInt8]) -> Void)? {
        didSet {
            guard let onMessage else { return }
            let kept = undelivered
            undelivered = []
            kept.forEach(onMessage)
        }
    }

    /// The client sends no more messages.
    package var onInputClosed: (() -> Void)? {
        didSet {
            guard inputCloseIsUndelivered, let onInputClosed else { return }
            inputCloseIsUndelivered = false
            onInputClosed()
        }
    }

    /// The connection ended or the deadline passed before the call was finished. Nothing can be sent any more.
    package var onAbandoned: (() -> Void)?

    /// Sends a message on a stream. Ignored once the call is over.
    package func send(_ message: [UInt8]) {
        connection?.sendMessage(message, on: id)
    }

    /// Ends the call well: a unary call with its response, a stream with an optional last message.
    package func finish(_ payload: [UInt8] = []) {
        connection?.respond(to: id) { [id] in $0.finish(payload, on: id) }
        release()
    }

    package func fail(_ status: TTRPCStatus) {
        connection?.respond(to: id) { [id] in $0.fail(status, on: id) }
        release()
    }

    /// Bytes that wait on this call's connection, of all its calls.
    package var queuedByteCount: Int { connection?.queuedByteCount ?? 0 }

    fileprivate func deliver(_ message: [UInt8]) {
        if let onMessage { onMessage(message) } else { undelivered.append(message) }
    }

    fileprivate func closeInput() {
        guard !inputIsClosed else { return }
        inputIsClosed = true
        if let onInputClosed { onInputClosed() } else { inputCloseIsUndelivered = true }
    }

    fileprivate func abandon() {
        let abandoned = onAbandoned
        release()
        abandoned?()
    }

    /// Handlers usually hold the call's own state: letting go of them breaks the cycle.
    private func release() {
        onMessage = nil
        onInputClosed = nil
        onAbandoned = nil
    }
}
