internal import FoundationEssentials
internal import GuestAPI
internal import Primitives
internal import Synchronization
internal import TTRPC

extension GuestClient {
    func listen(port: UInt16) async throws -> any TunnelListener {
        var request = Voidbox_Guest_V1_ListenRequest()
        request.port = UInt32(port)
        let resource = "guest port \(port)"
        let stream = try openStream("Listen", request, on: resource)
        let first = try await receive(Voidbox_Guest_V1_AcceptedConnection.self, from: stream, on: resource)
        guard let bound = first.flatMap({ UInt16(exactly: $0.port) }), bound > 0 else {
            throw SandboxError(.protocolViolation, resource: resource, "the guest agent did not say where it listens")
        }
        return GuestTunnelListener(self, stream, port: bound)
    }
}

final class GuestTunnelListener: TunnelListener {
    let port: UInt16
    private let guest: GuestClient
    private let stream: TTRPCClientStream

    init(_ guest: GuestClient, _ stream: TTRPCClientStream, port: UInt16) {
        self.guest = guest
        self.stream = stream
        self.port = port
    }

    func nextConnection() async throws -> (any TunnelConnection)? {
        do {
            guard
                let accepted = try await guest.receive(
                    Voidbox_Guest_V1_AcceptedConnection.self,
                    from: stream,
                    on: "guest port \(port)",
                )
            else { return nil }
            return try GuestTunnelConnection(guest, id: accepted.connectionID, port: port)
        } catch let error as SandboxError where error.code == .machineEnded {
            return nil
        }
    }

    func close() async {
        stream.cancel()
    }
}

/// One connection. A task of its own takes frames, so that credit arrives while nobody asks for data.
final class GuestTunnelConnection: TunnelConnection {
    private let guest: GuestClient
    private let stream: TTRPCClientStream
    private let resource: String
    private let inbox = Inbox<[UInt8]>()
    private let gate = SendGate(capacity: StreamLimit.tunnel)
    private let consumed = ReceiveMeter(capacity: StreamLimit.tunnel)
    private let pump = Mutex<Task<Void, Never>?>(nil)

    init(_ guest: GuestClient, id: String, port: UInt16) throws {
        self.guest = guest
        let resource = "guest port \(port)"
        self.resource = resource
        var frame = Voidbox_Guest_V1_TunnelFrame()
        frame.connectionID = id
        let stream = try guest.openStream("Tunnel", frame, on: resource)
        self.stream = stream
        let task = Task { [inbox, gate, consumed] in
            do {
                while let frame = try await guest.receive(
                    Voidbox_Guest_V1_TunnelFrame.self,
                    from: stream,
                    on: resource,
                ) {
                    try Self.take(frame, inbox, gate, consumed, resource)
                }
                inbox.finish()
                gate.close(SandboxError(.inputClosed, resource: resource, "the guest closed the connection"))
            } catch {
                inbox.finish(.failure(error))
                gate.close(error)
            }
        }
        pump.withLock { $0 = task }
    }

    deinit {
        pump.withLock { $0 }?.cancel()
    }

    func receive() async throws -> [UInt8]? {
        guard let bytes = try await inbox.next() else { return nil }
        let credit = consumed.consume(bytes.count)
        if credit > 0 {
            var frame = Voidbox_Guest_V1_TunnelFrame()
            frame.credit = credit
            try guest.send(frame, to: stream, on: resource)
        }
        return bytes
    }

    func send(_ bytes: [UInt8]) async throws {
        var frame = Voidbox_Guest_V1_TunnelFrame()
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try await gate.pass(rest.count)
            frame.data = Data(rest.prefix(count))
            try guest.send(frame, to: stream, on: resource)
            rest = rest.dropFirst(count)
        }
    }

    func finishSending() async throws {
        var frame = Voidbox_Guest_V1_TunnelFrame()
        frame.endOfData = Voidbox_Guest_V1_Empty()
        try guest.send(frame, to: stream, on: resource)
    }

    func close() async {
        stream.cancel()
        let task = pump.withLock { $0.take() }
        task?.cancel()
        await task?.value
    }

    private static func take(
        _ frame: Voidbox_Guest_V1_TunnelFrame,
        _ inbox: Inbox<[UInt8]>,
        _ gate: SendGate,
        _ window: ReceiveMeter,
        _ resource: String,
    ) throws {
        switch frame.kind {
        case .data(let data):
            guard window.accept(data.count) else {
                throw SandboxError(.protocolViolation, resource: resource, "the guest agent sent beyond its credit")
            }
            inbox.put(Array(data))
        case .endOfData: inbox.finish()
        case .credit(let credit):
            guard gate.giveBack(credit) else {
                throw SandboxError(.protocolViolation, resource: resource, "the guest agent gave too much credit")
            }
        case .connectionID, nil:
            throw SandboxError(.protocolViolation, resource: resource, "the guest agent sent an unknown frame")
        }
    }
}
