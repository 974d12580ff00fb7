internal import LinuxSystem
internal import WorkerProtocol

/// Where connections come from: the listening socket with those who have not said their first line, and the dialler. Confined
/// to its device's loop.
final class VsockDoors {
    /// Of connections that have not said whom they want. More wait in the socket's own queue.
    private static let maxVisitors = 32

    private struct Visitor {
        let stream: WatchedDescriptor
        var greeting = VsockGreeting()
    }

    /// Somebody of the host wants a port of the guest. Bytes that came behind the line are the stream's.
    var greeted: (WatchedDescriptor, _ port: UInt32, _ early: [UInt8]) -> Void = { _, _, _ in }
    /// A dial ended, with a stream or without one.
    var dialled: (_ id: UInt32, WatchedDescriptor?) -> Void = { _, _ in }
    private let loop: EventLoop
    private let listener: WatchedDescriptor
    private let dialler: WatchedDescriptor
    private var visitors: [UInt32: Visitor] = [:]
    private var nextVisitor: UInt32 = 0
    private var isOpen = false

    init(listener: consuming OwnedFD, dialler: consuming OwnedFD, on loop: EventLoop) throws(SyscallError) {
        self.loop = loop
        self.listener = try WatchedDescriptor(nonBlocking: listener, on: loop)
        self.dialler = try WatchedDescriptor(nonBlocking: dialler, on: loop)
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
        for visitor in visitors.values { visitor.stream.unwatch() }
        visitors = [:]
        listener.unwatch()
        dialler.unwatch()
    }

    // MARK: Visitors

    private func admit() {
        while isOpen, visitors.count < Self.maxVisitors {
            do throws(SyscallError) {
                guard let descriptor = try listener.fd.acceptStream() else { return }
                try welcome(descriptor)
            } catch {
                // Without descriptors or memory the next try would fail at once, and the one after it.
                listener.unwatch()
                _ = loop.schedule(after: .seconds(1)) { [weak self] in self?.resume() }
                return
            }
        }
        listener.unwatch()
    }

    private func resume() {
        guard isOpen, visitors.count < Self.maxVisitors else { return }
        // Where that fails, whoever knocks waits until the driver starts anew, which costs nobody else anything.
        try? listener.want(.readable)
    }

    private func welcome(_ descriptor: consuming OwnedFD) throws(SyscallError) {
        let stream = try WatchedDescriptor(nonBlocking: descriptor, on: loop)
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
            guard case .bytes(let bytes) = try stream.fd.read(upTo: VsockGreeting.maxLength) else {
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
        visitor.stream.unwatch()
        resume()
    }

    // MARK: The dialler

    /// Asks for a stream to a port of the host. False where nobody can be asked.
    func dial(_ id: UInt32, port: UInt32) -> Bool {
        let request = DialRequest(id: id, port: port).encoded
        do throws(SyscallError) {
            return try dialler.fd.write(request[...]) == .wrote(request.count)
        } catch {
            return false
        }
    }

    private func takeAnswers() {
        while isOpen {
            do throws(SyscallError) {
                guard var message = try dialler.fd.receiveMessage(upTo: DialReply.length) else { return }
                if message.bytes.isEmpty { return dialler.unwatch() }
                guard let reply = DialReply(decoding: message.bytes) else { continue }
                if let descriptor = message.descriptor.take(), reply.isConnected {
                    dialled(reply.id, try WatchedDescriptor(nonBlocking: descriptor, on: loop))
                } else {
                    dialled(reply.id, nil)
                }
            } catch {
                return dialler.unwatch()
            }
        }
    }
}
