internal import FoundationEssentials
internal import GuestAPI
internal import LinuxSystem
internal import Primitives
internal import TTRPC

/// One connection between a program in the guest and the host. Each direction has its own credit and its own end.
/// Confined to the loop's thread; the call keeps it.
final class Tunnel {
    private static let readSize = 64 << 10

    private let socket: WatchedDescriptor
    private let call: Call
    private var toHost = SendWindow(capacity: StreamLimit.tunnel)
    private var fromHost = ReceiveWindow(capacity: StreamLimit.tunnel)
    private var pending: [ArraySlice<UInt8>] = []
    private var guestEnded = false
    private var hostEnded = false
    private var isShutDown = false
    private var isOver = false

    init(_ socket: WatchedDescriptor, _ call: Call) {
        self.socket = socket
        self.call = call
    }

    func begin() {
        socket.ready = { [weak self] readiness in
            guard let self else { return }
            if readiness.contains(.writable) || !self.pending.isEmpty { self.write() }
            if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) { self.read() }
            self.settle()
        }
        call.onMessage(Voidbox_Guest_V1_TunnelFrame.self) { [self] frame throws(TTRPCStatus) in
            do throws(TTRPCStatus) {
                try take(frame)
            } catch {
                over()
                throw error
            }
            settle()
        }
        call.onAbandoned { [self] in over() }
        settle()
    }

    private func take(_ frame: Voidbox_Guest_V1_TunnelFrame) throws(TTRPCStatus) {
        switch frame.kind {
        case .data(let data):
            guard !hostEnded, data.count <= StreamLimit.message, fromHost.accept(data.count) else {
                throw TTRPCStatus(.invalidArgument, "\(data.count) bytes exceed the limit, the credit, or the end")
            }
            pending.append(Array(data)[...])
            write()
        case .endOfData:
            hostEnded = true
            write()
        case .credit(let count):
            guard toHost.giveBack(count) else {
                throw TTRPCStatus(.invalidArgument, "credit for \(count) bytes that were not sent")
            }
        case .connectionID, nil:
            throw TTRPCStatus(.invalidArgument, "the tunnel is open: this frame cannot follow")
        }
    }

    private func read() {
        guard !isOver, !guestEnded, toHost.available > 0 else { return }
        do throws(SyscallError) {
            switch try socket.fd.read(upTo: min(toHost.available, Self.readSize)) {
            case .bytes(let bytes):
                toHost.take(bytes.count)
                var frame = Voidbox_Guest_V1_TunnelFrame()
                frame.data = Data(bytes)
                call.send(frame)
            case .endOfFile:
                guestEnded = true
                var frame = Voidbox_Guest_V1_TunnelFrame()
                frame.endOfData = Voidbox_Guest_V1_Empty()
                call.send(frame)
            case .wouldBlock: break
            }
        } catch {
            fail(error)
        }
    }

    private func write() {
        guard !isOver else { return }
        do throws(SyscallError) {
            while let first = pending.first {
                guard case .wrote(let count) = try socket.fd.write(first) else { return }
                pending[0] = first.dropFirst(count)
                if pending[0].isEmpty { pending.removeFirst() }
                let credit = fromHost.consume(count)
                if credit > 0 {
                    var frame = Voidbox_Guest_V1_TunnelFrame()
                    frame.credit = credit
                    call.send(frame)
                }
            }
            if hostEnded, !isShutDown {
                isShutDown = true
                try socket.fd.shutDownWriting()
            }
        } catch {
            fail(error)
        }
    }

    /// Waits for what can happen next, and ends when nothing can.
    private func settle() {
        guard !isOver else { return }
        if guestEnded, hostEnded, pending.isEmpty {
            over()
            return call.finish()
        }
        var interest: EventLoop.Interest = []
        if !guestEnded, toHost.available > 0 { interest.insert(.readable) }
        if !pending.isEmpty { interest.insert(.writable) }
        socket.watch(for: interest)
    }

    private func fail(_ error: SyscallError) {
        over()
        call.fail(TTRPCStatus(.unavailable, "the program's connection: \(error.errno)"))
    }

    private func over() {
        isOver = true
        pending = []
        socket.stop()
    }
}
