import Foundation
import LinuxSystem

@testable import SandboxKVM

/// The host's side of a hostile guest's vsock: at port 1024 a program that talks and reads, at 1025 one that does not read, at
/// 1026 one that hangs up at once, and nobody elsewhere. Confined to its loop.
final class VsockPrograms: Sendable {
    /// Of connections that are not read. More push the first ones out.
    private static let maxHeld = 128

    /// For the worker, in this order: the listener and the dialler. The caller closes them.
    let sockets: [Int32]
    private let host: VsockHost
    private let directory: URL

    init(on thread: EventLoopThread) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "voidbox-hostile-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let path = directory.appending(path: "vsock").path
        (host, sockets) = try VsockHost.open(path, on: thread)
        let talker = try Listener("\(path)_1024")
        let deaf = try Listener("\(path)_1025")
        let curt = try Listener("\(path)_1026")
        thread.submit { loop in
            talker.serve(on: loop) { stream in
                _ = try? NoisyPeer(adopting: stream, saying: Array("noise".utf8), on: thread)
            }
            var held: [WatchedDescriptor] = []
            deaf.serve(on: loop) { stream in
                held.append(WatchedDescriptor(stream, on: loop))
                if held.count > Self.maxHeld { held.removeFirst() }
            }
            curt.serve(on: loop) { _ = consume $0 }
        }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private final class Listener: Sendable {
        private let descriptor: OwnedFD

        init(_ path: String) throws(SyscallError) {
            descriptor = try OwnedFD.listening(onUnixSocket: path, backlog: 128)
        }

        /// Takes connections as long as the loop runs.
        func serve(on loop: EventLoop, _ body: @escaping (consuming OwnedFD) -> Void) {
            // Who cannot be served is not there, for the guest.
            try? loop.whileReadable(descriptor) { [self] in
                do throws(SyscallError) {
                    while true {
                        guard let stream = try descriptor.acceptStream() else { return true }
                        body(stream)
                    }
                } catch {
                    return false
                }
            }
        }
    }
}
