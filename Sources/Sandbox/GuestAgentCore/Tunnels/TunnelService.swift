internal import GuestAPI
internal import LinuxSystem
internal import TTRPC

/// Ports of the guest's loopback whose connections are carried to the host. Confined to the loop's thread.
final class TunnelService {
    /// Accepted and not yet taken by the host, of all listeners; above that, connections wait in the kernel.
    private static let mostWaiting = 256
    private static let longestWait = Duration.seconds(60)
    private static let backlog: Int32 = 512

    private struct Waiting {
        let connection: WatchedDescriptor
        let timer: EventLoop.Timer
    }

    private final class Listener {
        let socket: LoopbackListener
        let descriptor: WatchedDescriptor
        let call: Call

        init(_ socket: consuming LoopbackListener, _ descriptor: WatchedDescriptor, _ call: Call) {
            self.socket = socket
            self.descriptor = descriptor
            self.call = call
        }
    }

    private let loop: EventLoop
    private var waiting: [String: Waiting] = [:]
    private var listeners: [ObjectIdentifier: Listener] = [:]
    private var nextID: UInt64 = 1

    init(on loop: EventLoop) {
        self.loop = loop
    }

    func listen(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_ListenRequest.self)
        guard let port = UInt16(exactly: request.port) else {
            throw TTRPCStatus(.invalidArgument, "\(request.port) is no port")
        }
        let listener: Listener
        do throws(SyscallError) {
            let socket = try LoopbackListener(port: port, backlog: Self.backlog)
            let descriptor = WatchedDescriptor(try socket.descriptor.duplicate(), on: loop)
            listener = Listener(socket, descriptor, call)
        } catch {
            throw TTRPCStatus(error, on: "port \(port) on the guest's loopback")
        }
        let key = ObjectIdentifier(listener)
        listeners[key] = listener
        call.onAbandoned { [weak self] in
            listener.descriptor.stop()
            self?.listeners[key] = nil
        }
        listener.descriptor.ready = { [weak self, weak listener] _ in
            if let listener { self?.accept(listener) }
        }
        var opened = Voidbox_Guest_V1_AcceptedConnection()
        opened.port = UInt32(listener.socket.port)
        call.send(opened)
        acceptWhileThereIsRoom()
    }

    func tunnel(_ call: Call) throws(TTRPCStatus) {
        let frame = try call.request(Voidbox_Guest_V1_TunnelFrame.self)
        guard case .connectionID(let id) = frame.kind else {
            throw TTRPCStatus(.invalidArgument, "a tunnel begins with `connection_id`")
        }
        guard let taken = waiting.removeValue(forKey: id) else {
            throw TTRPCStatus(.notFound, "connection \(id.prefix(64).debugDescription) is not waiting (any more)")
        }
        loop.cancel(taken.timer)
        acceptWhileThereIsRoom()
        Tunnel(taken.connection, call).begin()
    }

    private func acceptWhileThereIsRoom() {
        let wanted: EventLoop.Interest = waiting.count < Self.mostWaiting ? .readable : []
        for listener in listeners.values { listener.descriptor.watch(for: wanted) }
    }

    private func accept(_ listener: Listener) {
        defer { acceptWhileThereIsRoom() }
        while waiting.count < Self.mostWaiting {
            do throws(SyscallError) {
                guard let socket = try listener.socket.accept() else { return }
                let id = "c\(nextID)"
                nextID += 1
                let timer = loop.schedule(after: Self.longestWait) { [weak self] in self?.drop(id) }
                waiting[id] = Waiting(connection: WatchedDescriptor(socket, on: loop), timer: timer)
                var accepted = Voidbox_Guest_V1_AcceptedConnection()
                accepted.port = UInt32(listener.socket.port)
                accepted.connectionID = id
                listener.call.send(accepted)
            } catch {
                KernelLog.shared.warning("cannot accept a connection on port \(listener.socket.port): \(error)")
                return
            }
        }
    }

    private func drop(_ id: String) {
        guard waiting.removeValue(forKey: id) != nil else { return }
        KernelLog.shared.info("connection \(id) was not taken by the host and is dropped")
        acceptWhileThereIsRoom()
    }
}
