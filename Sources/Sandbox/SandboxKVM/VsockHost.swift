internal import LinuxSystem
internal import Sandboxing
internal import WorkerProtocol

/// The host's side of a machine's vsock: the name of its socket, and the connections that the guest opens to the host, which
/// its worker may not open itself. It ends with the worker, and the name with it. Confined to its loop, but for what is said.
final class VsockHost: Sendable {
    /// Connections of the host that the guest has not been told of yet.
    private static let backlog: Int32 = 128
    /// For each turn of the loop, which others use too.
    private static let dialsPerTurn = 16
    /// "_4294967295", and the zero byte behind it, have to fit behind the path.
    private static let maxPathLength = 108 - 12

    /// `S_IFSOCK`
    private static let socketType: UInt32 = 0o140000

    private let path: String
    private let dialler: OwnedFD
    private let closed = OneShot<Bool>()

    /// Makes the socket at `path`, where there must be nothing but what a killed voidbox left there, and what a worker gets of it: the listener and the dialler, which
    /// the caller closes when the worker has them.
    static func open(_ path: String, on thread: EventLoopThread) throws -> (host: VsockHost, sockets: [Int32]) {
        guard !path.isEmpty, path.utf8.count <= maxPathLength else {
            throw SandboxError(
                .invalidArgument,
                resource: path,
                "the path of a vsock's socket has 1 to \(maxPathLength) bytes",
                hint: "the sockets of the guest's connections are named after it, and the kernel allows no more",
            )
        }
        let pair = try OwnedFD.messageSocketPair()
        let listener: OwnedFD
        do throws(SyscallError) {
            listener = try listen(path)
        } catch {
            throw SandboxError(
                error.errno == .addressInUse ? .alreadyExists : .invalidArgument,
                resource: path,
                "the socket of the box's vsock cannot be made: \(error.errno)",
                hint: error.errno == .addressInUse ? "remove the file, or choose another path" : nil,
            )
        }
        let (first, second) = pair.relinquish()
        let host = VsockHost(path, dialler: OwnedFD(adopting: first), on: thread)
        return (host, [listener.relinquish(), second])
    }

    private static func listen(_ path: String) throws(SyscallError) -> OwnedFD {
        do throws(SyscallError) {
            return try OwnedFD.listening(onUnixSocket: path, backlog: backlog)
        } catch {
            guard error.errno == .addressInUse, isAbandoned(path) else { throw error }
            try FileSystem.remove(path)
            return try OwnedFD.listening(onUnixSocket: path, backlog: backlog)
        }
    }

    /// Whether it is a socket at which nobody listens any more: one whose voidbox was killed.
    private static func isAbandoned(_ path: String) -> Bool {
        guard let status = try? FileSystem.status(of: path), status.type == socketType else { return false }
        do throws(SyscallError) {
            _ = try OwnedFD.connectedAtOnce(toUnixSocket: path)
            return false
        } catch {
            return error.errno == .connectionRefused
        }
    }

    private init(_ path: String, dialler: consuming OwnedFD, on thread: EventLoopThread) {
        self.path = path
        self.dialler = dialler
        thread.submit { [self] loop in
            do throws(SyscallError) {
                try loop.whileReadable(self.dialler) {
                    if self.answer() { return true }
                    self.close()
                    return false
                }
            } catch {
                close()
            }
        }
    }

    private func close() {
        // Somebody may have removed it, which is as good.
        try? FileSystem.remove(path)
        closed.fulfil(true)
    }

    /// Returns when nothing of it is left, after the worker's end. Throws only `CancellationError`.
    func waitUntilClosed() async throws {
        _ = try await closed.wait()
    }

    /// False at the end, and for a worker that says what none does.
    private func answer() -> Bool {
        for _ in 0..<Self.dialsPerTurn {
            do throws(SyscallError) {
                guard let message = try dialler.receiveMessage(upTo: DialRequest.length + 1) else { return true }
                guard let request = DialRequest(decoding: message.bytes) else { return false }
                try dial(request)
            } catch {
                return false
            }
        }
        return true
    }

    private func dial(_ request: DialRequest) throws(SyscallError) {
        let reply = DialReply(id: request.id, isConnected: true)
        let stream: OwnedFD
        do throws(SyscallError) {
            stream = try OwnedFD.connectedAtOnce(toUnixSocket: "\(path)_\(request.port)")
        } catch {
            // Nobody listens, or is behind: for the guest a connection that is refused.
            return try dialler.sendMessage(DialReply(id: request.id, isConnected: false).encoded)
        }
        try dialler.sendMessage(reply.encoded, descriptor: stream)
    }
}
