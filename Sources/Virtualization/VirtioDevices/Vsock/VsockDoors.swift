internal import LinuxSystem
internal import WorkerProtocol

/// Where connections come from: the listening socket with those who have not said their first line, and the dialler. Confined
/// to its device's loop.
final class VsockDoors {
    /// Of connections that have not said whom they want. More wait in the socket's own queue.
    private static let maxVisitors = 32

    private struct Visitor {
        let stream: HostStream
        var greeting = VsockGreeting()
    }

    /// Somebody of the host wants a port of the guest. Bytes that came behind the line are the stream's.
    var greeted: (HostStream, _ port: UInt32, _ early: [UInt8]) -> Void = { _, _, _ in }
    /// A dial ended, with a stream or without one.
    var dialled: (_ id: UInt32, HostStream?) -> Void = { _, _ in }
    private let loop: EventLoop
    private let listener: HostStream
    private let dialler: HostStream
    private var visitors: [UInt32: Visitor] = [:]
    private var nextVisitor: UInt32 = 0
    private var isOpen = false

    init(listener: consuming OwnedFD, dialler: consuming OwnedFD, on loop: EventLoop) throws(SyscallError) {
        self.loop = loop
        self.listener = try HostStream(adopting: listener, on: loop)
        self.dialler = try HostStream(adopting: dialler, on: loop)
        self.listener.ready = { [unowned self] _ in admit() }
        self.dialler.ready = { [unowned self] _ in takeAnswers() }
    }

    func open() throws(SyscallError) {
        isOpen = true
        try listener.want(.readable)
        try dialler.want(.readable)
    }

    /// Who knocks waits until the doors are opened again.
    func close() {
        isOpen = false
        for visitor in visitors.values { ignore(visitor.stream, []) }
        visitors = [:]
        ignore(listener, [])
        ignore(dialler, [])
    }

    /// Only the loop's own descriptors can fail. Then nothing is watched, which costs the connection and nothing else.
    private func ignore(_ stream: HostStream, _ interest: EventLoop.Interest) {
        try? stream.want(interest)
    }

    // MARK: Visitors

    private func admit() {
        while isOpen, visitors.count < Self.maxVisitors {
            do throws(SyscallError) {
                guard let descriptor = try listener.descriptor.acceptStream() else { return }
                try welcome(descriptor)
            } catch {
                // Without descriptors or memory the next try would fail at once, and the one after it.
                ignore(listener, [])
                _ = loop.schedule(after: .seconds(1)) { [weak self] in self?.resume() }
                return
            }
        }
        ignore(listener, [])
    }

    private func resume() {
        if isOpen, visitors.count < Self.maxVisitors { ignore(listener, .readable) }
    }

    private func welcome(_ descriptor: consuming OwnedFD) throws(SyscallError) {
        let stream = try HostStream(adopting: descriptor, on: loop)
        let id = nextVisitor
        nextVisitor &+= 1
        stream.ready = { [unowned self] _ in listen(to: id) }
        visitors[id] = Visitor(stream: stream)
        try stream.want(.readable)
        _ = loop.schedule(after: VsockDevice.patience) { [weak self] in self?.dismiss(id) }
    }

    private func listen(to id: UInt32) {
        guard let stream = visitors[id]?.stream else { return }
        do throws(SyscallError) {
            guard case .bytes(let bytes) = try stream.descriptor.read(upTo: VsockGreeting.maxLength) else {
                return dismiss(id)
            }
            switch visitors[id]?.greeting.receive(bytes) {
            case .connect(let port, let rest):
                dismiss(id)
                greeted(stream, port, rest)
            case .refused, nil: dismiss(id)
            case .incomplete: break
            }
        } catch {
            dismiss(id)
        }
    }

    private func dismiss(_ id: UInt32) {
        guard let visitor = visitors.removeValue(forKey: id) else { return }
        ignore(visitor.stream, [])
        resume()
    }

    // MARK: The dialler

    /// Asks for a stream to a port of the host. False where nobody can be asked.
    func dial(_ id: UInt32, port: UInt32) -> Bool {
        let request = DialRequest(id: id, port: port).encoded
        do throws(SyscallError) {
            return try dialler.descriptor.write(request[...]) == .wrote(request.count)
        } catch {
            return false
        }
    }

    private func takeAnswers() {
        while isOpen {
            do throws(SyscallError) {
                guard var message = try dialler.descriptor.receiveMessage(upTo: DialReply.length) else { return }
                if message.bytes.isEmpty { return ignore(dialler, []) }
                guard let reply = DialReply(decoding: message.bytes) else { continue }
                if let descriptor = message.descriptor.take(), reply.isConnected {
                    dialled(reply.id, try HostStream(adopting: descriptor, on: loop))
                } else {
                    dialled(reply.id, nil)
                }
            } catch {
                return ignore(dialler, [])
            }
        }
    }
}
